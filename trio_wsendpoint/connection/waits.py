"""The places where the tasks of one connection wait."""

from __future__ import annotations

from trio_wsendpoint.transport.waiters import Waiter, Waiters

__all__ = ["Waits"]


class Waits:
    """Where tasks wait: `receiver` for a message, `senders` for their turn, and so on.

    `chunks`: the task that sends in chunks waits for room.  `pings`: tasks wait for pongs.
    `phase`: tasks wait for the next phase.  `ended`: tasks wait until the stream is closed.
    """

    __slots__ = ("chunks", "ended", "phase", "pings", "receiver", "senders")

    def __init__(self) -> None:
        self.receiver = Waiter()
        self.senders = Waiters()
        self.chunks = Waiters()
        self.pings = Waiters()
        self.phase = Waiters()
        self.ended = Waiters()
