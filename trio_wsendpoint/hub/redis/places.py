"""Where each followed topic has been read to, and whether that place holds: no I/O, no Trio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["ORIGIN", "Followed", "Found", "Pace", "StreamFacts", "judge", "order"]

#: The id before the first entry of a stream.
ORIGIN = "0-0"


def order(id: str) -> tuple[int, ...]:
    """Return an id of a stream as two numbers: of two ids the later one has the greater."""
    time, _, count = id.partition("-")
    return int(time), int(count or 0)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What a server says of a stream.

    `last`: the id that was given last.  `first`: of the oldest entry that is there, None without
    any.  `added`: entries that were ever added.  `length`: entries that are there.
    """

    last: str = ORIGIN
    first: str | None = None
    added: int = 0
    length: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing has been removed from it."""
        return self.added == self.length


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a place: read on at `start`, and tell `gap` before that."""

    start: str
    gap: Literal["trimmed", "restarted"] | None = None
    lost: int | None = None


def judge(place: str, facts: StreamFacts, *, is_there: bool, is_same_epoch: bool) -> Found:
    """Judge a place behind an entry, by what the server says of the stream now.

    `is_there`: the entry itself is there, as reading inclusively has shown.  A place behind the
    last id that was given is one of lost entries, even if that id is no longer there.
    """
    if not is_same_epoch:
        return Found(ORIGIN, "restarted")
    if is_there or place == facts.last:
        return Found(place)
    if order(facts.last) < order(place):
        return Found(facts.last, "restarted")
    if place == ORIGIN:
        return (
            Found(place) if facts.is_whole else Found(place, "trimmed", facts.added - facts.length)
        )
    if facts.first is None or order(facts.first) > order(place):
        # What was removed since is unknown: a trimmed history, or one that lost its end and grew.
        return Found(place, "trimmed")
    return Found(place, "restarted")


class Followed:
    """The topics that are followed, each with the id up to which it was delivered.

    A topic is *new* until `begin` gives it a place.
    """

    __slots__ = ("_new", "_places")

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self._new: dict[str, None] = {}  # in the order of their coming

    def follow(self, topic: str) -> bool:
        """Note a topic; return whether it is new."""
        if topic in self._places or topic in self._new:
            return False
        self._new[topic] = None
        return True

    def unfollow(self, topic: str) -> None:
        """Forget a topic."""
        self._places.pop(topic, None)
        self._new.pop(topic, None)

    @property
    def new(self) -> tuple[str, ...]:
        """The topics that have no place yet."""
        return tuple(self._new)

    @property
    def places(self) -> dict[str, str]:
        """The topics that have one, with it: a copy."""
        return dict(self._places)

    def is_new(self, topic: str) -> bool:
        """Tell whether a topic is followed and has no place yet."""
        return topic in self._new

    def has_begun(self, topic: str) -> bool:
        """Tell whether a topic is followed and has its place."""
        return topic in self._places

    def begin(self, topic: str, place: str) -> bool:
        """Give a topic its place; return False if it is not followed any more."""
        if topic not in self._new and topic not in self._places:
            return False
        self._new.pop(topic, None)
        self._places[topic] = place
        return True

    def advance(self, topic: str, place: str) -> None:
        """Note that a topic was delivered up to a later place."""
        if topic in self._places:
            self._places[topic] = place

    def renew(self, topics: Iterable[str]) -> None:
        """Make topics new again, because their places mean nothing."""
        for topic in topics:
            if self._places.pop(topic, None) is not None:
                self._new[topic] = None

    def __contains__(self, topic: str) -> bool:
        return topic in self._places or topic in self._new

    def __len__(self) -> int:
        return len(self._places) + len(self._new)


class Pace:
    """How many entries of each topic to ask for, so that one answer is bounded in bytes.

    The server bounds the entries of a topic alone, so the bound goes by the largest entry that
    came lately, and is exceeded once where a larger one comes.
    """

    __slots__ = ("_budget", "_largest")

    #: The most entries of one topic in an answer.
    MOST = 500

    def __init__(self, budget: int = 4 * 1024 * 1024) -> None:
        self._budget = budget
        self._largest = 256.0

    def count(self, topics: int) -> int:
        """Return the entries to ask for of each of so many topics."""
        fitting = self._budget / (self._largest * max(topics, 1))
        return max(1, min(self.MOST, int(fitting)))

    def note(self, sizes: Sequence[int]) -> None:
        """Note the sizes of what came; the largest is forgotten slowly."""
        if sizes:
            self._largest = max(256.0, self._largest * 0.9, *sizes)
