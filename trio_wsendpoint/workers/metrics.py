"""The metrics of one worker, to be summed with those of the others."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Mapping

from trio_wsendpoint.metrics.definitions import METRICS, SECONDS
from trio_wsendpoint.metrics.tally import Tally

__all__ = ["Values", "WorkerMetrics"]

#: Values of one metric by those of its label, "" where it has none.  A counter or gauge is one
#: number.  A histogram is the number of times in each bucket, above the last, and their sum.
Values = Mapping[str, tuple[float, ...]]

_SIZE = len(SECONDS) + 2


class WorkerMetrics(Tally):
    """An instrument that counts in this worker what `WorkersState.metrics` sums over all.

    `Worker.serve` adds it; with a server of your own write `instruments=[worker.metrics]`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._times: dict[str, dict[str, list[float]]] = {}
        self._times_lock = threading.Lock()

    def observe(self, name: str, seconds: float, label: str | None = None) -> None:
        """Count a time in its bucket."""
        with self._times_lock:
            values = self._times.setdefault(name, {}).setdefault(label or "", [0.0] * _SIZE)
            values[bisect.bisect_left(SECONDS, seconds)] += 1
            values[-1] += seconds

    def snapshot(self) -> dict[str, Values]:
        """Return every metric that has a value."""
        found: dict[str, Values] = {}
        for name, metric in METRICS.items():
            if metric.kind == "histogram":
                with self._times_lock:
                    times = self._times.get(name, {})
                    found[name] = {label: tuple(values) for label, values in times.items()}
            else:
                found[name] = {label or "": (value,) for label, value in self.read(name)}
        return {name: values for name, values in found.items() if values}
