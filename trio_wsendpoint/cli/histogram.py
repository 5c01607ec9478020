"""Counts times in classes of 2 %, so that a million of them take no more room than a hundred."""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["Histogram", "short"]

#: One class is so much wider than the one before.
WIDTH = 1.02
_LEAST = 1e-7  # seconds; below it all is one class
_BAR = 40


class Histogram:
    """Times in seconds: `count`, `total`, `least` and `most` are exact, percentiles within 2 %."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0
        self._classes: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one time."""
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.most = max(self.most, seconds)
        self._classes[int(math.log(max(seconds, _LEAST) / _LEAST) / math.log(WIDTH))] += 1

    @property
    def mean(self) -> float:
        """The mean; 0 of none."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """Return the time that `percent` of all do not exceed; 0 of none."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for number in sorted(self._classes):
            seen += self._classes[number]
            if seen >= wanted:
                top = _LEAST * WIDTH ** (number + 1)
                return min(max(top, self.least), self.most)
        return 0.0

    def summary(self) -> str:
        """Return the percentiles in one line, in milliseconds."""
        points = " ".join(
            f" p{percent:g} {short(self.percentile(percent))}" for percent in (50, 90, 99, 99.9)
        )
        return f"{points.strip()}  max {short(self.most)} ms"

    def bars(self) -> list[str]:
        """Return a line for each doubling of time that has at least 0.1 %, with a bar."""
        doublings: Counter[int] = Counter()
        for number, count in self._classes.items():
            top = _LEAST * WIDTH ** (number + 1)
            doublings[math.ceil(math.log2(top * 1000))] += count
        shown = {power: count for power, count in doublings.items() if count * 1000 >= self.count}
        most = max(shown.values(), default=1)
        return [
            f"{2.0**power:>8.3g} ms |{'#' * max(1, round(_BAR * count / most)):<{_BAR}} "
            f"{100 * count / self.count:5.1f} %"
            for power, count in sorted(shown.items())
        ]


def short(seconds: float) -> str:
    """Return milliseconds with three digits that count."""
    value = seconds * 1000
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
