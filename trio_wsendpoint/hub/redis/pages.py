"""Pages of a topic's history, read from its stream."""

from __future__ import annotations

import math
import re

from trio_wsendpoint.hub.backplane import Gap, Reading
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.redis.answers import as_list, as_text
from trio_wsendpoint.hub.redis.link import Command, Link, Value
from trio_wsendpoint.hub.redis.places import Found, StreamFacts, judge, order
from trio_wsendpoint.hub.redis.repeats import without_repeats
from trio_wsendpoint.hub.redis.rows import Row, read_facts, read_rows
from trio_wsendpoint.hub.redis.streams import entry_of

__all__ = ["read_after", "read_last"]

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


async def read_last(link: Link, history: History, topic: str, count: int) -> Reading:
    """Return the newest `count` messages at most, none older than the history's age."""
    key = link.names.key(topic)
    oldest = await _oldest(link, history)
    commands: list[Command] = [(b"XINFO STREAM", key)]
    if count:
        commands.append((b"XREVRANGE", key, b"+", oldest, b"COUNT", count))
    info, *found = await _ask(link, commands)
    rows = [row for one in found for row in reversed(read_rows(one))]
    end = rows[-1].id if rows else read_facts(info).last
    return await _page(link, topic, rows, end, is_end=True, gap=None)


async def read_after(
    link: Link, history: History, topic: str, after: Position, limit: int
) -> Reading:
    """Return at most `limit` messages behind `after`, and the gap before them if there is one."""
    oldest = await _oldest(link, history)
    if after.epoch != link.epoch or not _is_id(after.id):
        return await _from_oldest(link, topic, oldest, limit)
    key, place = link.names.key(topic), after.id
    is_old = oldest != "-" and order(oldest) > order(place)
    start = oldest if is_old else f"({place}"
    info, there, between, page = await _ask(
        link,
        [
            (b"XINFO STREAM", key),
            (b"XRANGE", key, place, place),
            # What is too old, and has not been trimmed yet.
            (b"XRANGE", key, f"({place}", f"({oldest}" if is_old else f"({place}", b"COUNT", 1),
            (b"XRANGE", key, start, b"+", b"COUNT", limit + 1),
        ],
    )
    facts, rows = read_facts(info), read_rows(page)
    found = judge(place, facts, is_there=bool(read_rows(there)), is_same_epoch=True)
    if found.gap == "restarted":
        return await _from_oldest(link, topic, oldest, limit)
    if found.gap is None and is_old and read_rows(between):
        found = Found(place, "trimmed")
    gap = None if found.gap is None else Gap(topic, found.gap, found.lost)
    end = _end(rows[:limit], facts, place)
    return await _page(link, topic, rows[:limit], end, is_end=len(rows) <= limit, gap=gap)


async def _from_oldest(link: Link, topic: str, oldest: str, limit: int) -> Reading:
    """Return the first page of a history that knows nothing of the place that was asked for."""
    key = link.names.key(topic)
    info, page = await _ask(
        link, [(b"XINFO STREAM", key), (b"XRANGE", key, oldest, b"+", b"COUNT", limit + 1)]
    )
    rows = read_rows(page)
    end = _end(rows[:limit], read_facts(info), "0-0")
    gap = Gap(topic, "restarted")
    return await _page(link, topic, rows[:limit], end, is_end=len(rows) <= limit, gap=gap)


async def _page(
    link: Link, topic: str, rows: list[Row], end: str, *, is_end: bool, gap: Gap | None
) -> Reading:
    rows = await without_repeats(link, topic, rows)
    found = (entry_of(topic, link.epoch, row) for row in rows)
    entries = tuple(entry for entry in found if entry is not None)
    return Reading(entries, Position(topic, link.epoch, end), is_end, gap)


def _end(rows: list[Row], facts: StreamFacts, place: str) -> str:
    """Return the place behind a page; of an empty one, the later of the place and the end."""
    return rows[-1].id if rows else max(facts.last, place, key=order)


async def _oldest(link: Link, history: History) -> str:
    """Return the id before which a message is too old, by the server's clock; "-" for none."""
    if math.isinf(history.age):
        return "-"
    [now] = await link.ask([(b"TIME",)])
    seconds, micros = (int(as_text(part)) for part in as_list(now))
    return f"{max(0, seconds * 1000 + micros // 1000 - int(history.age * 1000))}-0"


async def _ask(link: Link, commands: list[Command]) -> list[Value]:
    """Ask, and make sure that the answers are of the contents that the link knows."""
    *answers, proof = await link.try_ask([*commands, link.proof])
    if not link.is_proven(proof):
        raise link.stale()
    return answers


def _is_id(id: str) -> bool:
    return _ID.fullmatch(id) is not None and max(order(id)) < 2**63
