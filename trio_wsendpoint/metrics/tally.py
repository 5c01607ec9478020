"""Counts what connections do, at their beginning and end, and when it is asked.

A message costs nothing: what a connection has counted itself is read when the metrics are.  That
may be in another thread, as exporters do it.  A lock makes a connection that ends meanwhile count
once; reading ten thousand connections holds it for some ten milliseconds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

import trio

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import Instrument
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake.errors import BadRequest, HandshakeRefused, RequestAnswered
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.session.statistics import ConnectionStatistics

__all__ = ["OUTCOMES", "Tally"]

#: How an opening can end, in a word, by the error; the first that fits.
OUTCOMES: tuple[tuple[str, type[Exception] | tuple[type[Exception], ...]], ...] = (
    ("answered", RequestAnswered),
    ("refused", (BadRequest, HandshakeRefused)),
    ("tls", TLSFailed),
    ("late", trio.TooSlowError),
    ("failed", Exception),
)

_DIRECTIONS = ("sent", "received")


class Tally(Instrument):
    """The base of the adapters: an instrument for one server or client, or for many.

    `read` returns the counters and gauges.  A subclass overrides `observe`, which is told of each
    time as it is measured.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Connection, Session] = {}
        self._openings: Counter[str] = Counter()
        self._closes: Counter[str] = Counter()
        self._ended = Counter[tuple[str, str]]()  # what connections that have ended had counted

    def observe(self, name: str, seconds: float, label: str | None = None) -> None:
        """Take one time of the histogram `name`; `label` is the value of its label."""

    def read(self, name: str) -> list[tuple[str | None, float]]:
        """Return the values of the counter or gauge `name`, each with the value of its label.

        May be called in any thread.  Raises `KeyError` for a name that is neither.
        """
        with self._lock:
            if name == "connections":
                return [(None, len(self._open))]
            if name == "openings":
                return list(self._openings.items())
            if name == "closes":
                return list(self._closes.items())
            if name == "queue_bytes":
                return self._queues()
            counts = Counter[tuple[str, str]](self._ended)
            for session in self._open.values():
                counts.update(_counts_of(session))
            return [(direction, counts[name, direction]) for direction in _known(name)]

    def _queues(self) -> list[tuple[str | None, float]]:
        sessions = self._open.values()
        return [
            ("send", sum(session.outbox.queued_bytes for session in sessions)),
            ("receive", sum(session.inbox.size for session in sessions)),
        ]

    # ---- what it listens to ------------------------------------------------------------------

    # A Ctrl-C comes after each: the lock must not stay taken.

    @trio.lowlevel.enable_ki_protection
    def connection_opened(self, connection: Connection) -> None:
        """Count the connection."""
        with self._lock:
            self._openings["opened"] += 1
            self._open[connection] = connection.tasks.session

    @trio.lowlevel.enable_ki_protection
    def connection_closed(self, connection: Connection, statistics: ConnectionStatistics) -> None:
        """Keep what the connection has counted."""
        cause = statistics.close_cause
        with self._lock:
            session = self._open.pop(connection, None)
            if session is not None:
                self._ended.update(_counts_of(session))
                self._closes["unknown" if cause is None else str(cause)] += 1

    @trio.lowlevel.enable_ki_protection
    def handshake_refused(self, error: HandshakeError, peer: Peer | None) -> None:
        """Count the opening that has failed."""
        outcome = next(word for word, kinds in OUTCOMES if isinstance(error, kinds))
        with self._lock:
            self._openings[outcome] += 1

    def round_trip(self, connection: Connection, seconds: float) -> None:
        """Observe the time of a ping."""
        self.observe("round_trip", seconds)

    def handler_ended(
        self, connection: Connection, seconds: float, error: Exception | None
    ) -> None:
        """Observe the time that a handler has taken."""
        self.observe("handler", seconds, "returned" if error is None else "raised")


def _counts_of(session: Session) -> dict[tuple[str, str], int]:
    counts = session.counts()
    return {
        ("messages", "sent"): counts.messages_sent,
        ("messages", "received"): counts.messages_received,
        ("bytes", "sent"): counts.bytes_sent,
        ("bytes", "received"): counts.bytes_received,
    }


def _known(name: str) -> Iterable[str]:
    if name not in {"messages", "bytes"}:
        raise KeyError(name)
    return _DIRECTIONS
