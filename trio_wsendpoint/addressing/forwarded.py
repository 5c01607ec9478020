"""Reads a Forwarded header (RFC 7239 section 4), whole and strictly.

A quoted string may hold commas and semicolons, so an element cannot be cut off from the right
before the quotes on its left are understood.  A header that breaks the grammar anywhere is
therefore refused as a whole, however good the part looks that the nearest proxy wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trio_wsendpoint.handshake.abnf import OWS, TOKEN
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["parse_forwarded"]

_TOKEN = "[" + re.escape("".join(sorted(TOKEN))) + "]++"
# RFC 9110 section 5.6.4; no quantifier gives back what it has taken, so that time is linear.
_QUOTED = r'"((?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+)"'
_PAIR = re.compile(f"({_TOKEN})=(?:({_TOKEN})|{_QUOTED})")
_ESCAPE = re.compile(r"\\(.)")


def parse_forwarded(values: Iterable[str]) -> list[dict[str, str]]:
    """Return the elements of the field lines `values`, in order, empty ones left out.

    Of each element, the parameters by name in lower case, unquoted.  Raises `ValueError` for what
    the grammar does not allow, blanks around `;` and `=` included, and for a parameter that an
    element has twice.
    """
    elements: list[dict[str, str]] = []
    for value in values:
        at = 0
        while at < len(value):
            element, at = _element(value, at)
            if element:
                elements.append(element)
    return elements


def _element(value: str, at: int) -> tuple[dict[str, str], int]:
    """Return the element at `at`, and where the next one begins."""
    pairs: dict[str, str] = {}
    at = _skip_blanks(value, at)
    expects_pair = True
    while at < len(value) and value[at] not in "," + OWS:
        if value[at] == ";":  # RFC 7239: [ forwarded-pair ] *( ";" [ forwarded-pair ] )
            expects_pair = True
            at += 1
            continue
        match = _PAIR.match(value, at) if expects_pair else None
        if match is None:
            raise ValueError(f"{quoted(value[at:])} is not an element of Forwarded")
        name = match[1].lower()
        if name in pairs:
            raise ValueError(f"an element of Forwarded has two {quoted(name)}")
        text = match[2]
        pairs[name] = _ESCAPE.sub(r"\1", match[3]) if text is None else text
        expects_pair = False
        at = match.end()
    at = _skip_blanks(value, at)
    if at < len(value) and value[at] != ",":
        raise ValueError(f"{quoted(value[at:])} is not an element of Forwarded")
    return pairs, at + 1


def _skip_blanks(value: str, at: int) -> int:
    while at < len(value) and value[at] in OWS:
        at += 1
    return at
