"""How much a served connection may be given ahead of what its peer has taken."""

from __future__ import annotations

import math

from trio_wsendpoint.connection.closed import PingTimeout
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.hub.policies import Latest, Policy

__all__ = ["Room"]

#: Bytes that wait in the connection above which it is given no more: what waits there is neither
#: dropped nor replaced.  A frame that waits is held twice, as payload and as it goes on the wire.
AHEAD = 12 * 1024
#: More than any message has: to wait for that much room is to wait until nothing waits.
_ALL = 2**62


class Room:
    """The room of one connection.

    With `Latest` it is closed after `ahead` bytes, until the peer has answered a ping behind them:
    the system's buffers, and those of the peer, may hold megabytes that nobody has read.

    `is_paced`: whether that is so.  `given`: bytes since the last ping that was answered.
    """

    __slots__ = (
        "_connection",
        "_outbox",
        "_sending",
        "_sent_seen",
        "ahead",
        "given",
        "is_paced",
        "is_pinging",
    )

    def __init__(self, connection: Connection, policy: Policy) -> None:
        self._connection = connection
        self._outbox = connection.tasks.session.outbox
        self._sending = connection.sending
        self.is_paced = isinstance(policy, Latest)
        self.ahead = policy.ahead if isinstance(policy, Latest) else math.inf
        self.given = 0
        self._sent_seen = 0
        # A pong is waited for; set and reset by `wait`.
        self.is_pinging = False

    @property
    def is_open(self) -> bool:
        """Whether the next message may be given."""
        if self.given >= self.ahead:
            return False
        outbox = self._outbox
        return outbox.queued_bytes + outbox.unsent < AHEAD and self._sending.has_room_for(b"")

    def note_given(self, size: int) -> None:
        """Note that a message of `size` bytes was given."""
        if self.is_paced:
            self.given += size

    async def wait(self) -> None:
        """Wait until the peer has taken what it was given, and with `Latest` has read it.

        Raises `ConnectionClosed`, as `Connection.wait_room` does.
        """
        await self._connection.wait_room(_ALL)
        if self.given < self.ahead:
            return
        self.is_pinging = True
        try:
            await self._ping()
        finally:
            self.is_pinging = False
        self.given = 0

    async def _ping(self) -> None:
        while True:
            try:
                await self._connection.ping()
            except PingTimeout:
                continue  # it reads nothing; the heartbeat gives it up
            return

    @property
    def is_held_by_app(self) -> bool:
        """Whether the app's own `send()` or `send_stream()` is before us, and the peer has all."""
        return self._outbox.is_empty and self._sending.is_busy

    def has_progressed(self) -> bool:
        """Tell whether the peer has taken bytes since the last call, or has none to take."""
        sent, self._sent_seen = self._sent_seen, self._outbox.bytes_sent
        if self.is_pinging:
            return False
        return self._outbox.bytes_sent != sent or self._outbox.is_empty
