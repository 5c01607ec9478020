"""Decides which workers start, stop and are killed; does nothing itself.

A driver tells it what has happened and what time it is, and does the actions that it returns.
Neither a process nor a clock is touched here: the tests need none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.workers.actions import Action, Kill, Note, Start, Stop
from trio_wsendpoint.workers.phases import PARENT_MOVES, ParentPhase, WorkerPhase
from trio_wsendpoint.workers.places import Member, Place

__all__ = ["Pace", "Supervisor"]

#: Seconds from the end of a worker's pipe until its process is found to be alive all the same.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a `Supervisor` waits; times in seconds.

    `ready`: a worker that has not said that it serves by then is killed.  `settle`: new workers
    of a roll are watched so long before the old ones are told to stop.  `stop`: a worker that has
    not ended so long after it was told to is killed.  `backoff`: how long until a worker that has
    failed is replaced; one that was ready for `Backoff.healthy` seconds has not failed.
    """

    ready: float = 60.0
    settle: float = 1.0
    stop: float = 35.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Keeps `count` workers alive, rolls them, and ends them.

    Each method takes `now`, the time, which never goes back, and leaves actions for
    `take_actions`.  `deadline` is when `tick` is to be called next.  `phase` is `OVER` when all
    is done; then `failure` says why it was no success, None if it was one.
    """

    def __init__(self, count: int, pace: Pace) -> None:
        self.phase = ParentPhase.STARTING
        self.members: dict[int, Member] = {}
        self.failure: str | None = None
        #: What has been counted: workers that were started, that ended without being told to,
        #: rolls that were completed, and rolls that failed.
        self.starts = self.deaths = self.rolls = self.failed_rolls = 0
        self.last_failure: str | None = None
        self._pace = pace
        self._places = [Place(index) for index in range(count)]
        self._deadline = math.inf  # of the phase
        self._is_roll_queued = False
        self._untried = set(range(count))  # places whose first worker has not shown what it can
        self._actions: list[Action] = []

    # ---- what it tells -----------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """The time at which `tick` is to be called; infinite if there is nothing to wait for."""
        members = (member.deadline for member in self.members.values())
        places = (place.retry_at for place in self._places)
        return min([self._deadline, *members, *places])

    @property
    def is_roll_queued(self) -> bool:
        """Whether another roll begins when this one, or the start, is over."""
        return self._is_roll_queued

    def take_actions(self) -> list[Action]:
        """Return what is to be done, in this order, once."""
        actions, self._actions = self._actions, []
        return actions

    # ---- what it is told ---------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Start the first workers, all at once."""
        for place in self._places:
            place.current = self._start(place, now)

    def note_started(self, number: int, pid: int) -> None:
        """Hear that the process of worker `number` runs."""
        self.members[number].note_pid(pid)

    def note_ready(self, number: int, now: float) -> None:
        """Hear that worker `number` serves; once it was told to end, that changes nothing."""
        member = self.members[number]
        if member.phase is not WorkerPhase.STARTING:
            return
        member.move(WorkerPhase.READY, now)
        self._note(f"{member} is ready")
        self._note_tried(member, now)
        if self.phase is ParentPhase.ROLLING:
            self._roll_on(now)

    def note_useless(self, number: int, why: str, now: float) -> None:
        """Hear that worker `number` can tell nothing any more: it never becomes ready.

        One that is ready serves on.  A process that has just ended is given time to be reaped.
        """
        member = self.members[number]
        if member.is_wanted:
            member.doubt(why, min(member.deadline, now + _PATIENCE))

    def note_gone(self, number: int, how: str, now: float) -> None:
        """Hear that the process of worker `number` has ended, `how`, or could not be started."""
        member = self.members.pop(number)
        was_wanted, was_starting = member.is_wanted, member.phase is WorkerPhase.STARTING
        member.move(WorkerPhase.GONE, now)
        if was_wanted:
            self.deaths += 1
            self._note(f"{member} {how}", is_bad=True)
        else:
            self._note(f"{member} has ended: {how}")
        place = self._places[member.place]
        if was_starting:
            self.last_failure = f"{member} {how} before it was ready"
        if place.following is member:
            when = "before it was ready" if was_starting else "before the roll was complete"
            self._fail_roll(f"{member} {how} {when}", now)
        elif place.current is member:
            place.current = None
            self._plan_next(place, member, now)
        self._note_tried(member, now)
        self._note_fewer(now)

    def roll(self, now: float) -> None:
        """Replace every worker by a new one (SIGHUP); queued once while another roll goes on."""
        if self.phase is ParentPhase.SERVING:
            self._begin_roll(now)
        elif self.phase not in {ParentPhase.STOPPING, ParentPhase.OVER}:
            self._is_roll_queued = True
            self._note(f"a roll is queued: the parent is {self.phase}")

    def stop(self, now: float) -> None:
        """End every worker (SIGTERM); called again, at once."""
        if self.phase is ParentPhase.OVER:
            return
        if self.phase is ParentPhase.STOPPING:
            for member in self.members.values():
                self._kill(member, "the parent was told again to stop", now)
            return
        self._move(ParentPhase.STOPPING)
        self._is_roll_queued = False
        for place in self._places:
            place.retry_at = math.inf
        for member in list(self.members.values()):
            self._stop(member, now)
        self._note_fewer(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for member in list(self.members.values()):
            if member.deadline > now:
                continue
            if member.phase is WorkerPhase.STARTING:
                late = f"was not ready within {self._pace.ready:g} s"
                self._give_up(member, member.fault or late, now)
            elif member.phase is WorkerPhase.READY:
                member.doubt(member.fault, math.inf)
                self._note(f"{member} {member.fault}: it serves on, and counts no more", True)
            else:
                self._kill(member, f"has not ended within {self._pace.stop:g} s", now)
        for place in self._places:
            if place.retry_at <= now:
                place.retry_at = math.inf
                place.current = self._start(place, now)
        if self._deadline <= now:
            self._complete_roll(now)

    # ---- workers -----------------------------------------------------------------------------

    def _start(self, place: Place, now: float) -> Member:
        self.starts += 1
        member = Member(self.starts, place.index, now, now + self._pace.ready)
        self.members[member.number] = member
        self._actions.append(Start(member.number, place.index))
        return member

    def _stop(self, member: Member, now: float) -> None:
        if member.is_wanted:
            member.move(WorkerPhase.STOPPING, now, now + self._pace.stop)
            self._actions.append(Stop(member.number))

    def _kill(self, member: Member, why: str, now: float) -> None:
        if member.phase is not WorkerPhase.KILLED:
            member.move(WorkerPhase.KILLED, now)
            self._note(f"{member} {why}: it is killed", is_bad=True)
            self._actions.append(Kill(member.number))

    def _give_up(self, member: Member, why: str, now: float) -> None:
        """Kill a worker that has not become ready, which is its failure."""
        self._kill(member, why, now)
        self.deaths += 1
        self.last_failure = f"{member} {why}"
        if self._places[member.place].following is member:
            self._fail_roll(self.last_failure, now)

    def _plan_next(self, place: Place, gone: Member, now: float) -> None:
        """Plan when the worker that is gone is replaced."""
        if self.phase is ParentPhase.STOPPING:
            return
        backoff = self._pace.backoff
        lasted = -1.0 if gone.was_ready is None else now - gone.was_ready
        if lasted >= backoff.healthy:
            place.failures = 0
            wait = backoff.delay("now", 0)
        else:
            place.failures += 1
            wait = backoff.delay("later", place.failures)
        place.retry_at = now + wait
        in_a_row = f", after {place.failures} failures in a row" if place.failures > 1 else ""
        self._note(f"place {place.index} gets a new worker in {wait:.1f} s{in_a_row}")

    # ---- the parent --------------------------------------------------------------------------

    def _note_tried(self, member: Member, now: float) -> None:
        """Begin to serve when each of the first workers is ready or has failed."""
        self._untried.discard(member.place)
        if self.phase is not ParentPhase.STARTING or self._untried:
            return
        if any(one.phase is WorkerPhase.READY for one in self.members.values()):
            self._serve(now)
        else:
            # A port that no worker serves makes its clients wait: without one they are refused.
            self.failure = f"no worker became ready: {self.last_failure}"
            self.stop(now)

    def _serve(self, now: float) -> None:
        self._move(ParentPhase.SERVING)
        if self._is_roll_queued:
            self._is_roll_queued = False
            self._begin_roll(now)

    def _note_fewer(self, now: float) -> None:
        """Look whether the last of those that were told to end has ended."""
        if self.phase is ParentPhase.STOPPING and not self.members:
            self._move(ParentPhase.OVER)
        elif self.phase is ParentPhase.RETIRING and all(
            member.is_wanted for member in self.members.values()
        ):
            self._serve(now)

    def _move(self, phase: ParentPhase, deadline: float = math.inf) -> None:
        if phase not in PARENT_MOVES[self.phase]:
            raise RuntimeError(f"the parent cannot go from {self.phase} to {phase}")
        self.phase, self._deadline = phase, deadline
        self._note(f"the parent is {phase}")

    # ---- a roll ------------------------------------------------------------------------------

    def _begin_roll(self, now: float) -> None:
        self._move(ParentPhase.ROLLING)
        self._roll_on(now)

    def _roll_on(self, now: float) -> None:
        """Start the next new worker if all new ones are ready; one more at a time."""
        for place in self._places:
            if place.following is None:
                place.following = self._start(place, now)
                return
            if place.following.phase is not WorkerPhase.READY:
                return
        self._move(ParentPhase.SETTLING, now + self._pace.settle)

    def _complete_roll(self, now: float) -> None:
        """Let the new workers take the places of the old ones, which are told to stop."""
        self.rolls += 1
        self._move(ParentPhase.RETIRING)
        self._retire(lambda place: place.current, lambda place: place.following, now)

    def _fail_roll(self, why: str, now: float) -> None:
        """Keep the old workers, and end the new ones."""
        if self.phase not in {ParentPhase.ROLLING, ParentPhase.SETTLING}:
            return
        self.failed_rolls += 1
        self.last_failure = f"the roll was stopped, and the old workers serve on: {why}"
        self._move(ParentPhase.RETIRING)
        self._note(self.last_failure, is_bad=True)
        self._retire(lambda place: place.following, lambda place: place.current, now)

    def _retire(
        self,
        old: Callable[[Place], Member | None],
        new: Callable[[Place], Member | None],
        now: float,
    ) -> None:
        for place in self._places:
            leaving, staying = old(place), new(place)
            place.current, place.following = staying, None
            if staying is not None:
                place.retry_at = math.inf
            elif place.retry_at == math.inf:
                place.retry_at = now
            if leaving is not None:
                self._stop(leaving, now)
        self._note_fewer(now)

    def _note(self, text: str, is_bad: bool = False) -> None:
        self._actions.append(Note(text, is_bad))
