"""How often something may happen: a count in a window of one second.

Pure arithmetic on the times that it is given.
"""

from __future__ import annotations

__all__ = ["PeerRate", "RateLimit"]


#: Seconds in which a peer may have sent what is read later, at most: buffers are finite.
SPARED_AT_MOST = 60.0

#: One object for all connections.
_LONG_AGO = -float("inf")


class RateLimit:
    """At most `limit` in each second that begins with the first of them."""

    __slots__ = ("_began", "_count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._began = _LONG_AGO
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


class PeerRate(RateLimit):
    """How often the peer may do something, which it may have done while we did not read."""

    __slots__ = ("_spared",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._spared = 0.0

    def spare(self, seconds: float) -> None:
        """Allow what the peer may have done in these seconds, whenever it is read."""
        self._spared = min(self._spared + seconds * self.limit, SPARED_AT_MOST * self.limit)

    def allow(self, now: float, count: int = 1) -> bool:
        """Note `count` more at the time `now`; return whether they are within limits."""
        if super().allow(now, count):
            return True
        self._spared -= count
        return self._spared >= 0
