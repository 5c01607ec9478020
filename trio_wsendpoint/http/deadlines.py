"""When a connection of plain HTTP has waited long enough: one deadline, made from its phase.

Each phase sets the deadline anew, so that what was armed for one request never strikes in the
next.  A body has a clock of its own, which runs only while the app waits for it: a handler that
takes its time is not the client's fault, and a byte now and then does not buy more time.
"""

from __future__ import annotations

import math

from trio_wsendpoint.http.errors import OutOfTime
from trio_wsendpoint.http.phases import Phase
from trio_wsendpoint.http.settings import HttpLimits
from trio_wsendpoint.options import Timeouts

__all__ = ["Deadlines"]

#: Seconds of waiting for a body before its rate counts.
BODY_GRACE = 10.0
#: Seconds that the peer may be silent after our last answer, and that it is read at most.
LINGER = 2.0
LINGER_AT_MOST = 5.0

_UNTIMED = frozenset({Phase.EARLY, Phase.STREAMING, Phase.UPGRADED, Phase.CLOSED})


class Deadlines:
    """The deadlines of one connection, which begins at `now`.

    All times are seconds of one clock that never goes back.
    """

    __slots__ = (
        "_body_size",
        "_body_waited",
        "_http",
        "_is_first",
        "_linger_until",
        "_phase_at",
        "_timeouts",
        "_waits_since",
    )

    def __init__(self, timeouts: Timeouts, http: HttpLimits, now: float) -> None:
        self._timeouts = timeouts
        self._http = http
        self._is_first = True  # no request has been answered
        self._phase_at = now + timeouts.open
        self._linger_until = math.inf
        self._waits_since: float | None = None  # the app waits for the body since then
        self._body_waited = 0.0
        self._body_size = 0

    @property
    def at(self) -> float:
        """When `expire` is due; infinite if nothing is waited for."""
        return min(self._phase_at, self.body_at)

    @property
    def body_at(self) -> float:
        """When the body that the app waits for is late."""
        if self._waits_since is None:
            return math.inf
        earned = BODY_GRACE + self._body_size / self._http.body_rate
        return self._waits_since + min(self._http.body_time, earned) - self._body_waited

    def enter(self, phase: Phase, now: float) -> None:
        """Set the deadline of a phase that begins `now`."""
        if phase in _UNTIMED:
            self._phase_at = math.inf
        elif phase is Phase.IDLE:
            self._is_first = False
            self._phase_at = now + self._http.idle
        elif phase is Phase.HEAD:
            if not self._is_first:  # the first has the time since the connection came
                self._phase_at = now + self._timeouts.open
        elif phase is Phase.BODY:
            self._phase_at = now + self._http.handler
            self._body_waited = 0.0
            self._body_size = 0
        elif phase is Phase.DRAINING:
            self._phase_at = now + LINGER_AT_MOST
        elif phase is Phase.LINGERING:
            self._linger_until = now + LINGER_AT_MOST
            self._phase_at = now + LINGER
        # In ANSWERING the handler has the time since the head came.
        if phase is not Phase.BODY and phase is not Phase.EARLY:
            self._waits_since = None

    def begin_answering(self, now: float) -> None:
        """Set the deadline of the handler: a whole request has come."""
        self._phase_at = now + self._http.handler

    def check(self, phase: Phase, now: float) -> None:
        """Raise `OutOfTime` for what is late when the deadline of `phase` has come, if it says so.

        408 if a head or a body is late, 503 if the handler is.
        """
        if phase is Phase.HEAD or (phase is Phase.IDLE and self._is_first):
            raise OutOfTime(408, "the head of the request took too long")
        if now >= self.body_at:
            raise OutOfTime(408, "the body of the request took too long")
        if phase is Phase.BODY or phase is Phase.ANSWERING:
            raise OutOfTime(503, "the answer took too long")

    def wait_for_body(self, now: float) -> None:
        """Start the body's clock, unless it runs."""
        if self._waits_since is None:
            self._waits_since = now

    def body_came(self, size: int, now: float) -> None:
        """Stop the body's clock: `size` bytes more have come."""
        self._body_size += size
        if self._waits_since is not None:
            self._body_waited += now - self._waits_since
            self._waits_since = None

    def linger_on(self, now: float) -> None:
        """Put the end of a linger off: bytes have come."""
        self._phase_at = min(self._linger_until, now + LINGER)
