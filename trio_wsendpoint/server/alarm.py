"""What a link is to the heartbeat task of the server: woken at its deadline, asked at each tick.

A cancel scope for each wait would cost more than the wait.  Most waits end long before their
deadline, and the next one has a later deadline: of that the heartbeat task need not be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from trio_wsendpoint.connection.heartbeat import HeartbeatTask

__all__ = ["Alarm"]


class Alarm:
    """Calls `wake` when `deadline` has come; `abort` if `heartbeat` keeps no deadlines any more.

    At each tick, what was given to `watch` is asked.  `stop` it: the heartbeat task does not end
    before.
    """

    __slots__ = ("_abort", "_heartbeat", "_is_over", "_wake", "deadline")

    def __init__(
        self,
        heartbeat: HeartbeatTask,
        wake: Callable[[], object],
        abort: Callable[[], object],
    ) -> None:
        self._heartbeat = heartbeat
        self._wake = wake
        self._abort = abort
        self._is_over: Callable[[], bool] | None = None  # asked at each tick
        #: When it is due; infinite if it is not set.
        self.deadline = math.inf
        heartbeat.add(self)

    def set(self, deadline: float) -> None:
        """Be due at `deadline`, and not before."""
        self.deadline = deadline
        self._heartbeat.plan(self)

    def watch(self, is_over: Callable[[], bool]) -> None:
        """Ask `is_over` at each tick, until it says so, or until `unwatch`."""
        self._is_over = is_over
        self._heartbeat.watch(self)

    def unwatch(self, is_over: Callable[[], bool]) -> None:
        """Ask it no more; does nothing if another is asked by now."""
        if self._is_over == is_over:
            self._is_over = None

    def stop(self) -> None:
        """Be due never again; stopping again does nothing."""
        self._heartbeat.remove(self)

    # ---- what it is to the heartbeat -----------------------------------------------------------

    def beat(self, now: float) -> None:
        """Wake the link, unless its deadline has moved."""
        if now >= self.deadline:
            self.deadline = math.inf
            self._wake()

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Ask what is watched; return whether nothing is any more."""
        if self._is_over is not None and self._is_over():
            self._is_over = None
        return self._is_over is None

    def abort(self, why: str) -> None:
        """End the link."""
        self._abort()
