"""When a silent peer is pinged and given up, and when compression lets go of its memory."""

from __future__ import annotations

from trio_wsendpoint.options import Heartbeat
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.session.intake import Intake

__all__ = ["Beat"]

#: Seconds without a message after which compression frees what it can make again.
IDLE = 60.0

#: One object for all connections.
_LONG_AGO, _NEVER = -float("inf"), float("inf")


class Beat:
    """The heartbeat of one connection.

    `due`: when `beat` is to be called next, in seconds.  A peer that sends moves its ping to a
    later time than that: `beat` then finds nothing to do but to plan the next one.
    """

    __slots__ = ("_active", "_endpoint", "_interval", "_last", "_planned", "_seen", "due")

    def __init__(self, endpoint: Endpoint, options: Heartbeat | None, now: float) -> None:
        self._endpoint = endpoint
        self._interval = _NEVER if options is None else options.interval
        self._last = _LONG_AGO  # when the last ping was due
        self._active = now  # when a message passed last, as far as was looked at
        self._seen = 0  # bytes of messages that had passed then
        self._planned = now + self._interval
        self.due = self._next(now)

    def _next(self, now: float) -> float:
        if self._endpoint.extension is None:
            return self._planned
        # However rare the beats are: what compression holds is looked at four times as often as
        # it may be held idle.
        return min(self._planned, now + IDLE / 4)

    def beat(self, intake: Intake, is_paused: bool, now: float) -> None:
        """Ping a peer that has been silent, or give it up; plan the next time.

        A peer is judged only by time in which we read: `is_paused` tells that we do not.
        """
        self._release_if_idle(now)
        if now >= self._planned:
            if is_paused:
                intake.live(now)
                self._show_life()
            elif max(intake.heard, self._last) + self._interval <= now:
                if now > self._planned + self._interval:
                    # The process was asleep for longer than a beat: ask before judging.
                    self._endpoint.reset_heartbeat()
                self._last = now
                self._endpoint.check_heartbeat()
            self._planned = max(intake.heard, self._last) + self._interval
        self.due = self._next(now)

    def _show_life(self) -> None:
        """Send a ping that needs no answer: the peer's own wait unread, while we do not read."""
        endpoint = self._endpoint
        if endpoint.is_open and endpoint.held is None and not endpoint.get_write_queue_size():
            endpoint.ping()
            endpoint.reset_heartbeat()

    def _release_if_idle(self, now: float) -> None:
        endpoint = self._endpoint
        if endpoint.extension is None:
            return
        passed = endpoint.traffic.payload_sent + endpoint.traffic.wire_received
        if passed != self._seen:
            self._seen, self._active = passed, now
        elif now - self._active >= IDLE:
            endpoint.extension.release()
