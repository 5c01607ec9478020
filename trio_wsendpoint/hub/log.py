"""The history of one topic, in memory: no Trio, no clock."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import islice

from trio_wsendpoint.hub.backplane import Entry, Gap, Publication, Reading
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.numbers import Heard
from trio_wsendpoint.hub.positions import Position

__all__ = ["MESSAGE_OVERHEAD", "Log", "payload_size", "size_of"]

#: What a message takes besides its payload, in bytes, and what a key takes besides its own:
#: measured, in a queue and in a history.
MESSAGE_OVERHEAD = 400
KEY_OVERHEAD = 160


def payload_size(message: str | bytes) -> int:
    """Return the bytes of a message: of a text, those of its UTF-8."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())


def size_of(publication: Publication) -> int:
    """Return what a message counts for wherever bytes are bounded."""
    key = 0 if publication.key is None else KEY_OVERHEAD + payload_size(publication.key)
    return MESSAGE_OVERHEAD + payload_size(publication.message) + key


@dataclass(frozen=True, slots=True)
class _Kept:
    """An entry with its id as a number, its size in bytes, and when it was stored, in seconds."""

    id: int
    entry: Entry
    size: int
    stored: float


class Log:
    """What is kept of one topic: entries 1, 2, 3 of one epoch, bounded by a `History`.

    A message that is larger than the whole bound is not kept: those after it are.  A message that
    comes again, with the publisher and the number that it had, is kept at its first place alone.
    """

    __slots__ = ("_bytes", "_dropped", "_heard", "_history", "_kept", "_last", "epoch", "topic")

    def __init__(self, topic: str, epoch: str, history: History) -> None:
        self.topic = topic
        self.epoch = epoch
        self._history = history
        self._kept: deque[_Kept] = deque()
        self._heard = Heard()
        self._bytes = 0
        self._last = 0  # the id that was given last
        self._dropped = 0  # the greatest id that was given and is not kept

    @property
    def end(self) -> Position:
        """The place behind the last message."""
        return self._place(self._last)

    @property
    def bytes(self) -> int:
        """What it holds, as `History.bytes` counts."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, publication: Publication, publisher: str, number: int, now: float) -> Entry:
        """Store a message; return its entry: of a repeat, that of its first if it is there."""
        if self._heard.judge(publisher, number) is None:
            for kept in self._kept:
                if (kept.entry.publisher, kept.entry.number) == (publisher, number):
                    return kept.entry
        self._last += 1
        entry = Entry(publication, self._place(self._last), publisher, number)
        size = size_of(publication)
        self._kept.append(_Kept(self._last, entry, size, now))
        self._bytes += size
        self.trim(now)
        return entry

    def trim(self, now: float) -> None:
        """Drop what is over the bounds, the oldest first."""
        kept, history = self._kept, self._history
        while kept and (
            len(kept) > history.entries
            or self._bytes > history.bytes
            or now - kept[0].stored > history.age
        ):
            self._drop(kept.popleft())

    def lose(self, count: int) -> None:
        """Drop the newest `count` messages, as a server does that has acknowledged too early."""
        for _ in range(min(count, len(self._kept))):
            self._drop(self._kept.pop())

    def _drop(self, kept: _Kept) -> None:
        self._bytes -= kept.size
        self._dropped = max(self._dropped, kept.id)

    def read(self, after: Position, limit: int, now: float) -> Reading:
        """Return at most `limit` messages behind `after`, and what is missing before them."""
        self.trim(now)
        [place, *rest] = after.order
        if after.epoch != self.epoch or place > self._last or rest:
            page = self._page(0, limit, self._place(self._dropped))
            return Reading(page.entries, page.end, page.is_end, Gap(self.topic, "restarted"))
        page = self._page(bisect_right(self._kept, place, key=lambda kept: kept.id), limit, after)
        if place >= self._dropped:
            return page
        there = sum(kept.id > place for kept in self._kept)
        gap = Gap(self.topic, "trimmed", self._last - place - there)
        return Reading(page.entries, page.end, page.is_end, gap)

    def read_last(self, count: int, now: float) -> Reading:
        """Return the newest `count` messages at most."""
        self.trim(now)
        return self._page(max(len(self._kept) - count, 0), count, self.end)

    def _page(self, index: int, limit: int, place: Position) -> Reading:
        """Return the messages from an index on; without any, `place` is where to read on."""
        found = tuple(kept.entry for kept in islice(self._kept, index, index + limit))
        is_end = index + limit >= len(self._kept)
        end = found[-1].position if found else place
        return Reading(found, self.end if is_end else end, is_end)

    def _place(self, number: int) -> Position:
        return Position(self.topic, self.epoch, str(number))
