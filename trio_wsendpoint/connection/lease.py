"""Which task reads a connection's bytes, and what sees to it that one does."""

from __future__ import annotations

from enum import Enum

__all__ = ["Lease", "Standby"]


class Lease(Enum):
    """Which task reads: one at a time.

    `APP`: the one that waits in `receive()`.  `CLOSER`: the one that waits in `aclose()`.
    """

    __hash__ = object.__hash__

    NOBODY = "no task"
    APP = "the app, in receive()"
    CLOSER = "the app, in aclose()"
    TASK = "the reader task"


class Standby(Enum):
    """What reads, or makes a task read, while the app does not.

    `NOTHING`: nothing yet.  `HEARTBEAT`: it asks at each tick whether a task reads, and calls the
    reader task if none does.  `TASK`: the reader task was called, and reads as soon as no other
    task does.
    """

    __hash__ = object.__hash__

    NOTHING = "nothing"
    HEARTBEAT = "the heartbeat"
    TASK = "the reader task"
