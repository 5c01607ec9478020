"""Makes an address wait whose credentials were wrong too often in a row."""

from __future__ import annotations

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.options import ServerLimits
from trio_wsendpoint.server.admission import address_key

__all__ = ["BackOff"]

#: Seconds that an address waits at most.
LONGEST = 60.0
#: Addresses that are remembered at least, before those that may try again are forgotten.
_SWEEP = 1024


class BackOff:
    """Counts failures of authentication in a row by address, as `limits` say.

    After `ServerLimits.auth_failures` of them an address waits 1 s, and after each further one
    twice as long, 60 s at most.  A success forgets them.  Times are Trio's.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._allowed = limits.auth_failures
        self._prefix = limits.ipv6_prefix
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._sweep_at = _SWEEP

    def seconds_for(self, peer: Peer, now: float) -> float:
        """Return how long `peer` must wait; 0 if it need not."""
        key = self._key(peer)
        return 0.0 if key is None else max(0.0, self._until.get(key, 0.0) - now)

    def fail(self, peer: Peer, now: float) -> None:
        """Note that the credentials of `peer` were wrong."""
        key = self._key(peer)
        if key is None or self._allowed is None:
            return
        if len(self._failures) >= self._sweep_at:
            # A flood from many addresses must not become a leak.
            keep = {one for one in self._failures if self._until.get(one, now) + LONGEST > now}
            self._failures = {one: self._failures[one] for one in keep}
            self._until = {one: at for one, at in self._until.items() if one in keep}
            self._sweep_at = max(_SWEEP, 2 * len(keep))
        count = self._failures[key] = self._failures.get(key, 0) + 1
        over = count - self._allowed
        seconds = min(LONGEST, 2.0 ** min(over, 10)) if over >= 0 else 0.0
        self._until[key] = now + seconds

    def succeed(self, peer: Peer) -> None:
        """Forget the failures of `peer`."""
        key = self._key(peer)
        if key is not None:
            self._failures.pop(key, None)
            self._until.pop(key, None)

    def _key(self, peer: Peer) -> str | None:
        address = peer.counted_as
        return None if address is None else address_key(address, self._prefix)
