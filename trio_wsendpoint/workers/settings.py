"""The options of `serve_workers`, completed and checked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.server.listen import Listen, as_listens
from trio_wsendpoint.workers.state import WorkersState

__all__ = ["WorkersOptions", "WorkersSettings"]

#: Seconds that a worker has, after its drain, for its handlers' grace and its own end.
_AFTER_DRAIN = 15.0
_MOST_WORKERS = 1024


class WorkersOptions(TypedDict, total=False):
    """What `serve_workers` may be told in addition; times in seconds.

    `workers`: how many there are; by default one for each processor that this process may use.
    `listen`: what the parent listens on, as in `ServeOptions`.  A `Listen` may say that its
    address has no TLS; the context for the others belongs to the workers.
    `backlog`: connections that the system lets wait until a worker accepts them.
    `arguments`: texts that `main` is called with, after the worker.
    `drain`: a worker that stops tells its connections 1012, each at a moment within this time.
    `stop`: a worker that has not ended so long after it was told to is killed; by default 15 s
    after `drain`.  Its handlers need `Timeouts.grace` of that when the drain is over.
    `ready`: a worker that does not serve after this time is killed.
    `settle`: new workers of a roll are watched so long before the old ones are told to stop.
    `backoff`: how long until a worker that has failed is replaced; its `healthy` is how long a
    worker must have been ready to count as none that failed.
    `log`: a file for the records of all processes, opened anew when it was moved or removed; by
    default they go to stderr.
    `on_change`: a function that is called in the parent with each new `WorkersState` that has
    another phase or other workers.  It must not wait.
    """

    workers: int | None
    listen: Sequence[str | Listen]
    backlog: int | None
    arguments: Sequence[str]
    drain: float
    stop: float | None
    ready: float
    settle: float
    backoff: Backoff
    log: str | os.PathLike[str] | None
    on_change: Callable[[WorkersState], object] | None


def _default_backoff() -> Backoff:
    return Backoff(base=0.5, cap=30.0, healthy=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSettings:
    """`WorkersOptions`, complete; raises `ValueError` or `TypeError` for what makes no sense."""

    workers: int | None = None
    listen: Sequence[str | Listen] = ("tcp:localhost:8765",)
    backlog: int | None = None
    arguments: Sequence[str] = ()
    drain: float = 20.0
    stop: float | None = None
    ready: float = 60.0
    settle: float = 1.0
    backoff: Backoff = field(
        default_factory=_default_backoff,
        metadata={"default": "Backoff(base=0.5, cap=30.0, healthy=10.0)"},
    )
    log: str | os.PathLike[str] | None = None
    on_change: Callable[[WorkersState], object] | None = None

    def __post_init__(self) -> None:
        workers = self.workers
        if workers is not None:
            if isinstance(workers, bool) or not isinstance(workers, int):
                raise TypeError(f"workers is how many there are, an int, not {workers!r}")
            if not 1 <= workers <= _MOST_WORKERS:
                raise ValueError(f"workers must be 1 to {_MOST_WORKERS}, not {workers}")
        object.__setattr__(self, "listen", as_listens(self.listen))
        for listen in self.listens:
            if listen.ssl_context is not None and listen.ssl_context != "server's":
                raise ValueError(
                    f"{listen.parsed} has an ssl_context, which no other process can be given: "
                    "make it in the worker, worker.serve(handler, ssl_context=...)"
                )
        self._check_times()
        if isinstance(self.arguments, str) or not all(isinstance(a, str) for a in self.arguments):
            raise TypeError(f"arguments is a list of texts, not {self.arguments!r}")
        if not isinstance(self.backoff, Backoff):
            raise TypeError(f"backoff must be Backoff(...), not {self.backoff!r}")
        if self.on_change is not None and not callable(self.on_change):
            raise TypeError(f"on_change is a function, not {self.on_change!r}")

    def _check_times(self) -> None:
        for name in ("drain", "stop", "ready", "settle"):
            value: object = getattr(self, name)
            if value is None and name == "stop":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} is seconds, not {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 s or more, and finite, not {value}")
        if self.stop is not None and self.stop < self.drain:
            raise ValueError(f"stop must be at least drain, {self.drain:g} s, not {self.stop:g}")

    @property
    def listens(self) -> tuple[Listen, ...]:
        """`listen`, each entry a `Listen`."""
        return as_listens(self.listen)

    @property
    def count(self) -> int:
        """How many workers there are."""
        if self.workers is not None:
            return self.workers
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def stop_within(self) -> float:
        """Seconds after which a worker that was told to stop is killed."""
        return self.drain + _AFTER_DRAIN if self.stop is None else self.stop
