"""A side that behaves differently in each connection, the same way in each run."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

from trio_wsendpoint.testing.faults import Faults

__all__ = ["Flaky"]


@dataclass(kw_only=True)
class Flaky:
    """Draws the faults of each connection from a seed: `MemoryNetwork(server=Flaky(seed=1))`.

    `refuses`, `resets`, `vanishes`, `stalls`: how often, as a part of 1, a connection is refused,
    is reset, ends as if the machine were gone, or falls silent; the rest has no faults.  Where a
    fault strikes is drawn too: after 0 to `within` bytes that this side has sent.

    Raises `ValueError` for parts that are none, or more than 1 together.
    """

    seed: int
    refuses: float = 0.25
    resets: float = 0.25
    vanishes: float = 0.0
    stalls: float = 0.0
    within: int = 1000

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable is what it is to be
        parts = (self.refuses, self.resets, self.vanishes, self.stalls)
        for field, part in zip(fields(self)[1:5], parts, strict=True):
            if not 0 <= part <= 1:
                raise ValueError(f"Flaky.{field.name} must be 0 to 1, not {part}")
        if sum(parts) > 1:
            raise ValueError(f"Flaky: these parts are more than 1 together: {parts}")
        if self.within < 0:
            raise ValueError(f"Flaky.within must be at least 0, not {self.within}")

    def draw(self) -> Faults | None:
        """Return the faults of the next connection, None for one that is refused."""
        chance, at = self._random.random(), self._random.randint(0, self.within)
        for part, faults in (
            (self.refuses, None),
            (self.resets, Faults.resets(after=at)),
            (self.vanishes, Faults.vanishes(after=at)),
            (self.stalls, Faults.silent(after=at)),
        ):
            if chance < part:
                return faults
            chance -= part
        return Faults()
