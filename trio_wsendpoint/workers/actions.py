"""What a `Supervisor` asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Action", "Kill", "Note", "Start", "Stop"]


@dataclass(frozen=True, slots=True)
class Start:
    """Start the process of worker `number`, the one of `place`."""

    number: int
    place: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell worker `number` to drain and end: SIGTERM."""

    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End worker `number` at once: SIGKILL."""

    number: int


@dataclass(frozen=True, slots=True)
class Note:
    """Write `text` to the log; `is_bad` if it tells of a failure."""

    text: str
    is_bad: bool = False


Action: TypeAlias = Start | Stop | Kill | Note
