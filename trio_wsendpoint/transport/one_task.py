"""A guard for what one task at a time may do, until it is closed."""

from __future__ import annotations

from enum import Enum

import trio

__all__ = ["OneTask", "Place"]


class Place(Enum):
    """Whether a task may enter: `FREE`, `TAKEN` by a task, or `CLOSED` for good."""

    __hash__ = object.__hash__

    FREE = "free"
    TAKEN = "taken"
    CLOSED = "closed"


_FREE, _TAKEN = Place.FREE, Place.TAKEN


class OneTask:
    """Raises `trio.BusyResourceError` for a second task: `with guard:` around what one task does.

    `doing` is what the error says of the other task: "another task is {doing}".  After `close`
    raises `trio.ClosedResourceError`.
    """

    __slots__ = ("_doing", "_place")

    def __init__(self, doing: str) -> None:
        self._doing = doing
        # Set by the task in the block, and by `close`; read by the next task that comes.
        self._place = _FREE

    def __enter__(self) -> None:
        self.check_free()
        self._place = _TAKEN

    def __exit__(self, *_: object) -> None:
        if self._place is _TAKEN:
            self._place = _FREE

    def close(self) -> None:
        """Let no task enter any more; the one that is in the block goes on."""
        self._place = Place.CLOSED

    def check_free(self) -> None:
        """Raise as for a second task, unless no task is in the block."""
        if self._place is not _FREE:
            self.check()
            raise trio.BusyResourceError(f"another task is {self._doing}")

    def check(self) -> None:
        """Raise `trio.ClosedResourceError` if it was closed."""
        if self._place is Place.CLOSED:
            raise trio.ClosedResourceError("this stream was closed")
