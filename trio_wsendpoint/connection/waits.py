"""Where the tasks of one connection wait, and what its parts know of what drives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

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


#: Where no task has waited yet; never waited in, so all connections share it.
_EMPTY = Waiters()


class Waits:
    """Where tasks wait: `receiver` for a message, `senders` for their turn, and so on.

    `chunks`: for room, in a message that is sent in chunks.  `pings`: for pongs.  `phase`: for the
    next phase.  `ended`: until the stream is closed.  Each place is made when a task waits there.
    """

    __slots__ = ("chunks", "ended", "phase", "pings", "receiver", "senders")

    def __init__(self) -> None:
        self.receiver = Waiter()
        self.senders = self.chunks = self.pings = self.phase = self.ended = _EMPTY

    async def wait_to_send(self) -> None:
        """Wait in `senders`."""
        if self.senders is _EMPTY:
            self.senders = Waiters()
        await self.senders.wait()

    async def wait_for_chunk(self) -> None:
        """Wait in `chunks`."""
        if self.chunks is _EMPTY:
            self.chunks = Waiters()
        await self.chunks.wait()

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
