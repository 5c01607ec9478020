"""Reads the fields behind the addresses of a PROXY header, version 2 (section 2.2 of its text).

Each has a type of one byte, a length of two, and a value.  Unknown types are kept as they are;
what lies across an end is an error.
"""

from __future__ import annotations

from typing import TypeAlias

from trio_wsendpoint.addressing.crc32c import crc32c
from trio_wsendpoint.addressing.peer import PeerTLS

__all__ = ["ALPN", "AUTHORITY", "TLV", "UNIQUE_ID", "check_sum", "find", "find_tls", "parse_tlvs"]

#: Type and value.
TLV: TypeAlias = tuple[int, bytes]

#: The application's protocol, the name that the client asked TLS for, and an id.
ALPN, AUTHORITY, UNIQUE_ID = 0x01, 0x02, 0x05
_CRC32C, _SSL = 0x03, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER, _SSL_CERTIFICATE = 0x21, 0x22, 0x23, 0x28

# The bits of the SSL field's first byte: it came over TLS; with a certificate on this connection.
_CLIENT_SSL, _CLIENT_CERTIFICATE = 0x01, 0x02


def parse_tlvs(data: bytes) -> tuple[TLV, ...]:
    """Return the fields that `data` holds, in order; raises `ValueError` if one is cut off."""
    fields: list[TLV] = []
    at = 0
    while at < len(data):
        if len(data) - at < 3:
            raise ValueError(f"{len(data) - at} bytes where a field has 3 or more")
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        if end > len(data):
            raise ValueError(f"the field {data[at]:#04x} goes past the end")
        fields.append((data[at], data[at + 3 : end]))
        at = end
    return tuple(fields)


def find(fields: tuple[TLV, ...], wanted: int) -> bytes | None:
    """Return the value of the first field of the type `wanted`, None without one."""
    return next((value for kind, value in fields if kind == wanted), None)


def check_sum(header: bytes, start: int, fields: tuple[TLV, ...]) -> None:
    """Check the CRC32C of a whole `header`, whose `fields` begin at `start`, if it has one.

    The sum is that of the header with the sum's own bytes as zeros.  Raises `ValueError`.
    """
    at = start
    for kind, value in fields:
        if kind == _CRC32C:
            if len(value) != 4:
                raise ValueError(f"a CRC32C of {len(value)} bytes instead of 4")
            zeroed = header[: at + 3] + bytes(4) + header[at + 7 :]
            if crc32c(zeroed) != int.from_bytes(value, "big"):
                raise ValueError("the CRC32C is wrong")
        at += 3 + len(value)


def find_tls(fields: tuple[TLV, ...]) -> PeerTLS | None:
    """Return what the SSL field tells of the client's TLS; None if the client came without it.

    The client's certificate counts only if it came on this connection and was verified.  Raises
    `ValueError` for a field that is cut off.
    """
    value = find(fields, _SSL)
    if value is None:
        return None
    if len(value) < 5:
        raise ValueError(f"an SSL field of {len(value)} bytes, which has 5 or more")
    inner = parse_tlvs(value[5:])
    client, verify = value[0], value[1:5]
    if not client & _CLIENT_SSL:
        return None  # haproxy sends the field for plain clients too
    has_certificate = client & _CLIENT_CERTIFICATE and verify == bytes(4)
    return PeerTLS(
        version=_text(find(inner, _SSL_VERSION)),
        cipher=_text(find(inner, _SSL_CIPHER)),
        common_name=_text(find(inner, _SSL_CN)) if has_certificate else None,
        certificate=find(inner, _SSL_CERTIFICATE) if has_certificate else None,
    )


def _text(value: bytes | None) -> str | None:
    """Return the value as text; None for one that is not UTF-8, as without one."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
