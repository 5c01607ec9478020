"""Which task reads a connection's bytes."""

from __future__ import annotations

from enum import Enum

__all__ = ["Lease"]


class Lease(Enum):
    """Which task reads: one at a time.

    `NOBODY`: none; while the connection is open the heartbeat asks at each tick, and calls the
    reader task if the app stays away.  `APP`: the one that waits in `receive()`.  `CLOSER`: the
    one that waits in `aclose()`.  `TASK`: the reader task, from when it was called.
    """

    __hash__ = object.__hash__

    NOBODY = "no task"
    APP = "the app, in receive()"
    CLOSER = "the app, in aclose()"
    TASK = "the reader task"
