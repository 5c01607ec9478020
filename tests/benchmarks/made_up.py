"""Results that nobody measured, for the tests of what is made of results."""

from __future__ import annotations

from tests.benchmarks.measure import Samples
from tests.benchmarks.report import BEGIN, END
from tests.benchmarks.results import Results
from tests.benchmarks.works import Regime

PAGE = f"# Benchmarks\n\n{BEGIN}\nof yesterday\n{END}\n"


def samples(value: float, *, load: float = 0.5) -> Samples:
    """Return the figures of three rounds with the median `value`, in µs of CPU."""
    return {
        "cpu": [value * 9, value, value / 9],
        "rate": [1e6 / value] * 3,
        "load": [load] * 3,
        "p50": [value * 2] * 3,
        "p99": [value * 3] * 3,
    }


def made_up(work: str = "pingpong", regime: Regime = "one", **figures: float) -> Results:
    """Return results in which servers took so much CPU, or KiB if `work` is of memory."""
    outcome = {
        peer: {"kib": [value]} if work.startswith(("idle", "growth")) else samples(value)
        for peer, value in figures.items()
    }
    return Results(
        command="make bench", environment={"Python": "3"}, works={work: {regime: {**outcome}}}
    )
