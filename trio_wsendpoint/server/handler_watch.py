"""Tells when the client of a plain request is lost, whose handler is to be cancelled.

Most handlers answer at once, and a task that waits for the client's end would cost them a third
more.  So the heartbeat task starts it, and only for a handler that is at work at its second tick.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.server.exchange import AnswerPhase, Exchange

__all__ = ["HandlerWatch"]

#: The tick of the heartbeat at which the task is started.
SECOND = 2


class HandlerWatch:
    """Calls `on_lost` if the client is lost while one handler is at work: from `start` to `stop`.

    Without an alarm of the exchange's link the task is started at once.  It needs the nursery of
    the link, and without that nothing is told.
    """

    __slots__ = ("_exchange", "_on_lost", "_ticks")

    def __init__(self, exchange: Exchange, on_lost: Callable[[], object]) -> None:
        self._exchange = exchange
        self._on_lost = on_lost
        self._ticks = 0  # that have found the handler at work

    def start(self) -> None:
        """Begin to watch."""
        link = self._exchange.link
        if link.nursery is None:
            return
        if link.alarm is None:
            link.nursery.start_soon(self._tell_if_lost)
        else:
            link.alarm.watch(self._is_over)

    def stop(self) -> None:
        """End: the handler has, or its answer is complete."""
        alarm = self._exchange.link.alarm
        if alarm is not None:
            alarm.unwatch(self._is_over)

    def _is_over(self) -> bool:
        """Start the task at the second tick; return whether it has been started."""
        self._ticks += 1
        nursery = self._exchange.link.nursery
        if self._ticks < SECOND or nursery is None:
            return False
        nursery.start_soon(self._tell_if_lost)
        return True

    @trio.lowlevel.enable_ki_protection
    async def _tell_if_lost(self) -> None:
        """Tell once the client is lost; end with the exchange."""
        await self._exchange.wait_gone()
        is_complete = self._exchange.phase is AnswerPhase.COMPLETE
        if self._exchange.link.lost is not None and not is_complete:
            self._on_lost()
