"""The heartbeat task: pings a silent peer, and gives it up; and lets go of what idles.

It judges the peer only by time in which we were reading.  Only `tasks` imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.options import Heartbeat

if TYPE_CHECKING:  # it makes these
    from trio_wsendpoint.tasks import Tasks

__all__ = ["HeartbeatTask"]

#: Seconds without a message after which compression frees what it can make again.
IDLE = 60.0


class HeartbeatTask:
    """Beats for one connection, whose `tasks` it belongs to; without `options`, no pings."""

    def __init__(self, tasks: Tasks, options: Heartbeat | None) -> None:
        self._tasks = tasks
        self._endpoint = tasks.endpoint
        self._reader = tasks.reader
        self._options = options
        self._seen_activity = 0
        self._active = trio.current_time()

    async def run(self) -> None:
        """Beat until the connection closes."""
        interval = float("inf") if self._options is None else self._options.interval
        last_beat = -float("inf")
        while self._endpoint.is_open:
            planned = max(self._reader.heard, last_beat) + interval
            awake = planned
            if self._endpoint.extension is not None:
                # However rare the beats are: what it holds is looked at four times as often as
                # it may be held idle.
                awake = min(planned, trio.current_time() + IDLE / 4)
            await trio.sleep_until(awake)
            # After a stall of the whole process the peer's bytes may be there, but unread: the
            # reader gets its turn before the peer is judged.
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            self._release_if_idle(now)
            if now < planned:
                continue
            if self._reader.is_paused:
                self._reader.heard = now
                self._show_life()
            elif max(self._reader.heard, last_beat) + interval <= now and self._endpoint.is_open:
                if now > planned + interval:
                    # The process was asleep for longer than a beat: ask before judging.
                    self._endpoint.reset_heartbeat()
                last_beat = now
                self._endpoint.check_heartbeat()
                self._tasks.settle()

    def _release_if_idle(self, now: float) -> None:
        """Free what compression can make again, when no message has passed for a while."""
        if self._tasks.activity != self._seen_activity:
            self._seen_activity, self._active = self._tasks.activity, now
        elif now - self._active >= IDLE and self._endpoint.extension is not None:
            self._endpoint.extension.release()

    def _show_life(self) -> None:
        """Send a ping that needs no answer: the peer's own wait unread, while we do not read."""
        endpoint = self._endpoint
        if endpoint.is_open and endpoint.held is None and not endpoint.get_write_queue_size():
            endpoint.ping()
            endpoint.reset_heartbeat()
            self._tasks.settle()
