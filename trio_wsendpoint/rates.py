"""How often something may happen: a count in a window of one second.

Pure arithmetic on the times that it is given; imported by `admission` and `tasks`.
"""

from __future__ import annotations

__all__ = ["RateLimit"]


class RateLimit:
    """At most `limit` in each second that begins with the first of them."""

    __slots__ = ("_began", "_count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._began = -float("inf")
        self._count = 0

    def allow(self, now: float, count: int = 1) -> bool:
        """Note `count` more at the time `now` (seconds); return whether they are within limits."""
        if now - self._began >= 1:
            self._began, self._count = now, 0
        self._count += count
        return self._count <= self.limit

    def is_idle(self, now: float) -> bool:
        """Whether nothing of the past counts any more."""
        return now - self._began >= 1
