"""Messages that a stream has twice: a publisher without an answer has sent them again.

A message that was sent again says so, and names an id behind which its first is, if the server has
taken that one.  A reader of such an entry looks there, and passes an entry over that has a first.
So all readers, of history and of what is new, agree on where a message is, and a client that comes
back between the two gets the message once.

A history that has trimmed the first meanwhile does not show that there was one.
"""

from __future__ import annotations

from collections.abc import Sequence

from trio_wsendpoint.hub.redis.link import Link
from trio_wsendpoint.hub.redis.places import order
from trio_wsendpoint.hub.redis.rows import Row, read_rows
from trio_wsendpoint.hub.redis.wire import floor_of, number_of

__all__ = ["is_marked", "without_repeats"]

#: Entries that are looked at together.
_PAGE = 100


def is_marked(rows: Sequence[Row]) -> bool:
    """Tell whether any of these entries was sent again."""
    return any(floor_of(row.fields) is not None for row in rows)


async def without_repeats(link: Link, topic: str, rows: Sequence[Row]) -> list[Row]:
    """Return those entries of a topic, in their order, that have no first before them.

    Raises as `Link.ask`.  If cancelled, nothing has changed.
    """
    marked = {row.id: floor for row in rows if (floor := floor_of(row.fields)) is not None}
    if not marked:
        return [*rows]
    sought = {number_of(row.fields) for row in rows if row.id in marked}
    firsts = await _firsts(
        link, topic, sought, min(marked.values(), key=order), max(marked, key=order)
    )
    return [
        row
        for row in rows
        if row.id not in marked or firsts.get(number_of(row.fields), row.id) == row.id
    ]


async def _firsts(
    link: Link, topic: str, sought: set[bytes | None], floor: str, end: str
) -> dict[bytes | None, str]:
    """Return the first id of each number that is sought, behind `floor` and up to `end`."""
    key = link.names.key(topic)
    found: dict[bytes | None, str] = {}
    while len(found) < len(sought):
        [answer] = await link.ask([(b"XRANGE", key, f"({floor}", end, b"COUNT", _PAGE)])
        page = read_rows(answer)
        for row in page:
            number = number_of(row.fields)
            if number in sought:
                found.setdefault(number, row.id)
        if len(page) < _PAGE:
            break
        floor = page[-1].id
    return found
