"""How a stream is turned away: what its client is told, and its end."""

from __future__ import annotations

import contextlib
import ssl
from typing import cast

import trio

from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response, serialize_response
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.opening.settings import Logger
from trio_wsendpoint.server.lingering import say_and_close
from trio_wsendpoint.server.settings import AcceptSettings, ServeSettings
from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.any_tls import TLS_STREAMS, AnyTLSStream

__all__ = ["is_tls", "refuse_stream", "retry_after_of", "turn_away", "unavailable"]

#: The answer to a client that speaks plain HTTP where TLS is spoken.
_USE_TLS = Response(400, body="bad request: this port speaks TLS: use wss:// (or https://)\n")


def is_tls(stream: trio.abc.Stream) -> bool:
    """Tell whether `stream` is over TLS."""
    # Most streams are told by the first question, which spares 3,500 instructions.
    return type(stream) is not AcceptedSocket and isinstance(stream, TLS_STREAMS)


def retry_after_of(settings: AcceptSettings) -> int | None:
    """Return the seconds after which a refused client may come again; None if none are set."""
    return settings.server_limits.retry_after if isinstance(settings, ServeSettings) else None


def unavailable(settings: AcceptSettings) -> Response:
    """Return the 503 for an opening that was under way; a server says when to come again."""
    seconds = retry_after_of(settings)
    return Response(503, {} if seconds is None else {"Retry-After": str(seconds)})


async def turn_away(
    stream: trio.abc.Stream, error: HandshakeError, settings: AcceptSettings, logger: Logger
) -> None:
    """Tell the client of `stream` about `error`, if it can be told, so that it can read that.

    The stream is the caller's to close.  Raises nothing but what is no `Exception`.
    """
    now = settings.wall_clock()
    answer = b""
    if isinstance(error, (BadRequest, RequestAnswered)):
        answer = serialize_response(error.response, now=now)
    elif not isinstance(error.__cause__, ssl.SSLError):
        return  # the client has gone, or says nothing
    elif error.__cause__.reason == "HTTP_REQUEST" and isinstance(stream, TLS_STREAMS):
        # TLS has failed, and said nothing of its own: the stream below is as it was.
        stream = cast("AnyTLSStream", stream).transport_stream
        answer = serialize_response(_USE_TLS, now=now)
    try:
        await say_and_close(stream, answer, seconds=settings.timeouts.linger)
    except Exception as failure:
        with contextlib.suppress(Exception):
            logger.debug("the client could not be told", exc_info=failure)


async def refuse_stream(
    stream: trio.abc.Stream, response: Response, settings: AcceptSettings
) -> None:
    """Answer `response` to whatever was asked over `stream`, and close it.

    Over TLS, where an answer costs a handshake first, there is none.  A stream that breaks is no
    error; whatever else it raises is.
    """
    if is_tls(stream):
        await trio.aclose_forcefully(stream)
        return
    data = serialize_response(response, now=settings.wall_clock())
    await say_and_close(stream, data, seconds=settings.timeouts.linger)
