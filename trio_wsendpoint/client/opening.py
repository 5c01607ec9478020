"""The client's opening handshake over a stream.

`open_as_client` returns a `Connection` whose tasks have not been started, or raises
`HandshakeError` (a cancelled one, `Cancelled`); then the stream is closed.
"""

from __future__ import annotations

import contextlib
from typing import cast

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.opening import CHUNK, do_tls, lost, make_endpoint, make_tasks, send
from trio_wsendpoint.connection.peer import ConnectionLogger, Ends
from trio_wsendpoint.connection.settings import ConnectionSettings
from trio_wsendpoint.errors import BadResponse, HandshakeError
from trio_wsendpoint.handshake import (
    ClientHandshake,
    Response,
    ResponseReader,
    serialize_request,
)
from trio_wsendpoint.protocol.endpoint import ClientEndpoint
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.streams import non_blocking

__all__ = ["HandshakeTimeout", "open_as_client"]


class HandshakeTimeout(HandshakeError, trio.TooSlowError):
    """The opening took longer than `Timeouts.open`."""


async def open_as_client(
    stream: trio.abc.Stream, handshake: ClientHandshake, settings: ConnectionSettings
) -> Connection:
    """Write a request to `stream` and check the answer; the caller keeps the time."""
    logger: Logger = settings.logger
    ends = Ends(stream)
    try:
        own_logger = ConnectionLogger(logger, ends, settings.random_bytes(4).hex())
        logger = own_logger
        await do_tls(stream, "does the server speak TLS on this port, or is its URL ws://?")
        ends.find_tls(stream)
        request = handshake.request()
        reader = ResponseReader(settings.limits, is_plain=not handshake.url.secure)
        response = await _ask(stream, serialize_request(request), reader, settings)
        handshake.check(response)
        endpoint = make_endpoint(ClientEndpoint, settings, handshake.extension)
        endpoint.receive_data(reader.trailing)
        tasks = make_tasks(stream, non_blocking(stream), endpoint, settings, own_logger)
        return Connection(
            tasks, request=request, response=response, subprotocol=handshake.subprotocol
        )
    except BaseException as error:
        if isinstance(error, HandshakeError):
            tell_refusal(settings.instruments, error, ends.peer, logger)
        await trio.aclose_forcefully(stream)
        raise


async def _ask(
    stream: trio.abc.Stream, data: bytes, reader: ResponseReader, settings: ConnectionSettings
) -> Response:
    """Write the request and return the answer; raises `BadResponse`."""
    try:
        await send(stream, data)
    except BadResponse:
        # A server may refuse it, and close, before it has read it all: its answer counts.
        with trio.move_on_after(settings.timeouts.linger), contextlib.suppress(BadResponse):
            return await _read_response(stream, reader, settings)
        raise
    return await _read_response(stream, reader, settings)


async def _read_response(
    stream: trio.abc.Stream, reader: ResponseReader, settings: ConnectionSettings
) -> Response:
    response: Response | None = None
    while response is None and reader.partial() is None:
        data = await _receive(stream, reader)
        response = reader.receive_data(data) if data else reader.receive_eof()
    # Of an answer that is not 101 the body is wanted too: what comes of it, and not for long.
    with trio.move_on_after(settings.timeouts.linger), contextlib.suppress(BadResponse):
        while response is None:
            data = await _receive(stream, reader)
            response = reader.receive_data(data) if data else reader.receive_eof()
    return response or cast("Response", reader.partial())


async def _receive(stream: trio.abc.Stream, reader: ResponseReader) -> bytes:
    try:
        return bytes(await stream.receive_some(CHUNK))
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise reader.cut_short(str(lost(error))) from error
