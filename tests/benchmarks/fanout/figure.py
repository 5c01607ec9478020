"""`Figure`: one thing that was measured, with the most that it may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`what` of `server` is `value` in `unit`, and `most` at most, if that is promised.

    `why_not`: why there is no value.
    """

    what: str
    server: str
    unit: str
    value: float | None = None
    most: float | None = None
    why_not: str = ""

    @property
    def words(self) -> str:
        """Say whether it holds; nothing if nothing is promised."""
        if self.value is None:
            return f"not measured: {self.why_not}"
        if self.most is None:
            return ""
        return "holds" if self.value <= self.most else "does not hold"
