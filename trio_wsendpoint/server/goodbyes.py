"""How a server tells its connections that it stops: all at once, or one by one while it drains."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable

import trio

from trio_wsendpoint.connection.closed import ConnectionLost
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Drain", "check_seconds", "say_goodbye", "wait_for_rest"]

#: Connections that are still accepted, at most; and turns in which a task accepts one.
_REST = 1000
_TURNS = 3


def check_seconds(**options: float | None) -> None:
    """Raise `ValueError` for a time that is less than 0 s, or is no number."""
    for name, seconds in options.items():
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"{name} must be 0 s or more, not {seconds}")


def say_goodbye(
    nursery: trio.Nursery, connection: Connection, code: int, reason: str, goodbye: float
) -> None:
    """Tell the handler if it waits in `receive()`, and close the connection in `nursery`.

    The handler has `goodbye` seconds to close it, or to return, if it was told.
    """
    is_told = connection.tasks.dismiss(code, reason)
    nursery.start_soon(_close, connection, code, reason, goodbye if is_told else 0)


@trio.lowlevel.enable_ki_protection
async def _close(connection: Connection, code: int, reason: str, goodbye: float) -> None:
    """Close `connection`, after `goodbye` seconds in which its handler may do so."""
    if goodbye:
        # When the grace is over its handler is cancelled, whose end closes it.
        with trio.move_on_after(goodbye):
            await connection.wait_closed()
    # Shielded: when the grace is over its handler is cancelled, and ends it with a goodbye.
    # What could not be sent is logged.
    with trio.CancelScope(shield=True), contextlib.suppress(ConnectionLost):
        await connection.aclose(code, reason)


async def wait_for_rest(count: Callable[[], int]) -> None:
    """Wait until what waits in the system was accepted, as `count` tells, for a thousand at most.

    A server that closes its listeners would reset those connections, which came before.
    """
    first, seen = count(), -1
    while seen != count() and count() - first < _REST:
        seen = count()
        for _ in range(_TURNS):
            await trio.lowlevel.checkpoint()


class Drain:
    """Says goodbye to each connection at a moment of its own, within `over` seconds from now.

    `random_bytes` draws the moments, so that the clients do not come back all at once.  `say` says
    goodbye to one.  `code`, `reason`: what they are told.
    """

    def __init__(
        self,
        over: float,
        code: int,
        reason: str,
        random_bytes: Callable[[int], bytes],
        say: Callable[[Connection, int, str], object],
    ) -> None:
        self.code = code
        self.reason = reason
        self._until = trio.current_time() + over
        self._random_bytes = random_bytes
        self._say = say
        self._plan: list[tuple[float, int, Connection]] = []  # a heap: when to tell which
        self._count = 0  # those of the same moment are told in the order in which they opened
        self._changed = Waiter()
        self._scope = trio.CancelScope()

    def add(self, connection: Connection) -> None:
        """Plan the goodbye of a connection, which may have opened just now."""
        now = trio.current_time()
        share = int.from_bytes(self._random_bytes(4), "big") / 2**32
        self._count += 1
        heapq.heappush(
            self._plan, (now + max(self._until - now, 0) * share, self._count, connection)
        )
        self.note_change()

    def note_change(self) -> None:
        """Look again: a connection or an opening has ended."""
        self._changed.wake()

    def stop(self) -> None:
        """Say no more goodbyes: the server closes."""
        self._scope.cancel()

    async def run(self, is_opening: Callable[[], bool]) -> None:
        """Say the goodbyes, until all are said and nothing `is_opening`; or until `stop`."""
        with self._scope:
            while self._plan or is_opening():
                with trio.move_on_at(self._plan[0][0] if self._plan else float("inf")):
                    await self._changed.wait()
                self._say_what_is_due()

    def _say_what_is_due(self) -> None:
        # Those that have ended need no moment to be waited for.
        while self._plan and (
            self._plan[0][0] <= trio.current_time() or not self._plan[0][2].is_open
        ):
            connection = heapq.heappop(self._plan)[2]
            if connection.is_open:
                self._say(connection, self.code, self.reason)
