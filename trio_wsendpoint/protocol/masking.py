"""The XOR of RFC 6455 section 5.3, the one inner loop of the protocol.

`apply_mask` is its own inverse.  Only `frames` and `parser` import this module.
"""

from __future__ import annotations

__all__ = ["apply_mask", "rotate_mask"]


def apply_mask(data: bytes, mask: bytes) -> bytes:
    """Return `data` XORed with the four bytes of `mask`, repeated from its first byte on."""
    size = len(data)
    # One XOR of two long integers: Python has no faster loop over bytes than the one inside int.
    key = (mask * ((size + 3) // 4))[:size]
    value = int.from_bytes(data, "little") ^ int.from_bytes(key, "little")
    return value.to_bytes(size, "little")


def rotate_mask(mask: bytes, count: int) -> bytes:
    """Return the mask for the bytes that follow the first `count` of a payload."""
    turn = count & 3
    return mask[turn:] + mask[:turn]
