"""What a server writes into its access log: ended connections, and refused openings."""

from __future__ import annotations

import trio

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Request
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.server.access_log import AccessRecord
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.server.settings import AcceptSettings, ServeSettings

__all__ = ["write_connection", "write_refusal", "write_request"]


def write_connection(connection: Connection, settings: ServeSettings) -> None:
    """Write the line of a connection that has ended, if there is an access log."""
    if settings.access_log is None:
        return
    told = connection.statistics()
    record = AccessRecord(
        request=connection.request,
        peer=connection.peer,
        state=connection.state,
        status=101,
        ended=settings.wall_clock(),
        duration=told.age,
        bytes_received=told.bytes_received,
        bytes_sent=told.bytes_sent,
        messages_received=told.messages_received,
        messages_sent=told.messages_sent,
        subprotocol=connection.subprotocol,
        close_code=told.close_code,
        close_cause=told.close_cause,
    )
    settings.access_log.write(record)


def write_request(request: HttpRequest, settings: AcceptSettings) -> None:
    """Write the line of a plain request, if there is an access log and an answer has begun."""
    exchange = request.exchange
    log = settings.access_log if isinstance(settings, ServeSettings) else None
    if log is None or exchange.status is None:
        return
    record = AccessRecord(
        request=request,
        peer=request.peer,
        state=request.state,
        status=exchange.status,
        ended=settings.wall_clock(),
        duration=trio.current_time() - exchange.began,
        bytes_received=exchange.received,
        bytes_sent=exchange.size,
    )
    log.write(record)


def write_refusal(
    error: HandshakeError,
    request: Request | None,
    peer: Peer,
    seconds: float,
    settings: ServeSettings,
) -> None:
    """Write the line of an opening that was answered otherwise, if there is an access log.

    One that was not answered has no line: the client has gone, or speaks no HTTP.
    """
    if settings.access_log is None or not isinstance(error, (BadRequest, RequestAnswered)):
        return
    record = AccessRecord(
        request=request,
        peer=peer,
        status=error.response.status,
        ended=settings.wall_clock(),
        duration=seconds,
        bytes_sent=len(error.response.body),
    )
    settings.access_log.write(record)
