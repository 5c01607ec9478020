"""Sums what workers have reported: of those that are gone, what they had counted, once.

The number of connections and what waits in queues are of living workers alone; all else only
grows, and what a dead worker has counted stays in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, cast

from trio_wsendpoint.metrics.definitions import METRICS, SECONDS
from trio_wsendpoint.protocol.closing import CloseCause
from trio_wsendpoint.session.statistics import ServerStatistics
from trio_wsendpoint.workers.metrics import Values

__all__ = ["Ledger", "Report", "add_reports"]

#: Fields of `ServerStatistics` that tell of the present.
_PRESENT = frozenset(
    {
        "connections",
        "opening",
        "inbox_messages",
        "inbox_bytes",
        "write_queue_frames",
        "write_queue_bytes",
        "tasks_waiting_send",
    }
)
_NUMBERS = tuple(one.name for one in fields(ServerStatistics) if one.name != "closes")
#: Values of labels that one metric may have.
_MOST_LABELS = 100


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has counted: of its servers, and by its instrument."""

    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    metrics: Mapping[str, Values] = field(default_factory=dict[str, Values])

    def to_message(self) -> dict[str, Any]:
        """Return the report as an object for JSON."""
        numbers = {name: getattr(self.statistics, name) for name in _NUMBERS}
        closes = {str(cause): count for cause, count in self.statistics.closes.items()}
        metrics = {name: dict(values) for name, values in self.metrics.items()}
        return {"statistics": numbers, "closes": closes, "metrics": metrics}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Report:
        """Return the report that `to_message` has made; raises `ValueError` for another object."""
        try:
            numbers = {name: int(message["statistics"][name]) for name in _NUMBERS}
            closes = {CloseCause(name): int(n) for name, n in message["closes"].items()}
            metrics = {
                METRICS[name].name: {
                    str(label): _checked(name, value) for label, value in values.items()
                }
                for name, values in message["metrics"].items()
            }
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"a report that is none: {type(error).__name__}") from None
        if any(len(values) > _MOST_LABELS for values in metrics.values()):
            raise ValueError("a report with too many labels")
        return cls(_statistics(numbers, closes), metrics)

    def without_present(self) -> Report:
        """Return what of it stays when its worker is gone."""
        numbers = {
            name: 0 if name in _PRESENT else getattr(self.statistics, name) for name in _NUMBERS
        }
        kept = {name: one for name, one in self.metrics.items() if METRICS[name].kind != "gauge"}
        return Report(_statistics(numbers, self.statistics.closes), kept)


def _statistics(numbers: dict[str, int], closes: Mapping[CloseCause, int]) -> ServerStatistics:
    return ServerStatistics(**cast("Any", numbers), closes=MappingProxyType(dict(closes)))


def _checked(name: str, values: Iterable[object]) -> tuple[float, ...]:
    size = len(SECONDS) + 2 if METRICS[name].kind == "histogram" else 1
    found = tuple(float(cast("float", value)) for value in values)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"a report with a value of {name} that is no number")
    if len(found) != size:
        raise ValueError(f"a report with {len(found)} values for {name}")
    return found


def add_reports(reports: Iterable[Report]) -> Report:
    """Return the sum of all of them."""
    numbers = dict.fromkeys(_NUMBERS, 0)
    closes = Counter[CloseCause]()
    metrics: dict[str, dict[str, tuple[float, ...]]] = {}
    for report in reports:
        for name in _NUMBERS:
            numbers[name] += getattr(report.statistics, name)
        closes.update(report.statistics.closes)
        for name, values in report.metrics.items():
            sums = metrics.setdefault(name, {})
            for label, value in values.items():
                before = sums.get(label, (0.0,) * len(value))
                sums[label] = tuple(a + b for a, b in zip(before, value, strict=True))
    return Report(_statistics(numbers, closes), metrics)


class Ledger:
    """The last report of each living worker, and the sum of those of the others."""

    def __init__(self) -> None:
        self._living: dict[int, Report] = {}
        self._gone = Report()

    def note(self, number: int, report: Report) -> None:
        """Take the newest report of worker `number`, in place of the one before."""
        self._living[number] = report

    def bury(self, number: int) -> None:
        """Keep what worker `number`, which is gone, had counted by its last report."""
        last = self._living.pop(number, None)
        if last is not None:
            self._gone = add_reports([self._gone, last.without_present()])

    def report_of(self, number: int) -> Report:
        """Return the last report of a living worker; an empty one before it has sent any."""
        return self._living.get(number, Report())

    def total(self) -> Report:
        """Return the sum over all workers that there are and were."""
        return add_reports([self._gone, *self._living.values()])
