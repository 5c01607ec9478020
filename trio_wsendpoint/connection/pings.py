"""The pings that tasks of the application wait for, and the round trip of the last one.

`note` when a ping leaves, `answer` when a pong comes, `fail` when the connection has ended: each
task that waits gets its outcome from one of them.  Imported by `tasks`, `writer` and `connection`.
"""

from __future__ import annotations

from collections.abc import Callable

import outcome
import trio

from trio_wsendpoint.protocol.frames import PongFrame

__all__ = ["Ping", "Pings"]


class Ping:
    """A ping that a task waits for: when it left, which one left last, what became of it."""

    __slots__ = ("done", "later", "result", "started")

    def __init__(self) -> None:
        self.started: float | None = None
        #: The payload of the last ping that has left after it, whoever sent that.
        self.later: bytes | None = None
        self.done = trio.Event()
        self.result: outcome.Outcome[float] | None = None

    def settle(self, result: outcome.Outcome[float]) -> None:
        """Wake the task that waits."""
        self.result = result
        self.done.set()


class Pings:
    """Those of one connection, by their payloads, in the order in which they leave."""

    __slots__ = ("listener", "round_trip", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[bytes, Ping] = {}
        #: Seconds that the last ping took, or None.
        self.round_trip: float | None = None
        #: Called with each round trip, if anybody listens.
        self.listener: Callable[[float], object] | None = None

    def note(self, payload: bytes) -> None:
        """Note that a ping leaves now; until now it may have waited behind a message."""
        for ping in self.waiting.values():
            if ping.started is not None:
                ping.later = payload
        if payload in self.waiting:
            self.waiting[payload].started = trio.current_time()

    def answer(self, frame: PongFrame) -> None:
        """Give those who wait for this pong, or for an earlier one, the time that it took.

        A peer may answer the last ping only (RFC 6455 section 5.5.3), and that may be one of the
        heartbeat's, or one that nobody waits for any longer.
        """
        answered = list(self.waiting)  # in the order in which they leave
        if frame.payload in self.waiting:
            del answered[answered.index(frame.payload) + 1 :]
        else:
            answered = [one for one in answered if self.waiting[one].later == frame.payload]
        now = trio.current_time()
        for payload in answered:
            ping = self.waiting[payload]
            if ping.started is not None:
                del self.waiting[payload]
                round_trip = self.round_trip = now - ping.started
                ping.settle(outcome.Value(round_trip))
                if self.listener is not None:
                    self.listener(round_trip)

    def fail(self, error: Exception) -> None:
        """Give everyone who waits `error`."""
        for ping in self.waiting.values():
            ping.settle(outcome.Error(error))
        self.waiting.clear()
