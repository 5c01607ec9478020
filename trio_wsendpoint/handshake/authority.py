"""The `host[:port]` of a Host header, an Origin or a URL (RFC 3986 section 3.2).

`parse_authority` returns the host and the port, or raises `ValueError`, nothing else: no codec
ever sees the peer's text.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from string import ascii_letters, digits, hexdigits

from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["parse_authority", "parse_port"]

# reg-name of RFC 3986 section 3.2.2: unreserved, sub-delims, and the "%" of pct-encoded.
_REG_NAME = frozenset(ascii_letters + digits + "-._~" + "!$&'()*+,;=" + "%")
_IPV6 = frozenset(hexdigits + ":.")
_DIGITS = frozenset(digits)


def parse_authority(text: str) -> tuple[str, int | None]:
    """Return the host, in lower case and without brackets, and the port, None if not given.

    A name is taken as it is: whether DNS would like it is not asked.  An IPv6 address comes in
    its one compressed form, so that equal hosts compare equal.  Raises `ValueError`, which does
    not show user information.
    """
    if "@" in text:
        raise ValueError("an @ is not part of a host: neither Host nor Origin has user information")
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.issuperset(address):
            raise ValueError(f"{quoted(text)} is not an IPv6 address in brackets")
        try:
            host = IPv6Address(address).compressed
        except ValueError:
            raise ValueError(f"{quoted(text)} is not an IPv6 address in brackets") from None
        if rest and not rest.startswith(":"):
            raise ValueError(f"{quoted(text)} has something else than a port behind its bracket")
        return host, parse_port(rest[1:])
    host, _, port = text.partition(":")
    if not host:
        raise ValueError(f"{quoted(text)} has no host")
    if not _REG_NAME.issuperset(host):
        raise ValueError(f"{quoted(host)} is not the name of a host")
    return host.lower(), parse_port(port)


def parse_port(text: str) -> int | None:
    """Return the port, None if `text` is empty (RFC 3986 section 3.2.3 allows `host:`).

    Raises `ValueError` for anything but up to five digits of at most 65535.
    """
    if not text:
        return None
    # `int` alone would take "+80", "8_0" and digits of every script on earth.
    if len(text) > 5 or not _DIGITS.issuperset(text) or int(text) > 65535:
        raise ValueError(f"{quoted(text)} is not a port (0 to 65535)")
    return int(text)
