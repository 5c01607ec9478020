"""How far the parent and each worker have come, as two tables."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PARENT_MOVES", "WORKER_MOVES", "ParentPhase", "WorkerPhase"]


class WorkerPhase(StrEnum):
    """How far a worker has come.

    `STARTING`: its process was started, and has not said that it serves.  `READY`: it serves.
    `STOPPING`: it was told to stop, and drains.  `KILLED`: it was sent SIGKILL.  `GONE`: its
    process has ended, or could not be started.
    """

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    KILLED = "killed"
    GONE = "gone"


class ParentPhase(StrEnum):
    """What the parent does.

    `STARTING`: the first workers start.  `SERVING`: nothing but replacing those that die.
    `ROLLING`: the new workers start, one by one, while the old ones serve.  `SETTLING`: all new
    ones are ready, and are watched.  `RETIRING`: the new ones serve, those that are not wanted
    any more drain.  `STOPPING`: all were told to stop.  `OVER`: no worker is left.
    """

    STARTING = "starting"
    SERVING = "serving"
    ROLLING = "rolling"
    SETTLING = "settling"
    RETIRING = "retiring"
    STOPPING = "stopping"
    OVER = "over"


#: From each phase of a worker to which it may go.
WORKER_MOVES: dict[WorkerPhase, frozenset[WorkerPhase]] = {
    WorkerPhase.STARTING: frozenset(WorkerPhase) - {WorkerPhase.STARTING},
    WorkerPhase.READY: frozenset({WorkerPhase.STOPPING, WorkerPhase.KILLED, WorkerPhase.GONE}),
    WorkerPhase.STOPPING: frozenset({WorkerPhase.KILLED, WorkerPhase.GONE}),
    WorkerPhase.KILLED: frozenset({WorkerPhase.GONE}),
    WorkerPhase.GONE: frozenset(),
}

#: From each phase of the parent to which it may go.
PARENT_MOVES: dict[ParentPhase, frozenset[ParentPhase]] = {
    ParentPhase.STARTING: frozenset({ParentPhase.SERVING, ParentPhase.STOPPING}),
    ParentPhase.SERVING: frozenset({ParentPhase.ROLLING, ParentPhase.STOPPING}),
    # A roll that fails has new workers to retire, one that succeeds the old ones.
    ParentPhase.ROLLING: frozenset(
        {ParentPhase.SETTLING, ParentPhase.RETIRING, ParentPhase.STOPPING}
    ),
    ParentPhase.SETTLING: frozenset({ParentPhase.RETIRING, ParentPhase.STOPPING}),
    ParentPhase.RETIRING: frozenset({ParentPhase.SERVING, ParentPhase.STOPPING}),
    ParentPhase.STOPPING: frozenset({ParentPhase.OVER}),
    ParentPhase.OVER: frozenset(),
}
