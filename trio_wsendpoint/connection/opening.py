"""What the opening handshakes of both roles share, over a stream."""

from __future__ import annotations

import ssl

import trio

from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.connection.settings import ConnectionSettings
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.errors import BadResponse, TLSFailed
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.transport.any_tls import TLS_STREAMS
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = [
    "CHUNK",
    "do_tls",
    "lost",
    "make_endpoint",
    "make_tasks",
    "send",
]

#: Bytes asked of the stream at a time while an HTTP head is read.
CHUNK = 16384


#: What OpenSSL calls it when the first bytes of the peer are not TLS's.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})


async def do_tls(stream: trio.abc.Stream, without_tls: str) -> bool:
    """Do the TLS handshake, if there is TLS; return whether there is.  Raises `TLSFailed`.

    `without_tls`: what to tell of a peer that does not speak TLS.
    """
    if not isinstance(stream, TLS_STREAMS):
        return False
    try:
        await stream.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__ or error
        is_none = isinstance(cause, ssl.SSLEOFError) or getattr(cause, "reason", None) in _NO_TLS
        hint = f"; {without_tls}" if is_none else ""
        raise TLSFailed(f"the TLS handshake failed: {cause}{hint}") from cause
    return True


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


def make_tasks(
    stream: trio.abc.Stream,
    transport: NonBlockingStream | None,
    endpoint: Endpoint,
    settings: ConnectionSettings,
    logger: ConnectionLogger,
) -> Tasks:
    """Return what runs behind a connection; `transport` is the non-blocking form of `stream`."""
    session = Session(
        endpoint,
        now=trio.current_time(),
        limits=settings.limits,
        timeouts=settings.timeouts,
        heartbeat=settings.heartbeat,
        half_closes=isinstance(stream, trio.abc.HalfCloseableStream),
        logger=logger,
    )
    return Tasks(stream, transport, session, patience=settings.timeouts.write, logger=logger)
