"""What a soak's figures mean: the slope of memory over closed connections, and the bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["MOST_GROWTH", "Outcome", "Slope", "judge", "slope"]

#: KiB that the server may grow by for every 1,000 connections that were closed.
MOST_GROWTH = 10.0
#: KiB by which the private memory steps up and down whatever the load: arenas of the allocator,
#: and a large message more or less.  A growth that comes to less in all is not told from these.
NOISE = 1024.0
#: Objects that the server may have more of at rest than before it had met anyone: caches, which
#: fill once, and the counters of the soak itself; and more for every 1,000 closed connections.  A
#: heap grows in pieces and shrinks badly, but objects are counted exactly.
CACHED, MOST_OBJECTS = 2000, 20
#: Closed connections below which nothing can be told.
FEWEST = 1000


@dataclass(frozen=True)
class Slope:
    """A rate for every 1,000 closed connections, and its standard error."""

    rate: float
    error: float

    def __str__(self) -> str:
        return f"{self.rate:+.1f} ± {self.error:.1f}"


def slope(samples: Sequence[dict[str, Any]], name: str) -> Slope:
    """Fit a line through `name` over `closed`, by least squares; needs three samples."""
    xs = [sample["closed"] / 1000 for sample in samples]
    ys = [sample[name] for sample in samples]
    count = len(xs)
    if count < 3 or len(set(xs)) < 2:
        return Slope(0.0, math.inf)
    middle, level = sum(xs) / count, sum(ys) / count
    spread = sum((x - middle) ** 2 for x in xs)
    rate = sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - level - rate * (x - middle)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Slope(rate, math.sqrt(rest / (count - 2) / spread))


@dataclass(frozen=True)
class Outcome:
    """One bound: what was measured, and whether it holds, is broken, or cannot be told yet."""

    name: str
    measured: str
    bound: str
    verdict: str  # "holds", "broken", "undecided, ..."

    def __str__(self) -> str:
        return f"{self.name}: {self.measured} ({self.bound}): {self.verdict}"


def _growth(samples: Sequence[dict[str, Any]]) -> Outcome:
    rate = slope(samples, "private")
    closed = samples[-1]["closed"] - samples[0]["closed"] if samples else 0
    grown = rate.rate * closed / 1000
    if rate.rate <= MOST_GROWTH and rate.error < math.inf:
        verdict = "holds"
    elif closed >= FEWEST and grown > NOISE and rate.rate - 2 * rate.error > MOST_GROWTH:
        verdict = "broken"
    else:
        verdict = "undecided, run for longer"
    return Outcome("memory, KiB per 1,000 closed", str(rate), f"at most {MOST_GROWTH:g}", verdict)


def _equal(name: str, measured: int, bound: int) -> Outcome:
    return Outcome(
        name, str(measured), f"exactly {bound}", "holds" if measured == bound else "broken"
    )


def judge(
    before: dict[str, Any],
    samples: Sequence[dict[str, Any]],
    after: dict[str, Any],
    clients: dict[str, Any],
) -> Iterator[Outcome]:
    """Yield each bound with what was measured.

    `before` and `after`: the server with nobody there; `samples`: at full load, after the
    warm-up; `clients`: what they say of themselves.
    """
    yield _growth(samples)
    most = CACHED + MOST_OBJECTS * after["closed"] // 1000
    more = after["blocks"] - before["blocks"]
    verdict = "holds" if more <= most else "broken"
    yield Outcome("objects more at the end", str(more), f"at most {most}", verdict)
    yield _equal("descriptors at the end", after["descriptors"], before["descriptors"])
    yield _equal("tasks at the end", after["tasks"], before["tasks"])
    yield _equal("connections at the end", after["open"] + after["opening"], 0)
    yield _equal("handlers that ended", after["closed"], after["opened"])
    yield _equal("connections opened, by the server", after["opened"], clients["opened"])
    unexplained = [*after["unexplained"], *clients["unexplained"]]
    yield _equal("unexplained closes", len(unexplained), 0)
