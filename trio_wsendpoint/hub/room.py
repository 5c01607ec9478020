"""How much a served connection may be given ahead of what its peer has taken."""

from __future__ import annotations

from trio_wsendpoint.connection.closed import PingTimeout
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.hub.policies import Latest, Policy

__all__ = ["Room"]

#: Bytes that wait in the connection above which it is given no more: what waits there is neither
#: dropped nor replaced.  A frame that waits is held twice, as payload and as it goes on the wire.
AHEAD = 16 * 1024
#: More than any message has: to wait for that much room is to wait until nothing waits.
_ALL = 2**62


class Room:
    """The room of one connection.

    With `Latest` it is closed after `ahead` bytes, until the peer has answered a ping behind them:
    the system's buffers, and those of the peer, may hold megabytes that nobody has read.
    """

    __slots__ = (
        "_ahead",
        "_connection",
        "_given",
        "_outbox",
        "_sent_seen",
        "is_paced",
        "is_pinging",
    )

    def __init__(self, connection: Connection, policy: Policy) -> None:
        self._connection = connection
        self._outbox = connection.tasks.session.outbox
        # Whether it is closed after `ahead` bytes, because the policy is `Latest`.
        self.is_paced = isinstance(policy, Latest)
        self._ahead = policy.ahead if isinstance(policy, Latest) else None
        self._given = 0  # bytes since the last ping that was answered, with `Latest`
        self._sent_seen = 0
        # A pong is waited for; set and reset by `wait`.
        self.is_pinging = False

    @property
    def is_open(self) -> bool:
        """Whether the next message may be given."""
        if self._ahead is not None and self._given >= self._ahead:
            return False
        outbox = self._outbox
        return (
            outbox.queued_bytes + outbox.unsent < AHEAD
            and self._connection.sending.has_room_for(b"")
        )

    def note_given(self, size: int) -> None:
        """Note that a message of `size` bytes was given."""
        self._given += size

    async def wait(self) -> None:
        """Wait until the peer has taken what it was given, and with `Latest` has read it.

        Raises `ConnectionClosed`, as `Connection.wait_room` does.
        """
        await self._connection.wait_room(_ALL)
        if self._ahead is None or self._given < self._ahead:
            return
        self.is_pinging = True
        try:
            await self._ping()
        finally:
            self.is_pinging = False
        self._given = 0

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
        return self._outbox.is_empty and self._connection.sending.is_busy

    def has_progressed(self) -> bool:
        """Tell whether the peer has taken bytes since the last call, or has none to take."""
        sent, self._sent_seen = self._sent_seen, self._outbox.bytes_sent
        if self.is_pinging:
            return False
        return self._outbox.bytes_sent != sent or self._outbox.is_empty
