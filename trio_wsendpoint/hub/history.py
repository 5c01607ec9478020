"""`History`: how much of each topic is kept for those who come later, or come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from trio_wsendpoint.options import OptionGroup

__all__ = ["History"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History(OptionGroup):
    """How much of each topic is kept; the oldest messages go first.

    `entries`: messages.  `bytes`: bytes of their payloads and keys, 400 more for each message; in
    memory exactly, in Redis by estimate (entries by their mean size).  `age`: seconds, by the
    clock that the backplane has; `math.inf` keeps them until the other two bounds are reached.
    """

    entries: int = 1000
    bytes: int = 1024 * 1024
    age: float = math.inf

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_time = field.name == "age"
            if isinstance(value, bool) or not isinstance(value, (int, float) if is_time else int):
                kind = "seconds" if is_time else "an int"
                raise TypeError(f"History.{field.name} must be {kind}, not {value!r}")
            if not value > 0:
                raise ValueError(f"History.{field.name} must be more than 0, not {value}")
