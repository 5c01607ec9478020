"""Wakes a link at its deadline, which the heartbeat task of the server keeps.

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

    `stop` it: the heartbeat task does not end before.
    """

    __slots__ = ("_abort", "_heartbeat", "_wake", "deadline")

    def __init__(
        self,
        heartbeat: HeartbeatTask,
        wake: Callable[[], object],
        abort: Callable[[], object],
    ) -> None:
        self._heartbeat = heartbeat
        self._wake = wake
        self._abort = abort
        #: When it is due; infinite if it is not set.
        self.deadline = math.inf
        heartbeat.add(self)

    def set(self, deadline: float) -> None:
        """Be due at `deadline`, and not before."""
        self.deadline = deadline
        self._heartbeat.plan(self)

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
        """Return True: nothing is watched."""
        return True

    def abort(self, why: str) -> None:
        """End the link."""
        self._abort()
