"""The places that workers fill, and the workers in them, as the supervisor knows them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from trio_wsendpoint.workers.phases import WORKER_MOVES, WorkerPhase

__all__ = ["Member", "Place"]


@dataclass(slots=True, eq=False)
class Member:
    """A worker: `number` is its own for ever, `place` that of its place.

    `began`: when its phase began.  `was_ready`: when it became ready, None until then.
    `deadline`: when something is to be done about it, by the clock of the supervisor.
    `fault`: what is wrong with it although its process runs, "" for nothing.
    """

    number: int
    place: int
    began: float
    deadline: float
    phase: WorkerPhase = WorkerPhase.STARTING
    was_ready: float | None = None
    pid: int | None = None
    fault: str = ""

    def move(self, phase: WorkerPhase, now: float, deadline: float = math.inf) -> None:
        """Enter `phase`; raises `RuntimeError` where the table has no such move."""
        if phase not in WORKER_MOVES[self.phase]:
            raise RuntimeError(f"worker {self.number} cannot go from {self.phase} to {phase}")
        self.phase, self.began, self.deadline = phase, now, deadline
        if phase is WorkerPhase.READY:
            self.was_ready = now

    def doubt(self, fault: str, deadline: float) -> None:
        """Hear what is wrong with it, and when something is to be done about that."""
        self.fault, self.deadline = fault, deadline

    def note_pid(self, pid: int) -> None:
        """Hear the id of its process."""
        self.pid = pid

    @property
    def is_wanted(self) -> bool:
        """Whether it serves or is to serve: it was not told to end."""
        return self.phase in {WorkerPhase.STARTING, WorkerPhase.READY}

    def __str__(self) -> str:
        return f"worker {self.number}" + ("" if self.pid is None else f" (process {self.pid})")


@dataclass(slots=True, eq=False)
class Place:
    """One of the places that are to be filled: `index` counts from 0.

    `current`: the worker that fills it.  `following`: the new one, while the parent rolls.
    `failures`: how many of its workers in a row have failed.  `retry_at`: when the next one is
    started; infinite while one is there, or none is to be started.
    """

    index: int
    current: Member | None = None
    following: Member | None = None
    failures: int = 0
    retry_at: float = field(default=math.inf)
