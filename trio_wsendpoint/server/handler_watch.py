"""Tells when the client of a plain request is lost, whose handler is to be cancelled.

Most handlers answer at once, and a task that waits for the client's end would cost them a third
more.  So the heartbeat task starts it, and only for a handler that is at work at its second tick.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.server.exchange import AnswerPhase, Exchange

__all__ = ["HandlerWatch"]

#: The tick of the heartbeat at which the task is started.
SECOND = 2


class HandlerWatch:
    """Calls `on_lost` if the client is lost while one handler is at work: from `start` to `stop`.

    `heartbeat` is the server's; without one the task is started at once.  It needs the nursery of
    the exchange's link, and without that the handler is not cancelled.
    """

    __slots__ = ("_exchange", "_heartbeat", "_on_lost", "_ticks")

    def __init__(
        self,
        exchange: Exchange,
        on_lost: Callable[[], object],
        heartbeat: HeartbeatTask | None,
    ) -> None:
        self._exchange = exchange
        self._on_lost = on_lost
        self._heartbeat = heartbeat
        self._ticks = 0  # that have found the handler at work

    def start(self) -> None:
        """Begin to watch."""
        if self._heartbeat is None:
            self._start_task()
        elif self._exchange.link.nursery is not None:
            self._heartbeat.add(self)
            self._heartbeat.watch(self)

    def stop(self) -> None:
        """End: the handler has."""
        if self._heartbeat is not None:
            self._heartbeat.remove(self)

    def _start_task(self) -> None:
        nursery = self._exchange.link.nursery
        if nursery is not None:
            nursery.start_soon(self._tell_if_lost)

    @trio.lowlevel.enable_ki_protection
    async def _tell_if_lost(self) -> None:
        """Tell once the client is lost; end with the exchange."""
        await self._exchange.wait_gone()
        is_complete = self._exchange.phase is AnswerPhase.COMPLETE
        if self._exchange.link.lost is not None and not is_complete:
            self._on_lost()

    # ---- what it is to the heartbeat -----------------------------------------------------------

    @property
    def deadline(self) -> float:
        """Never: only ticks count."""
        return math.inf

    def beat(self, now: float) -> None:
        """Do nothing."""

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Start the task at the second tick; return whether it has been started."""
        self._ticks += 1
        if self._ticks < SECOND:
            return False
        self._start_task()
        return True

    def abort(self, why: str) -> None:
        """Do nothing: the handler is cancelled by other means."""
