"""The heartbeat task: looks after every connection of a server, or the one of a client.

* It pings a peer that has been silent for `Heartbeat.interval`, and gives it up after
  `max_pings`.  It judges a peer only by time in which we were reading.
* It has the reader task read where the app has not for a while: so pings are answered, and a
  close is seen, whatever the app does.
* It lets go of what compression can make again, where no message has passed for a while.

One task for all, because an idle connection should cost what it needs.  Imported by `tasks`,
`context` and `server`.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.options import Heartbeat
from trio_wsendpoint.transport.waiters import Waiter

if TYPE_CHECKING:  # they have one
    from trio_wsendpoint.connection.tasks import Tasks

__all__ = ["HeartbeatTask", "Pulse"]

#: Seconds without a message after which compression frees what it can make again.
IDLE = 60.0
#: Seconds after which the app is looked for: the task reads when it has been away for one to two.
TICK = 0.03


class Pulse:
    """What the heartbeat knows of one connection."""

    __slots__ = ("active", "interval", "last_beat", "seen_activity", "tasks")

    def __init__(self, tasks: Tasks, options: Heartbeat | None) -> None:
        self.tasks: Tasks | None = tasks  # None when it is over
        self.interval = float("inf") if options is None else options.interval
        self.last_beat = -float("inf")
        self.seen_activity = 0
        self.active = tasks.opened_at

    def plan(self, tasks: Tasks) -> float:
        """Return when the next ping is due."""
        return max(tasks.reader.heard, self.last_beat) + self.interval


class HeartbeatTask:
    """Beats for those that were `add`ed, from the first until the last was `remove`d.

    One that `stays`, for a server with connections that come and go, from now to `let_go` at least.
    """

    def __init__(self, nursery: trio.Nursery, *, stays: bool = False) -> None:
        self._nursery = nursery
        self._stays = stays
        self._plan: list[tuple[float, int, float, Pulse]] = []  # a heap: when to look at whom
        self._count = 0
        self._pulses: dict[Pulse, None] = {}
        self._watched: dict[Tasks, None] = {}  # where the app may be away
        #: Counts the ticks, while there is somebody to watch.
        self.tick = 0
        self._ticks_at = float("inf")
        self._is_running = False
        self._scope = trio.CancelScope()
        self._pause = trio.CancelScope()  # it waits in this one until it has to look
        self._changed = Waiter()
        if stays:
            self._start()

    def _start(self) -> None:
        self._is_running = True
        self._nursery.start_soon(self.run, name="trio_wsendpoint heartbeat")

    # ---- what connections tell it ------------------------------------------------------------

    def add(self, pulse: Pulse) -> None:
        """Look after a connection from now on."""
        self._pulses[pulse] = None
        if pulse.tasks is not None:
            self._schedule(pulse, pulse.tasks)
        if not self._is_running:
            self._start()

    def remove(self, pulse: Pulse) -> None:
        """Look after it no longer; what was planned for it is passed over when its time comes."""
        tasks, pulse.tasks = pulse.tasks, None
        if tasks is not None:
            del self._pulses[pulse]
            self._watched.pop(tasks, None)
            if not self._pulses:
                self._plan.clear()
            elif len(self._plan) > 3 * len(self._pulses) + 64:
                self._plan = [entry for entry in self._plan if entry[-1].tasks is not None]
                heapq.heapify(self._plan)
            if not (self._pulses or self._stays):
                self._changed.wake()

    def plan_end(self, pulse: Pulse, when: float) -> None:
        """Look whether a connection has ended by then, which it is to have."""
        self._count += 1
        heapq.heappush(self._plan, (when, self._count, when, pulse))
        self._hasten(when)

    def let_go(self) -> None:
        """Stay no longer than there is somebody to look after."""
        self._stays = False
        if not self._pulses:
            self._changed.wake()

    def watch(self, tasks: Tasks) -> None:
        """See that somebody reads there, until at a tick somebody does.

        Who was away when a tick began and still is when it ends is taken over from; so nothing
        has to be told when the app comes back, or goes again within the tick.
        """
        self._watched[tasks] = None
        if self._ticks_at == float("inf"):
            self._ticks_at = trio.current_time() + TICK
            self._hasten(self._ticks_at)

    def _hasten(self, when: float) -> None:
        """Look at `when`, if not before: to move a deadline costs less than to wake the task."""
        if when < self._pause.deadline:  # noqa: PLR1730 - to set it costs more than to look
            self._pause.deadline = when

    # ---- the task ----------------------------------------------------------------------------

    # A Ctrl-C that comes while it runs is for the main task.
    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Beat until there is nobody to look after."""
        with trio.CancelScope(shield=True) as self._scope:
            while self._pulses or self._stays:
                planned = self._plan[0][0] if self._plan else float("inf")
                with trio.move_on_at(min(planned, self._ticks_at)) as self._pause:
                    await self._changed.wait()
                if self._pause.cancelled_caught:
                    # After a stall of the whole process the peers' bytes may be there, but
                    # unread: the readers get their turn before a peer is judged.
                    await trio.lowlevel.checkpoint()
                    self._look(trio.current_time())
        self._is_running = False
        for pulse in list(self._pulses):  # it was cancelled: nobody looks after these any longer
            if pulse.tasks is not None:
                pulse.tasks.abort("the heartbeat task was cancelled")

    def cancel(self) -> None:
        """Cancel the task, for tests of what then happens."""
        self._scope.cancel()

    def _look(self, now: float) -> None:
        if now >= self._ticks_at:
            self._take_over()
        while self._plan and self._plan[0][0] <= now:
            _, _, planned, pulse = heapq.heappop(self._plan)
            tasks = pulse.tasks
            if tasks is None:
                continue
            if not tasks.is_open:
                tasks.check_end(now)
                continue
            try:
                self._look_at(pulse, tasks, planned, now)
            except Exception as error:  # noqa: BLE001 - an override of the endpoint's: its own end
                tasks.crash(error)
            if pulse.tasks is not None and tasks.endpoint.is_open:
                self._schedule(pulse, tasks)

    def _schedule(self, pulse: Pulse, tasks: Tasks) -> None:
        planned = awake = pulse.plan(tasks)
        if tasks.endpoint.extension is not None:
            # However rare the beats are: what it holds is looked at four times as often as it
            # may be held idle.
            awake = min(planned, trio.current_time() + IDLE / 4)
        if awake < float("inf"):
            self._count += 1  # entries of the same time in the order in which they came
            heapq.heappush(self._plan, (awake, self._count, planned, pulse))
            self._hasten(awake)

    def _take_over(self) -> None:
        """Have the reader task read where the app has been away for a whole tick."""
        for tasks in list(self._watched):
            tasks.hurry()
            if tasks.reader.is_watch_over(self.tick, 2 * TICK):
                del self._watched[tasks]
        self.tick += 1
        self._ticks_at = trio.current_time() + TICK if self._watched else float("inf")

    def _look_at(self, pulse: Pulse, tasks: Tasks, planned: float, now: float) -> None:
        _release_if_idle(pulse, tasks, now)
        if now < planned:
            return
        if tasks.reader.is_paused:
            tasks.reader.heard = now
            _show_life(tasks)
        elif pulse.plan(tasks) <= now and tasks.endpoint.is_open:
            if now > planned + pulse.interval:
                # The process was asleep for longer than a beat: ask before judging.
                tasks.endpoint.reset_heartbeat()
            pulse.last_beat = now
            tasks.endpoint.check_heartbeat()
            tasks.settle()


def _release_if_idle(pulse: Pulse, tasks: Tasks, now: float) -> None:
    """Free what compression can make again, when no message has passed for a while."""
    traffic = tasks.endpoint.traffic
    activity = traffic.payload_sent + traffic.wire_received
    if activity != pulse.seen_activity:
        pulse.seen_activity, pulse.active = activity, now
    elif now - pulse.active >= IDLE and tasks.endpoint.extension is not None:
        tasks.endpoint.extension.release()


def _show_life(tasks: Tasks) -> None:
    """Send a ping that needs no answer: the peer's own wait unread, while we do not read."""
    endpoint = tasks.endpoint
    if endpoint.is_open and endpoint.held is None and not endpoint.get_write_queue_size():
        endpoint.ping()
        endpoint.reset_heartbeat()
        tasks.settle()
