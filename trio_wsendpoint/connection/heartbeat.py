"""The heartbeat task: keeps the deadlines of every connection of a server, or of one client.

A session knows its deadlines; this task calls `tick` when the earliest has come.  It also makes
the reader task read where the app has been away for a while: so pings are answered and a close is
seen, whatever the app does.  One task serves all connections, so that an idle connection holds no
task for its deadlines.
"""

from __future__ import annotations

import heapq
from typing import Protocol

import trio

__all__ = ["TICK", "Beating", "HeartbeatTask"]

#: Seconds of a tick: the reader task takes over from an app that was away for one to two ticks.
TICK = 0.03


class Beating(Protocol):
    """What a connection is to the heartbeat."""

    @property
    def deadline(self) -> float:
        """When `beat` is to be called next, in seconds."""
        ...

    def beat(self, now: float) -> None:
        """Do what is due; raises nothing."""
        ...

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Make a task read if none has since before `tick`; return whether one reads."""
        ...

    def abort(self, why: str) -> None:
        """Close the stream at once."""
        ...


class HeartbeatTask:
    """Keeps the deadlines of the connections that were `add`ed, until the last is `remove`d.

    `stays`: run from now until `let_go`, even while there is no connection, as a server does.
    `watched`: connections where the app may be away.  `tick` counts the ticks, while there are any.
    """

    def __init__(self, nursery: trio.Nursery, *, stays: bool = False) -> None:
        self._nursery = nursery
        self._plan: list[tuple[float, int, Beating]] = []  # a heap: when to look at which
        self._count = 0  # entries of the same time are in the order in which they came
        # Of each connection, the time of the entry that counts.  The task runs while there are any,
        # and while this object is one of them: so it stays.
        self._planned: dict[Beating | HeartbeatTask, float] = {}
        self.watched: dict[Beating, None] = {}
        self.tick = 0
        self._ticks_at = float("inf")
        self._scope = trio.CancelScope()  # of the task that was started last
        self._pause = trio.CancelScope()  # the task waits in this one until it has to look
        if stays:
            self._keep(self)

    def _keep(self, one: Beating | HeartbeatTask) -> None:
        """Run for `one` from now on."""
        if not self._planned:
            self._scope = trio.CancelScope(shield=True)
            self._nursery.start_soon(self.run, self._scope, name="trio_wsendpoint heartbeat")
        self._planned[one] = float("inf")

    # ---- what connections tell it ------------------------------------------------------------

    def add(self, connection: Beating) -> None:
        """Keep the deadlines of a connection from now on."""
        self._keep(connection)
        self.plan(connection)

    def plan(self, connection: Beating) -> None:
        """Look at a connection's deadline again, which may have become earlier."""
        deadline = connection.deadline
        if deadline < self._planned.get(connection, -float("inf")):
            self._planned[connection] = deadline
            self._count += 1
            heapq.heappush(self._plan, (deadline, self._count, connection))
            # The task wakes at the new time; until then it need not run.
            if deadline < self._pause.deadline:  # noqa: PLR1730 - to set it costs more than to look
                self._pause.deadline = deadline

    def remove(self, connection: Beating) -> None:
        """Forget a connection; entries of it in the plan are skipped when their time comes."""
        if self._planned.pop(connection, None) is None:
            return
        self.watched.pop(connection, None)
        if not self._planned:
            self._plan.clear()
            self._scope.cancel()
        elif len(self._plan) > 3 * len(self._planned) + 64:
            self._plan = [entry for entry in self._plan if self._counts(entry)]
            heapq.heapify(self._plan)

    def _counts(self, entry: tuple[float, int, Beating]) -> bool:
        return self._planned.get(entry[2]) == entry[0]

    def let_go(self) -> None:
        """End with the last connection, or now if there is none."""
        self._planned.pop(self, None)
        if not self._planned:
            self._scope.cancel()

    def watch(self, connection: Beating) -> None:
        """Ask a connection, unless it is over, at each tick whether a task reads, until one does.

        The reader task takes over from an app that was away for a whole tick.  So an app that comes
        back, or goes again within the tick, need not tell.
        """
        if connection not in self._planned:
            return
        self.watched[connection] = None
        if self._ticks_at == float("inf"):
            self._ticks_at = trio.current_time() + TICK
            if self._ticks_at < self._pause.deadline:  # noqa: PLR1730 - as above
                self._pause.deadline = self._ticks_at

    # ---- the task ----------------------------------------------------------------------------

    # A Ctrl-C that comes while it runs is for the main task.
    @trio.lowlevel.enable_ki_protection
    async def run(self, scope: trio.CancelScope) -> None:
        """Keep deadlines until `scope` is cancelled, because there are none to keep."""
        with scope:
            while not scope.cancel_called:
                planned = self._plan[0][0] if self._plan else float("inf")
                with trio.move_on_at(min(planned, self._ticks_at)) as self._pause:
                    await trio.sleep_forever()
                # After a stall of the whole process the peers' bytes may be there, but
                # unread: the readers get their turn before a peer is judged.
                await trio.lowlevel.checkpoint()
                self._look(trio.current_time())
        if scope is self._scope:  # it was cancelled: no task keeps the deadlines that are left
            self._abort_all()

    def _abort_all(self) -> None:
        left, self._planned = self._planned, {}
        self.watched.clear()
        self._plan.clear()
        for connection in left:
            if not isinstance(connection, HeartbeatTask):
                connection.abort("the heartbeat task was cancelled")

    def cancel(self) -> None:
        """Cancel the task, for tests of what then happens."""
        self._scope.cancel()

    def _look(self, now: float) -> None:
        if now >= self._ticks_at:
            self._take_over()
        while self._plan and self._plan[0][0] <= now:
            entry = heapq.heappop(self._plan)
            connection = entry[2]
            if not self._counts(entry):
                continue
            self._planned[connection] = float("inf")
            connection.beat(now)
            self.plan(connection)

    def _take_over(self) -> None:
        """Make the reader task read where the app has been away for a whole tick."""
        for connection in list(self.watched):
            if connection.is_watch_over(self.tick, 2 * TICK):
                self.watched.pop(connection, None)
        self.tick += 1
        self._ticks_at = trio.current_time() + TICK if self.watched else float("inf")
