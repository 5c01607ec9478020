"""Sec-WebSocket-Key and the Sec-WebSocket-Accept that proves it was read (RFC 6455 section 1.3).

Pure functions; `check_key` raises `ValueError`.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from binascii import a2b_base64
from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["accept_key", "check_key", "make_key"]

# "258EAFA5-...", unlikely to be used by endpoints that do not understand the protocol.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_SIZE = 16


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2, item 5.4)."""
    # SHA-1 proves here that the peer speaks WebSocket; no secret hangs on it.
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return b64encode(digest).decode("ascii")


def make_key(random_bytes: Callable[[int], bytes]) -> str:
    """Return a new key: 16 bytes from `random_bytes(16)`, in base64."""
    return b64encode(random_bytes(_KEY_SIZE)).decode("ascii")


def check_key(key: str) -> None:
    """Raise `ValueError` unless `key` is 16 bytes in base64 (RFC 6455 section 4.2.1).

    The four bits that the last character has to spare may be anything: small devices draw 22
    characters and add "==".  The answer is made of the key as it came, not of its value.
    """
    try:
        value = a2b_base64(key, strict_mode=True)
    except ValueError:
        value = b""
    if len(value) != _KEY_SIZE:
        raise ValueError(f"{quoted(key)} is not 16 bytes in base64")
