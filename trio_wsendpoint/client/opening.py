"""The client's opening handshake over a stream.

`open_as_client` returns a `Connection` whose tasks have not been started, or raises
`HandshakeError`, or `Redirected` (a cancelled one, `Cancelled`); then the stream is closed.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.client.responses import exchange
from trio_wsendpoint.client.stopwatch import Stopwatch
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.peer import ConnectionLogger, ends_of
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import (
    ClientHandshake,
    Response,
    ResponseReader,
    WebSocketURL,
    serialize_request,
)
from trio_wsendpoint.opening.exchange import do_tls
from trio_wsendpoint.opening.making import make_endpoint, make_tasks
from trio_wsendpoint.opening.settings import ConnectionSettings
from trio_wsendpoint.protocol.endpoint import ClientEndpoint
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.sockets import non_blocking

__all__ = ["HandshakeTimeout", "Redirected", "open_as_client"]


class HandshakeTimeout(HandshakeError, trio.TooSlowError):
    """The opening took longer than `Timeouts.open`."""


class Redirected(Exception):
    """The server has answered with a redirect that is to be followed: open the next connection."""


def _follow_none(_: Response) -> WebSocketURL | None:
    return None


async def open_as_client(
    stream: trio.abc.Stream,
    handshake: ClientHandshake,
    settings: ConnectionSettings,
    *,
    watch: Stopwatch,
    follow: Callable[[Response], WebSocketURL | None] = _follow_none,
) -> Connection:
    """Write a request to `stream` and check the answer; the caller keeps the time.

    `follow` is asked whether to follow an answer; it may raise `HandshakeError`.
    """
    logger: Logger = settings.logger
    ends = ends_of(stream)
    try:
        own_logger = ConnectionLogger(logger, ends, settings.random_bytes(4).hex())
        logger = own_logger
        watch.begin("tls")
        if await do_tls(stream, "does the server speak TLS on this port, or is its URL ws://?"):
            watch.end()
            ends.find_tls(stream)
        watch.begin("answer")
        request = handshake.request()
        reader = ResponseReader(settings.limits, is_plain=not handshake.url.secure)
        response = await exchange(stream, serialize_request(request), reader, settings)
        watch.end()
        if follow(response) is not None:
            raise Redirected
        handshake.check(response)
        endpoint = make_endpoint(ClientEndpoint, settings, handshake.extension)
        endpoint.receive_data(reader.trailing)
        tasks = make_tasks(stream, non_blocking(stream), endpoint, settings, own_logger)
        return Connection(
            tasks,
            request=request,
            response=response,
            subprotocol=handshake.subprotocol,
            timings=watch.timings(),
        )
    except BaseException as error:
        if isinstance(error, HandshakeError):
            tell_refusal(settings.instruments, error, ends.peer, logger)
        await trio.aclose_forcefully(stream)
        raise
