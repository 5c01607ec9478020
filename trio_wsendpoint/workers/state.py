"""What the parent tells of itself and its workers, as immutable objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trio_wsendpoint.session.statistics import ServerStatistics
from trio_wsendpoint.workers.metrics import Values
from trio_wsendpoint.workers.phases import ParentPhase, WorkerPhase
from trio_wsendpoint.workers.sums import Report

__all__ = ["WorkerState", "WorkersState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker, at one moment; times in seconds.

    `number`: its own; `place`: that of its place, from 0.  `pid`: its process, None if that was
    not started yet.  `age`: how long it has been in its `phase`.  `silent`: how long ago its last
    report came, None before the first; a worker that is well reports each second.  `statistics`:
    of its servers, by that report.
    """

    number: int
    place: int
    pid: int | None = None
    phase: WorkerPhase = WorkerPhase.STARTING
    age: float = 0.0
    silent: float | None = None
    statistics: ServerStatistics = field(default_factory=ServerStatistics)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersState:
    """The parent and its workers, at one moment.

    `phase`: what the parent does.  `is_roll_queued`: another roll follows.  `workers`: those
    whose processes have not ended.  `addresses`: what is listened on, as `tcp:127.0.0.1:8765`.
    `starts`, `deaths`: workers that were started, and that ended without being told to.
    `rolls`, `failed_rolls`: that were completed, and stopped.  `last_failure`: why a worker did
    not become ready, or a roll was stopped; None if that never happened.

    `statistics`, `metrics`: sums over all workers that there are and were.  A worker that is gone
    counts once, as far as its last report goes; connections and queues are those of living ones.
    `metrics` has the names of `trio_wsendpoint.metrics.METRICS`; `prometheus_text` writes them.
    """

    phase: ParentPhase
    is_roll_queued: bool = False
    workers: tuple[WorkerState, ...] = ()
    addresses: tuple[str, ...] = ()
    starts: int = 0
    deaths: int = 0
    rolls: int = 0
    failed_rolls: int = 0
    last_failure: str | None = None
    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    metrics: Mapping[str, Values] = field(default_factory=dict[str, Values])

    @property
    def ready(self) -> int:
        """How many workers serve."""
        return sum(worker.phase is WorkerPhase.READY for worker in self.workers)

    def to_message(self) -> dict[str, Any]:
        """Return the state as an object for JSON."""
        workers = [
            {
                **{name: getattr(worker, name) for name in _WORKER},
                "report": Report(worker.statistics).to_message(),
            }
            for worker in self.workers
        ]
        report = Report(self.statistics, self.metrics).to_message()
        return {**{name: getattr(self, name) for name in _PARENT}, "of": workers, "sum": report}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> WorkersState:
        """Return the state that `to_message` has made; raises `ValueError` for another object."""
        try:
            workers = tuple(_worker(one) for one in message["of"])
            told = {name: message[name] for name in _PARENT}
            total = Report.from_message(message["sum"])
            told |= {"phase": ParentPhase(told["phase"]), "addresses": tuple(told["addresses"])}
        except (KeyError, TypeError) as error:
            raise ValueError(f"a state that is none: {type(error).__name__}") from None
        return cls(**told, workers=workers, statistics=total.statistics, metrics=total.metrics)


def _worker(message: Mapping[str, Any]) -> WorkerState:
    told = {name: message[name] for name in _WORKER}
    told["phase"] = WorkerPhase(told["phase"])
    return WorkerState(**told, statistics=Report.from_message(message["report"]).statistics)


_WORKER = ("number", "place", "pid", "phase", "age", "silent")
_PARENT = (
    "phase",
    "is_roll_queued",
    "addresses",
    "starts",
    "deaths",
    "rolls",
    "failed_rolls",
    "last_failure",
)
