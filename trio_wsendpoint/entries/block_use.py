"""How far an `async with` block is used that can be entered once."""

from __future__ import annotations

from enum import Enum

__all__ = ["BlockUse"]


class _Use(Enum):
    """How far a block is used: `NEW` before it, `OPEN` in it, `OVER` after it.

    `DONE`: in it, and what it is for has been done.  The values are what an error says to a call
    that comes at the wrong time.
    """

    __hash__ = object.__hash__

    NEW = "enter it with `async with` first"
    OPEN = "it is open"
    DONE = "it is done"
    OVER = "it is over: its block has been left"


_INSIDE = frozenset({_Use.OPEN, _Use.DONE})


class BlockUse:
    """The use of one block; `again` is what an error says when it is entered a second time."""

    __slots__ = ("_again", "_use")

    def __init__(self, again: str) -> None:
        self._again = again
        # How far it is used: moved by the block's own `__aenter__` and `__aexit__`, never back.
        self._use = _Use.NEW

    def check_new(self) -> None:
        """Raise `RuntimeError` if it was entered before."""
        if self._use is not _Use.NEW:
            raise RuntimeError(self._again)

    def begin(self) -> None:
        """Enter it, if it is new: it is over until `open`, so that a failure ends it."""
        self.check_new()
        self._use = _Use.OVER

    def open(self) -> None:
        """Note that it has been entered."""
        self._use = _Use.OPEN

    def close(self) -> None:
        """Note that it has been left."""
        self._use = _Use.OVER

    def finish(self) -> None:
        """Note that what the block is for has been done; it is still open."""
        self._use = _Use.DONE

    @property
    def is_done(self) -> bool:
        """Whether `finish` was called, and it has not been left since."""
        return self._use is _Use.DONE

    @property
    def is_open(self) -> bool:
        """Whether it has been entered, and not left."""
        return self._use in _INSIDE

    def check_open(self, what: str) -> None:
        """Raise `RuntimeError`, which begins with `what`, outside of the block."""
        if self._use not in _INSIDE:
            raise RuntimeError(f"{what}: {self._use.value}")
