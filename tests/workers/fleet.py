"""A supervisor with a clock of the test's, and the workers that it believes to have."""

from __future__ import annotations

import math

from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.workers.actions import Kill, Note, Start, Stop
from trio_wsendpoint.workers.supervisor import Pace, Supervisor


class Longest:
    """Draws the longest wait, so that a test knows it."""

    def uniform(self, a: float, b: float, /) -> float:
        return b


BACKOFF = Backoff(base=0.5, factor=2.0, cap=8.0, floor=0.1, healthy=10.0, rng=Longest())
PACE = Pace(ready=60.0, settle=1.0, stop=35.0, backoff=BACKOFF)


class Fleet:
    """Tells a supervisor what happens, and notes what it does; `now` starts at 100."""

    def __init__(self, count: int = 2, pace: Pace = PACE, *, is_ready: bool = True) -> None:
        self.now = 100.0
        self.supervisor = Supervisor(count, pace)
        self.notes: list[str] = []
        self.supervisor.start(self.now)
        self.done = self.take()
        if is_ready:
            for number in range(1, count + 1):
                self.ready(number)

    @property
    def phase(self) -> str:
        return str(self.supervisor.phase)

    @property
    def phases(self) -> dict[int, str]:
        return {number: str(one.phase) for number, one in self.supervisor.members.items()}

    def has_roll_queued(self) -> bool:
        return self.supervisor.is_roll_queued

    def take(self) -> list[str]:
        """Return the actions that are no notes, as texts."""
        found = []
        for action in self.supervisor.take_actions():
            if isinstance(action, Note):
                self.notes.append(action.text)
            elif isinstance(action, Start):
                found.append(f"start {action.number}")
            else:
                assert isinstance(action, (Stop, Kill))
                found.append(f"{type(action).__name__.lower()} {action.number}")
        return found

    def ready(self, number: int) -> list[str]:
        self.supervisor.note_ready(number, self.now)
        return self.take()

    def gone(self, number: int, how: str = "exited with status 1") -> list[str]:
        self.supervisor.note_gone(number, how, self.now)
        return self.take()

    def useless(self, number: int, why: str = "has closed its pipe") -> list[str]:
        self.supervisor.note_useless(number, why, self.now)
        return self.take()

    def roll(self) -> list[str]:
        self.supervisor.roll(self.now)
        return self.take()

    def stop(self) -> list[str]:
        self.supervisor.stop(self.now)
        return self.take()

    def wait(self, seconds: float) -> list[str]:
        """Let time pass: each deadline within is met when it is due."""
        until, found = self.now + seconds, []
        while self.supervisor.deadline <= until:
            self.now = max(self.now, self.supervisor.deadline)
            self.supervisor.tick(self.now)
            assert self.supervisor.deadline > self.now, "what is due is done at once"
            found += self.take()
        self.now = until
        return found

    @property
    def is_idle(self) -> bool:
        """Whether it waits for nothing but what happens."""
        return self.supervisor.deadline == math.inf
