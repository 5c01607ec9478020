"""Answers of the stream commands, read from the shapes in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trio_wsendpoint.hub.redis.answers import as_bytes, as_dict, as_list, as_text
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
    rows: list[Row] = []
    for one in as_list(answer):
        name, *fields = as_list(one) or [None]
        # An entry that was deleted within a node may come without fields.
        if fields and fields[0] is not None:
            rows.append(Row(as_text(name), tuple(map(as_bytes, as_list(fields[0])))))
    return rows


def read_streams(answer: object) -> Iterator[tuple[bytes, list[Row]]]:
    """Read the answer of XREAD: for each stream with news its key and them."""
    for key, rows in as_dict(answer).items():
        yield as_bytes(key), read_rows(rows)


def read_facts(answer: object) -> StreamFacts:
    """Read the answer of XINFO STREAM; a stream that is not there has had no entry."""
    if isinstance(answer, Exception):
        if "no such key" in str(answer):
            return StreamFacts()
        raise answer
    facts = as_dict(answer)
    first = read_rows([facts.get(b"first-entry")])
    return StreamFacts(
        last=as_text(facts.get(b"last-generated-id", ORIGIN)),
        first=first[0].id if first else None,
        added=int(as_text(facts.get(b"entries-added", 0))),
        length=int(as_text(facts.get(b"length", 0))),
    )
