"""The comma-separated lists of the handshake's headers (RFC 9110 section 5.6, RFC 6455 9.1).

Each parser takes the values of all the field lines of one name, in their order, and returns its
items, or raises `ValueError`; nothing else, whatever the peer wrote.  `TooManyItems` is the
`ValueError` for a list over its limit.  Time is linear in the length of the values: they are
split and looked up in sets, there is no regular expression to go wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import ascii_letters, digits
from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from trio_wsendpoint.protocol.extension import ExtensionParameters

__all__ = [
    "OWS",
    "TOKEN",
    "TooManyItems",
    "format_extensions",
    "is_token",
    "parse_extensions",
    "parse_protocols",
    "parse_tokens",
]

#: The characters of a token (RFC 9110 section 5.6.2).
TOKEN = frozenset("!#$%&'*+-.^_`|~" + digits + ascii_letters)

#: Optional white space.  `str.strip()` alone would take NBSP, VT and the like as well.
OWS = " \t"


class TooManyItems(ValueError):
    """A list that has more items than its limit; a server answers 431 (RFC 6585 section 5)."""


def is_token(text: str) -> bool:
    """Tell whether `text` is a token: not empty, and made of token characters alone."""
    return bool(text) and TOKEN.issuperset(text)


def parse_tokens(values: Iterable[str], *, limit: int) -> list[str]:
    """Return the tokens of a `#token` list, as Connection or Sec-WebSocket-Protocol.

    Empty elements are skipped (RFC 9110 section 5.6.1.2) and not counted.  Raises `TooManyItems`
    for more than `limit` tokens, `ValueError` for anything that is not a token.
    """
    tokens: list[str] = []
    for element in _elements(values):
        _check_room(len(tokens), limit)
        if not is_token(element):
            raise ValueError(f"{quoted(element)} is not a token")
        tokens.append(element)
    return tokens


def parse_protocols(values: Iterable[str], *, limit: int) -> list[str]:
    """Return the elements of an Upgrade header: `name` or `name/version` (RFC 9110 section 7.8).

    Raises as `parse_tokens`.
    """
    protocols: list[str] = []
    for element in _elements(values):
        _check_room(len(protocols), limit)
        name, slash, version = element.partition("/")
        if not is_token(name) or (slash and not is_token(version)):
            raise ValueError(f"{quoted(element)} is not a protocol")
        protocols.append(element)
    return protocols


def parse_extensions(
    values: Iterable[str], *, limit: int
) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Return the (name, parameters) of a Sec-WebSocket-Extensions header, in their order.

    A parameter without a value has None; a quoted value is unquoted.  Extensions and parameters
    alike count towards `limit`.  Raises `TooManyItems` over it, `ValueError` for what RFC 6455
    section 9.1 does not allow.
    """
    extensions: list[tuple[str, list[tuple[str, str | None]]]] = []
    count = 0
    for element in _elements(values):
        # "the value after quoted-string unescaping MUST conform to the 'token' ABNF": so a comma
        # or a semicolon is never inside a legal value, and plain splitting loses nothing legal.
        # It makes nothing legal either: each half of a quoted string lacks one of its quotes.
        name, *pieces = (piece.strip(OWS) for piece in element.split(";", limit))
        _check_room(count + len(pieces), limit)
        count += 1 + len(pieces)
        if not is_token(name):
            raise ValueError(f"{quoted(name)} is not the name of an extension")
        extensions.append((name, [_parameter(piece) for piece in pieces]))
    return extensions


def format_extensions(extensions: Iterable[tuple[str, ExtensionParameters]]) -> str:
    """Return the value of a Sec-WebSocket-Extensions header; the inverse of `parse_extensions`.

    Raises `ValueError` for a name or a value that is not a token.
    """
    elements: list[str] = []
    for name, parameters in extensions:
        pieces = [name]
        tokens = [name]
        for key, value in parameters:
            pieces.append(key if value is None else f"{key}={value}")
            tokens += [key] if value is None else [key, value]
        for token in tokens:
            if not is_token(token):
                raise ValueError(f"extension {quoted(name)}: {quoted(token)} is not a token")
        elements.append("; ".join(pieces))
    return ", ".join(elements)


def _elements(values: Iterable[str]) -> Iterator[str]:
    # One line at a time, so that a caller at its limit never splits the lines behind it.
    for value in values:
        for element in value.split(","):
            if stripped := element.strip(OWS):
                yield stripped


def _check_room(count: int, limit: int) -> None:
    if count >= limit:
        raise TooManyItems(f"more than {limit} items in one list (Limits.list_items)")


def _parameter(piece: str) -> tuple[str, str | None]:
    # RFC 6455 was written to the grammar of RFC 2616, whose "implied LWS" allows blanks at "=".
    name, equals, value = piece.partition("=")
    name = name.rstrip(OWS)
    if not is_token(name):
        raise ValueError(f"{quoted(piece)} is not a parameter of an extension")
    if not equals:
        return name, None
    value = value.lstrip(OWS)
    if value.startswith('"'):
        value = _unquote(value)
    if not is_token(value):
        raise ValueError(f"{quoted(piece)} has a value that is not a token")
    return name, value


def _unquote(text: str) -> str:
    """Return what the quoted-string says (RFC 9110 section 5.6.4); the caller checks it."""
    if len(text) < 2 or not text.endswith('"'):
        raise ValueError(f"{quoted(text)} lacks its closing quote")
    characters: list[str] = []
    escaped = False
    for character in text[1:-1]:
        if character == "\\" and not escaped:
            escaped = True
        else:
            characters.append(character)
            escaped = False
    if escaped:
        # The backslash belonged to the quote at the end, which therefore closes nothing.
        raise ValueError(f"{quoted(text)} lacks its closing quote")
    return "".join(characters)
