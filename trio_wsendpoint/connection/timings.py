"""Tells how long each step of a client's opening has taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import trio

__all__ = ["Step", "Stopwatch", "Timings"]

#: The steps of an opening, in their order.
Step = Literal["dns", "tcp", "proxy", "tls", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the steps of a client's opening took, in seconds by Trio's clock.

    `dns`: to look up the name of the host, or of the proxy; an address takes next to nothing.
    `tcp`: to connect to that, by TCP or by a Unix socket, or the time that `open_stream` took.
    `proxy`: from there until the proxy's tunnel was open, TLS to an `https://` proxy included.
    `tls`: the TLS handshake with the server.  `answer`: from our request to the end of the 101.
    A step that was not taken is None: all but the last two for a `stream` of the caller's.

    `total`: all of it.  After redirects the steps are those of the last connection, and the time
    that the ones before took is in `total` alone.
    """

    total: float
    answer: float
    dns: float | None = None
    tcp: float | None = None
    proxy: float | None = None
    tls: float | None = None


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
