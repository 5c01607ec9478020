"""The pings of the app that wait for their pongs, and the last round trip."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from trio_wsendpoint.protocol.frames import PongFrame

__all__ = ["Ping", "PingEnd", "Pings"]

_NEVER = float("inf")


class PingEnd(Enum):
    """What became of a ping."""

    WAITING = "no pong has come"
    ANSWERED = "its pong, or a later one, has come"
    LATE = "no pong came within Timeouts.ping"
    CLOSED = "the connection ended"


class Ping:
    """A ping of the app: when it left, and when it was over; times in seconds.

    `started`: when it left; `inf` until then.  `later`: the payload of the last ping that left
    after it, or its own.  `due`: when its time is up.  `answered`: when its pong came, and `over`:
    when nothing was awaited any more, for that or another reason; each `inf` until then.
    """

    __slots__ = ("answered", "due", "later", "over", "started")

    def __init__(self, payload: bytes, due: float) -> None:
        self.due = due
        self.started = self.answered = self.over = _NEVER
        self.later = payload

    @property
    def end(self) -> PingEnd:
        """What became of it."""
        if self.answered < _NEVER:
            return PingEnd.ANSWERED
        if self.over < self.due:
            return PingEnd.CLOSED
        return PingEnd.WAITING if self.over == _NEVER else PingEnd.LATE

    @property
    def round_trip(self) -> float:
        """Seconds from when it left to its pong."""
        return self.answered - self.started

    def leave(self, payload: bytes, *, is_own: bool, now: float) -> None:
        """Note that the ping `payload` leaves now: this one, or a later one."""
        if is_own:
            self.started = now
        elif self.started <= now:
            self.later = payload

    def answer(self, now: float) -> None:
        """Note that its pong has come."""
        self.answered = self.over = now

    def give_up(self, now: float) -> None:
        """Note that no pong is awaited any more: its time is up, or the connection has ended."""
        self.over = now


#: While none waits; never filled, so all connections share it.
_NONE: dict[bytes, Ping] = {}


class Pings:
    """Those of one connection, by their payloads, in the order in which they leave.

    `round_trip`: seconds that the last ping of the app's took, or None.  `latency`: the same of
    the last ping of any kind that was answered.
    """

    __slots__ = ("_last", "_listener", "latency", "round_trip", "waiting")

    def __init__(self) -> None:
        self.waiting = _NONE
        self.round_trip: float | None = None  # for the statistics
        self.latency: float | None = None  # for the app
        self._last: tuple[bytes, float] | None = None  # the ping that left last, and when
        self._listener: Callable[[float], object] | None = None  # of the instruments

    def listen(self, listener: Callable[[float], object] | None) -> None:
        """Call `listener` with each round trip from now on."""
        self._listener = listener

    def add(self, payload: bytes, ping: Ping) -> None:
        """Wait for the pong to `payload`."""
        if self.waiting is _NONE:
            self.waiting = {}
        self.waiting[payload] = ping

    def forget(self, payload: bytes) -> None:
        """Wait for it no longer."""
        self.waiting.pop(payload, None)

    def leave(self, payload: bytes, now: float) -> None:
        """Note that a ping leaves now; until now it may have waited behind a message."""
        self._last = payload, now
        for waiting, ping in self.waiting.items():
            ping.leave(payload, is_own=waiting == payload, now=now)

    def answer(self, frame: PongFrame, now: float) -> None:
        """Settle the pings that this pong answers: its own, and those that left before.

        A peer may answer the last ping only (RFC 6455 section 5.5.3), and that may be one of the
        heartbeat's, or one that no task waits for any longer.
        """
        if self._last is not None and self._last[0] == frame.payload:
            self.latency = now - self._last[1]
        answered = list(self.waiting)  # in the order in which they leave
        if frame.payload in self.waiting:
            del answered[answered.index(frame.payload) + 1 :]
        else:
            answered = [one for one in answered if self.waiting[one].later == frame.payload]
        for payload in answered:
            ping = self.waiting[payload]
            if ping.started <= now:
                del self.waiting[payload]
                ping.answer(now)
                self.round_trip = ping.round_trip
                if self._listener is not None:
                    self._listener(ping.round_trip)

    @property
    def due(self) -> float:
        """When the time of the next one is up, in seconds."""
        return min((ping.due for ping in self.waiting.values()), default=_NEVER)

    def expire(self, now: float) -> None:
        """End those whose time is up."""
        for payload, ping in list(self.waiting.items()):
            if ping.due <= now:
                del self.waiting[payload]
                ping.give_up(now)

    def close(self, now: float) -> None:
        """End all of them: the connection has ended."""
        for ping in self.waiting.values():
            ping.give_up(now)
        self.waiting.clear()
