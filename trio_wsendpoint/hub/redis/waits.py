"""How long to wait before the next attempt, and the bell that ends a wait."""

from __future__ import annotations

import random

import trio

__all__ = ["Bell", "Waits"]

_BASE = 0.1


class Waits:
    """Jittered waits that grow: the nth failure in a row waits up to 0.1 s times 2 to the nth.

    `longest`: seconds; no wait is longer.  `reset` after an attempt that has worked.
    """

    __slots__ = ("_failures", "_longest", "_rng")

    def __init__(self, longest: float, rng: random.Random) -> None:
        self._longest = longest
        self._rng = rng
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait now."""
        bound = min(self._longest, _BASE * 2 ** min(self._failures, 20))
        self._failures += 1
        return self._rng.uniform(0.0, bound)

    def reset(self) -> None:
        """Begin with short waits again."""
        self._failures = 0


class Bell:
    """Wakes one task that waits; rung before, it is not missed."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake the task, now or when it waits next."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it rings, or has rung since the last wait."""
        await self._event.wait()
        self._event = trio.Event()
