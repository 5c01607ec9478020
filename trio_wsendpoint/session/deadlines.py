"""The deadlines of `Timeouts` that run for one connection, as data."""

from __future__ import annotations

from enum import Enum

__all__ = ["Deadlines", "Due"]

_NEVER = float("inf")


class Due(Enum):
    """What is due when a deadline of `Timeouts` has passed.

    `ANSWER`: the peer's Close or violation that is held takes effect.  `WRITE`: the peer has
    accepted nothing, and is given up.  `DRAIN`: what was committed has not left, and the peer is
    given up.  `CLOSE`: the peer has not closed, and `LINGER`: has not ended its bytes; the stream
    is closed.
    """

    __hash__ = object.__hash__

    ANSWER = "answer"
    WRITE = "write"
    DRAIN = "drain"
    CLOSE = "close"
    LINGER = "linger"


#: While none runs, as for most of a connection's time; never filled, so all connections share it.
_NONE: dict[Due, float] = {}


class Deadlines:
    """Which of `Due` run, and until when, in seconds.

    The one for writing is looked at lazily.  Progress moves no deadline, for that would cost a
    call of the heartbeat for each write: when the deadline has passed, `is_stalled` compares it
    with the last progress, and plans the next look if the peer is not late.

    `progress_at`: when the stream last took a byte, or was first given what it has not taken;
    `inf` while it has taken all.  `earliest`: when the next one has passed; `inf` if none runs.
    """

    __slots__ = ("_patience", "_running", "earliest", "progress_at")

    def __init__(self, patience: float) -> None:
        self._patience = patience  # `Timeouts.write`, in seconds
        self.progress_at = _NEVER
        self._running = _NONE
        self.earliest = _NEVER

    def __contains__(self, due: Due) -> bool:
        return due in self._running

    def set(self, due: Due, when: float) -> bool:
        """Plan `due` for `when`; return whether the earliest of all is earlier now."""
        running, before = self._running, self.earliest
        if running is _NONE:
            running = self._running = {}
        is_later = running.get(due, _NEVER) < when
        running[due] = when
        self.earliest = min(running.values()) if is_later else min(before, when)
        return self.earliest < before

    def drop(self, due: Due) -> None:
        """Forget `due`, if it runs."""
        if self._running.pop(due, None) is not None:
            self.earliest = min(self._running.values(), default=_NEVER)

    def clear(self) -> None:
        """Forget all of them."""
        self._running, self.earliest = _NONE, _NEVER

    def passed(self, now: float) -> list[Due]:
        """Return those that have passed at `now`."""
        return [due for due, when in self._running.items() if when <= now]

    # ---- progress of writing -----------------------------------------------------------------

    def note_rest(self, count: int, now: float) -> bool:
        """Note that the stream took `count` bytes, and not all; return as `set` does."""
        self.progress_at = now if count else min(self.progress_at, now)
        # If it runs, for something that was written before, it is looked at then.
        return Due.WRITE not in self._running and self.set(Due.WRITE, now + self._patience)

    def note_written(self) -> None:
        """Note that the stream took the rest."""
        self.progress_at = _NEVER

    def is_stalled(self, now: float) -> bool:
        """Tell whether the stream has taken nothing for too long; plan the next look if not."""
        due = min(self.progress_at, now) + self._patience
        if due <= now:
            return True
        self.set(Due.WRITE, due)
        return False
