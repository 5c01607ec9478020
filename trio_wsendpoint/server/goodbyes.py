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
#: Share of a drain, at its end, in which slow connections are told.
_SLOW_SHARE = 0.2


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

    `random_bytes` draws the moments, so that the clients do not come back all at once.  A
    connection that is slow at its moment gets another one in the last fifth of the time, after
    those that keep up: its peer can take what waits until then.  `say` says goodbye to one.
    `code`, `reason`: what they are told.
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
        self._slow_from = self._until - over * _SLOW_SHARE
        self._random_bytes = random_bytes
        self._say = say
        # A heap: when to tell which, and whether it is told even if it is slow.
        self._plan: list[tuple[float, int, bool, Connection]] = []
        self._count = 0  # those of the same moment are told in the order in which they were planned
        self._changed = Waiter()
        self._scope = trio.CancelScope()

    def add(self, connection: Connection) -> None:
        """Plan the goodbye of a connection, which may have opened just now."""
        now = trio.current_time()
        is_early = now < self._slow_from
        self._put(connection, now, self._slow_from if is_early else self._until, is_last=False)
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

    def _put(self, connection: Connection, start: float, end: float, *, is_last: bool) -> None:
        """Plan a goodbye at a random moment between two times."""
        share = int.from_bytes(self._random_bytes(4), "big") / 2**32
        self._count += 1
        moment = start + max(end - start, 0) * share
        heapq.heappush(self._plan, (moment, self._count, is_last, connection))

    def _say_what_is_due(self) -> None:
        # Those that have ended need no moment to be waited for.
        now = trio.current_time()
        while self._plan and (self._plan[0][0] <= now or not self._plan[0][3].is_open):
            _, _, is_last, connection = heapq.heappop(self._plan)
            if not connection.is_open:
                continue
            if is_last or not _is_slow(connection):
                self._say(connection, self.code, self.reason)
            else:
                self._put(connection, max(now, self._slow_from), self._until, is_last=True)


def _is_slow(connection: Connection) -> bool:
    """Tell whether something waits until the peer takes it."""
    told = connection.statistics()
    return told.write_queue_bytes > 0 or told.tasks_waiting_send > 0
