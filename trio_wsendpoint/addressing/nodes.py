"""Reads what a forwarding header says of one hop: an address with or without a port, or less.

`parse_node` is for the elements of X-Forwarded-For, which no standard describes;
`parse_forwarded_node` for the `for` of a Forwarded header (RFC 7239 section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_letters, digits

from trio_wsendpoint.addressing.ip import IPAddress, parse_ip
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Node", "parse_forwarded_node", "parse_node", "parse_proxy_port"]

_DIGITS = frozenset(digits)
_OBFUSCATED = frozenset(ascii_letters + digits + "._-")


@dataclass(frozen=True, slots=True)
class Node:
    """One hop as a proxy tells of it; `address` is None for `unknown` and for a hidden one."""

    address: IPAddress | None
    port: int | None = None


def parse_node(text: str) -> Node:
    """Return what one element of X-Forwarded-For says.

    `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; `unknown`, `-`
    and `_hidden` hide the address.  Raises `ValueError` for anything else.
    """
    if text == "-":
        return Node(None)
    if text.count(":") > 1 and not text.startswith("["):
        return Node(parse_ip(text))
    return parse_forwarded_node(text)


def parse_forwarded_node(text: str) -> Node:
    """Return what the `for` of a Forwarded element says, unquoted.

    As `parse_node`, but an IPv6 address has brackets and a `-` hides nothing.  A port may be
    hidden too (`_x`).  Raises `ValueError`.
    """
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in name or (rest and not rest.startswith(":")):
            raise ValueError(f"{quoted(text)} is not an address")
        return Node(parse_ip(name), _port(rest[1:]) if rest else None)
    name, colon, rest = text.partition(":")
    port = _port(rest) if colon else None
    if name.lower() == "unknown" or _is_obfuscated(name):
        return Node(None, port)
    return Node(parse_ip(name), port)


def parse_proxy_port(text: str) -> int:
    """Return a port of 1 to 65535 in ASCII digits; raises `ValueError` for anything else."""
    # `int` alone would take "+80", "8_0" and digits of every script.
    if text and len(text) <= 5 and _DIGITS.issuperset(text) and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"{quoted(text)} is not a port (1 to 65535)")


def _port(text: str) -> int | None:
    return None if _is_obfuscated(text) else parse_proxy_port(text)


def _is_obfuscated(text: str) -> bool:
    # RFC 7239 section 6.3: "_" 1*( ALPHA / DIGIT / "." / "_" / "-")
    return len(text) > 1 and text[0] == "_" and _OBFUSCATED.issuperset(text)
