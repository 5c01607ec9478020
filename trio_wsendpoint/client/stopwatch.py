"""Takes the time of each step of a client's opening."""

from __future__ import annotations

from typing import Literal

import trio

from trio_wsendpoint.connection.timings import Timings

__all__ = ["Step", "Stopwatch"]

#: The steps of an opening, in their order.
Step = Literal["dns", "tcp", "proxy", "tls", "answer"]


class Stopwatch:
    """Takes the time of one opening, step by step.

    For the text of an error, `step` is the one that is under way, and `goal` is what it leads to.
    """

    def __init__(self) -> None:
        self.goal = ""
        self.step: Step = "tcp"
        self._began = self._last = trio.current_time()
        self._taken: dict[Step, float] = {}

    def head_for(self, goal: str) -> None:
        """Note what the next steps lead to: a server, or a proxy on the way to it."""
        self.goal = goal

    def begin(self, step: Step) -> None:
        """Note that `step` begins now."""
        self.step = step
        self._last = trio.current_time()

    def end(self) -> None:
        """Note that the step that has begun ends now."""
        self._taken[self.step] = trio.current_time() - self._last

    def restart(self) -> None:
        """Forget the steps, for another connection; the time as a whole goes on."""
        self._taken.clear()

    def timings(self) -> Timings:
        """Return what was taken; the last step must have ended."""
        taken = self._taken
        return Timings(
            total=trio.current_time() - self._began,
            answer=taken["answer"],
            dns=taken.get("dns"),
            tcp=taken.get("tcp"),
            proxy=taken.get("proxy"),
            tls=taken.get("tls"),
        )
