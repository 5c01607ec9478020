"""The pings that are out, as Net::WebSocket's PingStore.

A payload is 8 bytes: a running number, and a code of that number under a secret of this store.  So
no two pings of an endpoint are alike, a peer cannot make the pong for a ping that it has not seen,
and nothing is remembered for a ping: a pong for any of them clears all that are outstanding, and a
pong for a ping that an earlier pong cleared is *recognised* too.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s
from hmac import compare_digest

__all__ = ["PingStore"]

#: Bytes of the number, and of the code: a guess at a code is right once in four billion times.
_NUMBER = _CODE = 4
#: After so many pings the numbers begin again, under another secret.
_NUMBERS = 1 << 8 * _NUMBER


class PingStore:
    """Hands out ping payloads, and tells which pongs answer them."""

    __slots__ = ("_answered", "_random_bytes", "_secret", "_sent")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._secret = b""
        self._sent = 0
        self._answered = 0

    def add(self) -> bytes:
        """Return a new, distinct payload of 8 bytes and count it as outstanding."""
        if not self._sent % _NUMBERS:
            # Drawn with the first ping: most connections that ever live send none.
            self._secret = self._random_bytes(16)
        self._sent += 1
        number = (self._sent % _NUMBERS).to_bytes(_NUMBER, "big")
        return number + self._code(number)

    def remove(self, payload: bytes) -> bool:
        """Tell whether `payload` was ever handed out; if so, clear all that are outstanding."""
        number, code = payload[:_NUMBER], payload[_NUMBER:]
        if not self._secret or not compare_digest(code, self._code(number)):
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

    def _code(self, number: bytes) -> bytes:
        return blake2s(number, key=self._secret, digest_size=_CODE).digest()
