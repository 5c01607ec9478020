"""Statistics: quartiles of rounds, ratios of two servers, quantiles of latencies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

#: Buckets for each power of two: 3 % wide at most. `native/load.c` counts in the same ones.
STEPS = 32
BUCKETS = 2048


class Quartiles(NamedTuple):
    """Three of four parts of some figures are above `first`, and three below `third`."""

    first: float
    median: float
    third: float


def quartiles(samples: Sequence[float]) -> Quartiles | None:
    """Return the quartiles of `samples`, None if there are none."""
    if len(samples) < 2:
        return Quartiles(samples[0], samples[0], samples[0]) if samples else None
    return Quartiles(*statistics.quantiles(samples, n=4, method="inclusive"))


def paired(ones: Sequence[float], others: Sequence[float]) -> Quartiles | None:
    """Return the quartiles of one / other, round by round: what slowed a round is in both."""
    return quartiles([one / other for one, other in zip(ones, others, strict=False) if other])


def bucket(nanoseconds: int) -> int:
    """Return the number of the bucket in which a latency is counted."""
    if nanoseconds < 2 * STEPS:
        return max(nanoseconds, 0)
    shift = nanoseconds.bit_length() - STEPS.bit_length()
    return shift * STEPS + (nanoseconds >> shift)


def least(number: int) -> int:
    """Return the least nanoseconds that are counted in a bucket."""
    if number < 2 * STEPS:
        return number
    shift = number // STEPS - 1
    return (number - shift * STEPS) << shift


def quantile(histogram: Sequence[int], share: float) -> float:
    """Return the µs that `share` of the latencies do not exceed, to the width of a bucket."""
    left = sum(histogram) * share
    for number, count in enumerate(histogram):
        left -= count
        if count and left <= 0:
            return (least(number) + least(number + 1)) / 2000
    return 0.0
