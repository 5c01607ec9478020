"""Reads the events that an ASGI application sends, and says what is wrong with one.

An event is a mapping with a `type`.  Every error names the event and the key; the event changes
nothing then, and the application may go on (asgi.rst, "Error handling").  Unknown keys are no
error.  No error shows a value, which may be a message or a cookie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.quoting import quoted

__all__ = [
    "Event",
    "bytes_of",
    "flag_of",
    "headers_of",
    "links_of",
    "status_of",
    "text_of",
    "type_of",
]

#: What goes between a server and an application; the specification has the keys.
Event: TypeAlias = Mapping[str, Any]

_MISSING = object()
#: What nearly every field matches; the others are looked at more closely.
_FIELD_NAME = re.compile(rb"[0-9A-Za-z-]+").fullmatch
_FIELD_VALUE = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
).fullmatch


def type_of(event: object) -> str:
    """Return the `type` of `event`; raises `TypeError` if it is no mapping that has one."""
    if not isinstance(event, (dict, Mapping)):  # a dict is seen at once
        raise TypeError(f"an event is a dict with a type, not {type(event).__name__}")
    kind: object = cast("Mapping[object, object]", event).get("type")
    if not isinstance(kind, str):
        raise TypeError(f'the "type" of an event is a str, not {type(kind).__name__}')
    return kind


def status_of(event: Event) -> int:
    """Return the status of an answer: 200 to 599, for a 1xx is no answer."""
    status: object = event.get("status", _MISSING)
    if isinstance(status, bool) or not isinstance(status, int):
        raise _wrong(event, "status", "an int", status)
    if not 200 <= status <= 599:
        raise ValueError(f'{_name(event)}: "status" is 200 to 599, not {status}')
    return int(status)


def headers_of(event: Event) -> Headers:
    """Return the headers of `event`, which are read once; none if there are none.

    Raises `TypeError` for what is no pair of bytes, and `ValueError` for what may not go on the
    wire: so no value of the application's starts a header of its own.
    """
    given: object = event.get("headers", ())
    if not _is_list(given):
        raise _wrong(event, "headers", "an iterable of pairs of bytes", given)
    pairs = list(cast("Iterable[object]", given))
    try:
        return Headers.of_checked([_field(*cast("tuple[bytes, bytes]", pair)) for pair in pairs])
    except (TypeError, ValueError):
        return _headers_of(event, pairs)  # which says what is wrong, if anything is


def _field(name: bytes, value: bytes) -> tuple[str, str]:
    """Return a field that is fit for the wire; raises for any other, and for a few that are."""
    if _FIELD_NAME(name) is None or _FIELD_VALUE(value) is None:
        raise ValueError
    return str(name, "ascii").lower(), str(value, "latin-1")


def _headers_of(event: Event, pairs: Iterable[object]) -> Headers:
    checked = [_pair(event, pair) for pair in pairs]
    try:
        return Headers(checked)
    except ValueError as error:
        raise ValueError(f"{_name(event)}: {error}") from None


def _is_list(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, (str, bytes, Mapping))


def _pair(event: Event, pair: object) -> tuple[str, str]:
    kind = _kind(pair)
    members = list(cast("Iterable[object]", pair)) if isinstance(pair, (tuple, list)) else []
    if len(members) != 2:
        raise TypeError(f"{_name(event)}: a header is a pair of bytes, not {kind}")
    name, value = members
    if not isinstance(name, bytes):
        raise TypeError(f"{_name(event)}: the name of a header is bytes, not {_kind(name)}")
    shown = quoted(name.decode("latin-1"))
    if not isinstance(value, bytes):
        raise TypeError(f"{_name(event)}: the value of header {shown} is bytes, not {_kind(value)}")
    return name.decode("latin-1").lower(), value.decode("latin-1")


def links_of(event: Event) -> tuple[str, ...]:
    """Return the links of an early hint, as a Link header has each of them."""
    given: object = event.get("links", ())
    if not _is_list(given):
        raise _wrong(event, "links", "an iterable of bytes", given)
    links = list(cast("Iterable[object]", given))
    for link in links:
        if not isinstance(link, bytes):
            raise TypeError(f'{_name(event)}: each of "links" is bytes, not {_kind(link)}')
    return tuple(link.decode("latin-1") for link in cast("list[bytes]", links))


def bytes_of(event: Event, key: str) -> bytes | bytearray | memoryview:
    """Return the bytes under `key`; empty if there are none."""
    value: object = event.get(key, b"")
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong(event, key, "bytes", value)
    return cast("bytes | bytearray | memoryview", value)


def text_of(event: Event, key: str) -> str:
    """Return the text under `key`; empty if there is none, or None."""
    value: object = event.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(event, key, "a str", value)
    return value


def flag_of(event: Event, key: str) -> bool:
    """Return the truth value under `key`; False if there is none."""
    value: object = event.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(event, key, "a bool", value)
    return value


def _wrong(event: Event, key: str, wanted: str, found: object) -> TypeError:
    has = "there is none" if found is _MISSING else f"not {_kind(found)}"
    return TypeError(f'{_name(event)}: "{key}" must be {wanted}, {has}')


def _name(event: Event) -> str:
    return f'"{quoted(type_of(event))[1:-1]}"'


def _kind(value: object) -> str:
    return type(value).__name__
