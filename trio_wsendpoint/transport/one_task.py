"""A guard for what one task at a time may do."""

from __future__ import annotations

import trio

__all__ = ["OneTask"]


class OneTask:
    """Raises `trio.BusyResourceError` for a second task: `with guard:` around what one task does.

    `doing` is what the error says of the other task: "another task is {doing}".
    """

    __slots__ = ("_doing", "_is_inside")

    def __init__(self, doing: str) -> None:
        self._doing = doing
        # A task is in the block; set by that task, and read by the next one that comes.
        self._is_inside = False

    def __enter__(self) -> None:
        if self._is_inside:
            raise trio.BusyResourceError(f"another task is {self._doing}")
        self._is_inside = True

    def __exit__(self, *_: object) -> None:
        self._is_inside = False
