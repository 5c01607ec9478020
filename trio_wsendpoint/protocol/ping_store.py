"""The pings that are out, as Net::WebSocket's PingStore.

`add` makes a payload that no other ping of this endpoint has; a pong for any of them clears all
that are outstanding.  A pong for a ping that an earlier pong cleared is *recognised* too: the
payload holds a running number behind a secret of this store, so that nothing is remembered for
it.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PingStore"]


class PingStore:
    """Hands out ping payloads, and tells which pongs answer them."""

    __slots__ = ("_answered", "_random_bytes", "_secret", "_sent")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._secret = ""
        self._sent = 0
        self._answered = 0

    def add(self) -> bytes:
        """Return a new, distinct payload (at most 40 bytes) and count it as outstanding."""
        if not self._secret:
            # Drawn with the first ping: most connections that ever live send none.
            self._secret = self._random_bytes(8).hex()
        self._sent += 1
        return f"ping #{self._sent} ({self._secret})".encode()

    def remove(self, payload: bytes) -> bool:
        """Tell whether `payload` was ever handed out; if so, clear all that are outstanding."""
        if self._number(payload) is None:
            return False
        # RFC 6455 5.5.3 lets a peer answer only the most recent ping; and a pong for an earlier
        # one, even a late one, shows just as well that the peer lives.  So any clears all.
        self._answered = self._sent
        return True

    def clear(self) -> None:
        """Count every ping as answered; they all stay recognised."""
        self._answered = self._sent

    def get_count(self) -> int:
        """Return how many pings are outstanding."""
        return self._sent - self._answered

    def _number(self, payload: bytes) -> int | None:
        head = payload.partition(b" (")[0]
        digits = head.removeprefix(b"ping #")
        if not digits.isdigit() or len(digits) > 20:
            return None
        number = int(digits)
        exact = f"ping #{number} ({self._secret})".encode()
        return number if 0 < number <= self._sent and payload == exact else None
