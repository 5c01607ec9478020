"""What a reconnecting channel tells the app: of a try, of a wait, of its end, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import trio

from trio_wsendpoint.client.proxy_errors import ProxyRefused
from trio_wsendpoint.client.retries import Row
from trio_wsendpoint.client.states import ReconnectState
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.errors import WebSocketError
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import HandshakeRefused

__all__ = ["Attempt", "GaveUp", "NotConnected", "ReconnectStatistics", "Retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to connect, as `credentials` and `on_connect` are told of it.

    `number` counts all tries from 1.  `first`: no connection has been there before.  `renewing`:
    the connection before is still open, and will be closed for its age (`max_age`).
    `last_error`: why the connection, or the try, before this one ended; None for the first.
    `gap`: seconds since the last connection ended; None if there was none, 0.0 if `renewing`.
    `sent_before`: messages that the last connection took from `send`, of which the last ones may
    not have arrived; `unwritten`: bytes of them that are known not to have left.
    """

    number: int
    first: bool
    renewing: bool = False
    last_error: Exception | None = None
    gap: float | None = None
    sent_before: int = 0
    unwritten: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A wait before the next try, as `on_retry` is told of it.

    `error`: what ended the connection, or the try; `row`: the row of the table that decided;
    `delay`: seconds to the next try; `failures`: in a row, 0 after a healthy connection.
    """

    error: Exception
    row: Row
    delay: float
    failures: int


class GaveUp(WebSocketError, trio.BrokenResourceError):
    """A reconnecting channel has given up: the last error is worth no further try.

    `row` is the row of the table that decided, `error` the last error (also the `__cause__`),
    `attempts` the number of tries, `failures` how many of them failed in a row.
    """

    def __init__(self, row: Row, error: Exception, *, attempts: int, failures: int) -> None:
        tries = "1 try" if attempts == 1 else f"{attempts} tries"
        in_a_row = f"{failures} failure{'' if failures == 1 else 's'} in a row"
        super().__init__(
            f"gave up after {tries}, {in_a_row}; "
            f"row {row.name!r} ({row.what}): {type(error).__name__}: {error}"
        )
        self.row = row
        self.error = error
        self.attempts = attempts
        self.failures = failures

    @property
    def response(self) -> Response | None:
        """What the server, or a proxy, answered: status, headers, 64 KiB of body at most."""
        if isinstance(self.error, (HandshakeRefused, ProxyRefused)):
            return self.error.response
        return None

    @property
    def code(self) -> int | None:
        """The close code of the last connection, if it is a connection that ended."""
        return self.error.code if isinstance(self.error, ConnectionClosed) else None


class NotConnected(WebSocketError, trio.WouldBlock):
    """There is no connection now, and the message was neither sent nor kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectStatistics:
    """What a reconnecting channel has done and holds; times are seconds.

    `attempts`: tries; `connections`: those that led to a connection; `failures`: in a row.
    `connected_for`: time with a connection; `away_for`: without one.
    `messages_sent`, `messages_received`: over all connections, `on_connect` included.
    `senders_waiting`, `bytes_waiting`: calls of `send` that wait for a connection, and what they
    hold.  `bytes_unread`: received over connections that have ended, and not yet taken.
    `decisions`: how often each row of the table has decided, by name.
    """

    state: ReconnectState
    attempts: int
    connections: int
    failures: int
    connected_for: float
    away_for: float
    messages_sent: int
    messages_received: int
    senders_waiting: int
    bytes_waiting: int
    bytes_unread: int
    last_error: Exception | None
    decisions: Mapping[str, int]
