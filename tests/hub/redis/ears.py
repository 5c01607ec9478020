"""A receiver that notes what it is told, and waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from trio_wsendpoint.hub import Entry, Position, Reason
from trio_wsendpoint.hub.redis import RedisBackplane

#: Seconds that a loaded machine may need for anything at all.
PATIENCE = 30.0


class Ear:
    """What a hub would hear, in order: `told` has tuples whose first word is the call's name."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.entries: list[Entry] = []
        self._changed = trio.Event()

    def _note(self, *what: object) -> None:
        self.told.append(what)
        self._changed.set()
        self._changed = trio.Event()

    def up(self, epoch: str) -> None:
        self._note("up", epoch)

    def down(self, error: Exception) -> None:
        self._note("down", error)

    def following(self, topic: str, position: Position | None) -> None:
        self._note("following", topic, position)

    def deliver(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)
        for entry in entries:
            self._note("entry", entry.publication.topic, entry.publication.message)

    def gap(self, topics: Iterable[str], reason: Reason, lost: int | None = None) -> None:
        for topic in topics:
            self._note("gap", topic, reason, lost)

    # ---- what tests ask ------------------------------------------------------------------------

    def count(self, *begin: object) -> int:
        """Return how often something was told that begins with these words."""
        return sum(one[: len(begin)] == begin for one in self.told)

    @property
    def messages(self) -> list[str | bytes]:
        return [entry.publication.message for entry in self.entries]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, which is looked at when something is told."""
        with trio.fail_after(PATIENCE):
            while not condition():
                await self._changed.wait()

    async def hears(self, *begin: object, times: int = 1) -> None:
        """Wait until something was told so often."""
        await self.until(lambda: self.count(*begin) >= times)


@asynccontextmanager
async def running(backplane: RedisBackplane, *topics: str) -> AsyncIterator[Ear]:
    """Run a backplane that follows topics, until the block ends."""
    ear = Ear()
    async with trio.open_nursery() as nursery:
        await nursery.start(backplane.run, ear)
        for topic in topics:
            backplane.follow(topic)
        for topic in topics:
            await ear.hears("following", topic)
        yield ear
        nursery.cancel_scope.cancel()
