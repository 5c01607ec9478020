"""Reads IP addresses strictly, and tells an IPv4 client by its IPv4 address.

A listener on `::` sees an IPv4 client as `::ffff:192.0.2.1`.  Trust and limits are about
192.0.2.1, so every address passes through here before it is compared or counted.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from string import hexdigits
from typing import TypeAlias

from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["IPAddress", "normal_host", "parse_ip", "unmapped"]

IPAddress: TypeAlias = IPv4Address | IPv6Address

_CHARACTERS = frozenset(hexdigits + ":.")
_MAX_TEXT = 45  # eight groups, the last two in dotted form


def parse_ip(text: str) -> IPAddress:
    """Return the address that `text` spells; an IPv4-mapped one as IPv4.

    Raises `ValueError` for anything else: a scope id (`fe80::1%eth0`), a leading zero
    (`01.2.3.4`), fewer than four parts, digits that are not ASCII.
    """
    # `ip_address` takes scope ids, even with a blank in them: the characters are checked first.
    if len(text) <= _MAX_TEXT and _CHARACTERS.issuperset(text):
        try:
            return unmapped(ip_address(text))
        except ValueError:
            pass
    raise ValueError(f"{quoted(text)} is not an IP address")


def unmapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address of an IPv4-mapped one, any other address as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def normal_host(host: str) -> str:
    """Return the host of a socket's address, without the IPv4 mapping.

    Whatever is no IPv4-mapped address (a scope id, a name) comes back as it is.
    """
    if host[:7].lower() != "::ffff:":
        return host
    try:
        return str(parse_ip(host))
    except ValueError:
        return host
