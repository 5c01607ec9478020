"""Answers of the stream commands, read from the shapes in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trio_wsendpoint.hub.redis.places import ORIGIN, StreamFacts

__all__ = ["Row", "read_facts", "read_rows", "read_streams"]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of a stream: its id, and names and values of its fields in turn."""

    id: str
    fields: tuple[bytes, ...]


def read_rows(answer: object) -> list[Row]:
    """Read the answer of XRANGE or XREVRANGE; raise it if it is an exception."""
    if isinstance(answer, Exception):
        raise answer
    return [
        Row(_text(one[0]), tuple(_bytes(field) for field in one[1]))
        for one in (answer if isinstance(answer, list) else ())
        # An entry that was deleted within a node may come without fields.
        if isinstance(one, list) and len(one) == 2 and isinstance(one[1], list)
    ]


def read_streams(answer: object) -> Iterator[tuple[bytes, list[Row]]]:
    """Read the answer of XREAD: for each stream with news its key and them."""
    if isinstance(answer, dict):
        for key, rows in answer.items():
            yield _bytes(key), read_rows(rows)


def read_facts(answer: object) -> StreamFacts:
    """Read the answer of XINFO STREAM; a stream that is not there has had no entry."""
    if isinstance(answer, Exception):
        if "no such key" in str(answer):
            return StreamFacts()
        raise answer
    if not isinstance(answer, dict):
        return StreamFacts()
    first = read_rows([answer.get(b"first-entry")])
    return StreamFacts(
        last=_text(answer.get(b"last-generated-id", ORIGIN)),
        first=first[0].id if first else None,
        added=_int(answer.get(b"entries-added", 0)),
        length=_int(answer.get(b"length", 0)),
    )


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _int(value: object) -> int:
    return value if isinstance(value, int) else int(_text(value))
