"""Makes PROXY headers of version 2."""

from __future__ import annotations

from trio_wsendpoint.addressing.crc32c import crc32c

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tlv(kind: int, value: bytes) -> bytes:
    """Return one field."""
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def v2(block: bytes, *, family: int = 0x11, command: int = 0x21) -> bytes:
    """Return a header with `block` behind its length."""
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


def with_sum(header: bytes) -> bytes:
    """Return `header`, in which a CRC32C of zeros has become the right one."""
    at = header.index(tlv(0x03, bytes(4))) + 3
    return header[:at] + crc32c(header).to_bytes(4, "big") + header[at + 4 :]


AUTHORITY = tlv(0x02, "caf\xe9.test".encode())
SSL = tlv(0x21, b"TLSv1.3") + tlv(0x23, b"AES")
CN = tlv(0x22, b"Ann")
CERTIFICATE = tlv(0x28, b"der")
