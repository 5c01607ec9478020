"""Which task reads a connection's bytes."""

from __future__ import annotations

from enum import Enum

__all__ = ["Lease"]


class Lease(Enum):
    """Which task reads: one at a time.

    `APP`: the one that waits in `receive()`.  `CLOSER`: the one that waits in `aclose()`.
    """

    __hash__ = object.__hash__

    NOBODY = "no task"
    APP = "the app, in receive()"
    CLOSER = "the app, in aclose()"
    TASK = "the reader task"
