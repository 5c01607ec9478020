"""What a reconnecting channel remembers of its tries, and what it decides from that.

A `Record` counts failures and health, judges each end by one row of the table in `retries`, and
says how long to wait.  It does no I/O and never waits; the time is given to it.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import NamedTuple

from trio_wsendpoint.client.attempts import Attempt, GaveUp, ReconnectStatistics
from trio_wsendpoint.client.backoff import Delay, retry_after
from trio_wsendpoint.client.codes import Codes, checked_verdict
from trio_wsendpoint.client.proxy_errors import ProxyRefused
from trio_wsendpoint.client.reconnect_settings import ReconnectSettings
from trio_wsendpoint.client.retries import ROWS, Row, Trouble, judge
from trio_wsendpoint.client.states import ReconnectState
from trio_wsendpoint.handshake.errors import HandshakeRefused

__all__ = ["Decision", "Record", "Stop", "Traffic"]


class Traffic(NamedTuple):
    """What passed over a line: messages each way, and bytes that were sent and have not left."""

    sent: int = 0
    received: int = 0
    unwritten: int = 0


class Decision(NamedTuple):
    """What is done about an end: try again after `delay` seconds, by a row of the table."""

    row: Row
    delay: float


class Judged(NamedTuple):
    """An error, and the row of the table that it was judged by, or that stopped its retries."""

    row: Row
    error: Exception


class Stop(Exception):
    """The table, or an option, says that there is no further try: `Record.gave_up` tells why."""


class Record:
    """What has been tried, for how long it went well, and how often in a row it did not."""

    def __init__(self, settings: ReconnectSettings, now: float) -> None:
        # The row of failures.
        self.attempts = 0
        self.failures = 0
        self._well_at = now  # when there was health last, or the beginning
        self._renewed_at = now  # when a 401 was taken for a token that has expired, likewise
        # The last connection.
        self._last: Judged | None = None  # what was judged last, if anything was
        self._last_traffic = Traffic()
        self._ended_at: float | None = None  # when one ended last, if one has
        # Sums over all that have ended.
        self._began_at = now
        self._connections = 0
        self._connected_for = 0.0
        self._sent = self._received = 0
        self._decisions: Counter[str] = Counter()
        self._settings = settings

    def begin(self, now: float, *, renewing: bool) -> Attempt:
        """Count a try, and return what the functions of the app are told of it."""
        self.attempts += 1
        gap = None if self._ended_at is None else now - self._ended_at
        return Attempt(
            number=self.attempts,
            first=not self._connections,
            renewing=renewing,
            last_error=None if renewing else self._last_error,
            gap=0.0 if renewing else gap,
            sent_before=self._last_traffic.sent,
            unwritten=self._last_traffic.unwritten,
        )

    def note_connection(self) -> None:
        """Note that a try has led to a connection, and `on_connect` has returned."""
        self._connections += 1

    def note_end(self, ready_at: float, now: float, traffic: Traffic, *, has_failed: bool) -> None:
        """Note that the connection which was ready at `ready_at` is used no longer.

        `has_failed`: it has ended, and was not just replaced by the next one.
        """
        self._last_traffic = traffic
        self._ended_at = now
        self._connected_for += now - ready_at
        if self.is_healthy(ready_at, now):
            self.failures = 0
            self._well_at = now
        elif has_failed:
            self.failures += 1

    def note_failure(self) -> None:
        """Note that a try has not led to a connection."""
        self.failures += 1

    def note_renewal(self) -> float:
        """Note that the next connection failed while one is well; return the seconds to wait."""
        self._decisions["max-age"] += 1
        return self._settings.backoff.delay("busy", 1)

    def note_gone(self, traffic: Traffic) -> None:
        """Add what has passed over a line that has ended for good."""
        self._sent += traffic.sent
        self._received += traffic.received

    def is_healthy(self, ready_at: float, now: float) -> bool:
        """Tell whether a connection has lasted long enough to end the row of failures."""
        return now - ready_at >= self._settings.backoff.healthy

    # ---- deciding ----------------------------------------------------------------------------

    def decide(self, trouble: Trouble, now: float) -> Decision:
        """Judge what ended a try or a connection, once it was noted; raises `Stop`.

        Raises what `give_up` raises, and `ValueError` for what it must not return.
        """
        settings, error = self._settings, trouble.error
        row = self._judge(trouble)
        if row.name == "http-401-renewed":
            self._renewed_at = now
        self._note(row, error)
        if row.verdict == "stop":
            raise Stop(row.name)
        after = 0.0
        if isinstance(error, (HandshakeRefused, ProxyRefused)) and error.response is not None:
            after = retry_after(error.response.headers) or 0.0
        start: Delay = row.verdict
        delay = settings.backoff.delay(start, self.failures, after)
        too_much: str | None = None
        if after > settings.backoff.retry_after_cap:
            too_much = "retry-after"
        elif settings.max_failures is not None and self.failures >= settings.max_failures:
            too_much = "max-failures"
        elif settings.max_elapsed is not None and (
            now + delay - self._well_at > settings.max_elapsed
        ):
            too_much = "max-elapsed"
        if too_much is not None:
            self._note(ROWS[too_much], error)
            raise Stop(too_much)
        return Decision(row, delay)

    def _note(self, row: Row, error: Exception) -> None:
        """Count what `row` has decided about `error`, and remember it."""
        self._decisions[row.name] += 1
        self._last = Judged(row, error)

    @property
    def _last_error(self) -> Exception | None:
        return None if self._last is None else self._last.error

    @property
    def _may_renew(self) -> bool:
        """Whether a 401 may mean that a token has expired: there was health since the last one."""
        return self._settings.credentials is not None and self._well_at > self._renewed_at

    def _judge(self, trouble: Trouble) -> Row:
        give_up = self._settings.give_up
        if give_up is not None and not isinstance(give_up, Codes):
            said = give_up(trouble.error)
            if said is not None:
                verdict = said if isinstance(said, str) else ("stop" if said else "later")
                return Row("give-up", checked_verdict(verdict), ROWS["give-up"].what)
        return judge(
            trouble,
            codes=give_up if isinstance(give_up, Codes) else None,
            has_connected=self._connections > 0,
            may_renew=self._may_renew,
        )

    # ---- telling -----------------------------------------------------------------------------

    def gave_up(self) -> GaveUp | None:
        """Return a new error that says why there is no further try; None if there may be one."""
        if self._last is None or self._last.row.verdict != "stop":
            return None
        row, error = self._last
        made = GaveUp(row, error, attempts=self.attempts, failures=self.failures)
        made.__cause__ = error
        return made

    def statistics(
        self,
        *,
        state: ReconnectState,
        now: float,
        ready_at: float | None,
        present: list[Traffic],
        waiting: tuple[int, int],
        unread: int,
    ) -> ReconnectStatistics:
        """Return the numbers, with what the present connections, and senders, add to them."""
        is_healthy = ready_at is not None and self.is_healthy(ready_at, now)
        connected = self._connected_for + (0.0 if ready_at is None else now - ready_at)
        return ReconnectStatistics(
            state=state,
            attempts=self.attempts,
            connections=self._connections,
            failures=0 if is_healthy else self.failures,
            connected_for=connected,
            away_for=now - self._began_at - connected,
            messages_sent=self._sent + sum(traffic.sent for traffic in present),
            messages_received=self._received + sum(traffic.received for traffic in present),
            senders_waiting=waiting[0],
            bytes_waiting=waiting[1],
            bytes_unread=unread,
            last_error=self._last_error,
            decisions=MappingProxyType(dict(self._decisions)),
        )
