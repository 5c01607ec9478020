"""Where the tasks of one connection wait, and what its parts know of what drives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from trio_wsendpoint.connection.heartbeat import Beating
from trio_wsendpoint.transport.waiters import Waiter, Waiters

__all__ = ["Driver", "ReadingDriver", "Waits"]


class Driver(Protocol):
    """What drives a connection, as its reader and its writer see it."""

    def act(self) -> None:
        """Do what the session asks for."""
        ...

    def start_task(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start the task `name`, unless it was started before."""
        ...


class ReadingDriver(Driver, Beating, Protocol):
    """What drives a connection, and is watched by the heartbeat."""

    def read_on(self) -> None:
        """Make a task read to the end of a connection that is not open any more."""
        ...


class Line:
    """Where tasks wait to send, each with the bytes that it has to send.

    They are woken one by one, in the order in which they came, when there is room for the first.
    """

    __slots__ = ("_sizes", "_waiters")

    def __init__(self) -> None:
        self._waiters = Waiters()
        self._sizes: dict[trio.lowlevel.Task, int] = {}

    @trio.lowlevel.enable_ki_protection  # a task that was woken notes that it has run
    async def wait(self, size: int) -> None:
        """Wait to be woken."""
        task = trio.lowlevel.current_task()
        self._sizes[task] = size
        try:
            await self._waiters.wait()
        finally:
            del self._sizes[task]

    @property
    def first(self) -> int | None:
        """The bytes that the first in line has to send; None if no task waits."""
        return next(iter(self._sizes.values()), None)

    def wake_one(self) -> None:
        """Wake the first, if the one that was woken last has run."""
        self._waiters.wake_one()

    def wake_all(self) -> None:
        """Wake all tasks that wait."""
        self._waiters.wake_all()


#: Where no task has waited yet; never waited in, so all connections share them.
_EMPTY = Waiters()
_NO_LINE = Line()


class Waits:
    """Where tasks wait: `receiver` for a message, `senders` for their turn, and so on.

    `chunks`: for room, in a message that is sent in chunks.  `pings`: for pongs.  `phase`: for the
    next phase.  `ended`: until the stream is closed.  Each place is made when a task waits there.
    """

    __slots__ = ("chunks", "ended", "phase", "pings", "receiver", "senders")

    def __init__(self) -> None:
        self.receiver = Waiter()
        self.pings = self.phase = self.ended = _EMPTY
        self.senders = self.chunks = _NO_LINE

    @property
    def has_lines(self) -> bool:
        """Whether a task has waited in `senders` or `chunks`, so that there may be one to wake."""
        return self.senders is not _NO_LINE or self.chunks is not _NO_LINE

    async def wait_to_send(self, size: int) -> None:
        """Wait in `senders` to send `size` bytes."""
        if self.senders is _NO_LINE:
            self.senders = Line()
        await self.senders.wait(size)

    async def wait_for_chunk(self, size: int) -> None:
        """Wait in `chunks` to send `size` bytes."""
        if self.chunks is _NO_LINE:
            self.chunks = Line()
        await self.chunks.wait(size)

    async def wait_for_pong(self) -> None:
        """Wait in `pings`."""
        if self.pings is _EMPTY:
            self.pings = Waiters()
        await self.pings.wait()

    async def wait_for_phase(self) -> None:
        """Wait in `phase`."""
        if self.phase is _EMPTY:
            self.phase = Waiters()
        await self.phase.wait()

    async def wait_for_end(self) -> None:
        """Wait in `ended`."""
        if self.ended is _EMPTY:
            self.ended = Waiters()
        await self.ended.wait()
