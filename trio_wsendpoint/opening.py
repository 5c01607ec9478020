"""The opening handshake over a stream: the client's, and what both roles share.

`open_as_client` returns a `Connection` whose tasks have not been started, or raises
`HandshakeError` (a cancelled one, `Cancelled`); then the stream is closed.  Imported by
`accepting`, which has the server's, by `client` and by `testing`.
"""

from __future__ import annotations

import contextlib
from typing import cast

import trio

from trio_wsendpoint.connection import Connection
from trio_wsendpoint.errors import BadResponse, HandshakeError, TLSFailed
from trio_wsendpoint.handshake import (
    ClientHandshake,
    Request,
    Response,
    ResponseReader,
    serialize_request,
)
from trio_wsendpoint.instruments import tell_refusal
from trio_wsendpoint.peer import ConnectionLogger, make_logger
from trio_wsendpoint.protocol.endpoint import ClientEndpoint, Endpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.settings import ConnectionSettings
from trio_wsendpoint.tasks import Tasks
from trio_wsendpoint.tls import TLSTransport
from trio_wsendpoint.transport import NonBlockingStream, non_blocking

__all__ = [
    "HandshakeTimeout",
    "connect_without_handshake",
    "do_tls",
    "lost",
    "make_endpoint",
    "make_tasks",
    "open_as_client",
    "send",
]

#: Bytes asked of the stream at a time while an HTTP head is read.
CHUNK = 16384


class HandshakeTimeout(HandshakeError, trio.TooSlowError):
    """The opening took longer than `Timeouts.open`."""


# ---- the client --------------------------------------------------------------------------------


async def open_as_client(
    stream: trio.abc.Stream, handshake: ClientHandshake, settings: ConnectionSettings
) -> Connection:
    """Write a request to `stream` and check the answer; the caller keeps the time."""
    logger = make_logger(stream, settings)
    try:
        await do_tls(stream)
        request = handshake.request()
        await send(stream, serialize_request(request))
        reader = ResponseReader(settings.limits)
        response = await _read_response(stream, reader, settings)
        handshake.check(response)
        endpoint = make_endpoint(ClientEndpoint, settings, handshake.extension)
        endpoint.receive_data(reader.trailing)
        tasks = make_tasks(stream, non_blocking(stream), endpoint, settings, logger)
        return Connection(
            tasks, request=request, response=response, subprotocol=handshake.subprotocol
        )
    except BaseException as error:
        if isinstance(error, HandshakeError):
            tell_refusal(settings.instruments, error, logger.address, logger)
        await trio.aclose_forcefully(stream)
        raise


async def _read_response(
    stream: trio.abc.Stream, reader: ResponseReader, settings: ConnectionSettings
) -> Response:
    response: Response | None = None
    while response is None and reader.partial() is None:
        data = await _receive(stream)
        response = reader.receive_data(data) if data else reader.receive_eof()
    # Of an answer that is not 101 the body is wanted too: what comes of it, and not for long.
    with trio.move_on_after(settings.timeouts.linger), contextlib.suppress(BadResponse):
        while response is None:
            data = await _receive(stream)
            response = reader.receive_data(data) if data else reader.receive_eof()
    return response or cast("Response", reader.partial())


# ---- both --------------------------------------------------------------------------------------


async def do_tls(stream: trio.abc.Stream) -> None:
    """Do the TLS handshake, if there is TLS; raises `TLSFailed`."""
    if not isinstance(stream, (TLSTransport, trio.SSLStream)):
        return
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__ or error
        raise TLSFailed(f"the TLS handshake failed: {cause}") from cause


async def _receive(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(CHUNK))
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise lost(error) from error


async def send(stream: trio.abc.Stream, data: bytes) -> None:
    """Send all of `data`; raises `BadResponse` if the connection is lost."""
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise lost(error) from error


def lost(error: Exception) -> BadResponse:
    """Return what to raise when the stream has broken with `error`."""
    why = error.__cause__ or error
    return BadResponse(f"the connection was lost in the opening handshake: {why!r}")


def make_endpoint(
    default: type[Endpoint], settings: ConnectionSettings, extension: MessageExtension | None
) -> Endpoint:
    """Return the endpoint of a connection; raises what a class of the user's raises."""
    endpoint_class = settings.endpoint_class or default
    return endpoint_class(
        max_pings=settings.heartbeat.max_pings if settings.heartbeat is not None else 0,
        on_data_frame=settings.on_data_frame,
        before_send_frame=settings.before_send_frame,
        unrecognized_pong=settings.unrecognized_pong,
        limits=settings.limits,
        extension=extension,
        hold_end=True,
        random_bytes=settings.random_bytes,
    )


def connect_without_handshake(
    stream: trio.abc.Stream,
    default: type[Endpoint],
    settings: ConnectionSettings,
    request: Request,
    response: Response,
) -> Connection:
    """Return a connection as if `request` and `response` had been exchanged; for tests."""
    endpoint = make_endpoint(default, settings, None)
    logger = make_logger(stream, settings)
    tasks = make_tasks(stream, non_blocking(stream), endpoint, settings, logger)
    return Connection(tasks, request=request, response=response, subprotocol=None)


def make_tasks(
    stream: trio.abc.Stream,
    transport: NonBlockingStream | None,
    endpoint: Endpoint,
    settings: ConnectionSettings,
    logger: ConnectionLogger,
) -> Tasks:
    """Return what runs behind a connection; `transport` is the non-blocking form of `stream`."""
    return Tasks(
        stream,
        transport,
        endpoint,
        limits=settings.limits,
        timeouts=settings.timeouts,
        heartbeat=settings.heartbeat,
        logger=logger,
    )
