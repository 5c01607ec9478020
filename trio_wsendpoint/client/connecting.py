"""A client's way in: `async with connect_endpoint(url) as connection`."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Unpack, cast

import trio

from trio_wsendpoint._words import CLIENT_WORDS
from trio_wsendpoint.client.opening import HandshakeTimeout, open_as_client
from trio_wsendpoint.client.settings import ConnectOptions, ConnectSettings
from trio_wsendpoint.connection.arguments import check_stream
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.misuse import AsyncWithOnly
from trio_wsendpoint.connection.option_texts import check_options, tell_options
from trio_wsendpoint.connection.settings import ConnectionOptions
from trio_wsendpoint.handshake import ClientHandshake, WebSocketURL
from trio_wsendpoint.transport.contexts import check_ssl_context, default_client_context
from trio_wsendpoint.transport.tls import over_tls

__all__ = ["connect_endpoint"]


@tell_options(ConnectSettings, ConnectionOptions, ConnectOptions)
def connect_endpoint(
    url: str,
    *,
    stream: trio.abc.Stream | None = None,
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[ConnectOptions],
) -> AbstractAsyncContextManager[Connection]:
    """Connect to `url` (`ws://` or `wss://`) for the length of an `async with` block.

    The name of a host goes through IDNA 2008 with UTS 46, as browsers and Trio have it; an IPv6
    address may have a zone, as in `ws://[fe80::1%25eth0]/`.
    `ssl_context`: for `wss://`; by default one that verifies the server against the system's
    certificates, made once for the whole process.  `stream`: use this one instead of connecting;
    with `ssl_context` TLS is spoken over it, otherwise it is used as it is.

    Raises `InvalidURL`, another `ValueError` or `TypeError` for arguments, before anything is
    done.  Entering raises `OSError`, with its `errno`, if no TCP connection could be made
    (`ConnectionRefusedError`, for one, or `socket.gaierror` if the name has no address); and
    `HandshakeError`: `TLSFailed`, `HandshakeTimeout`, `HandshakeRefused` (an answer that is not
    101), `BadResponse` (a 101 that is not right).  None of their texts shows credentials.  If
    cancelled, the stream is closed.  Leaving closes the connection: see `ConnectionContext`.
    """
    check_options(
        "connect_endpoint()", options, ConnectSettings, CLIENT_WORDS, "url", "stream", "ssl_context"
    )
    settings = ConnectSettings(**options)
    if stream is not None:
        check_stream("stream", stream)
    if ssl_context is not None:
        check_ssl_context(ssl_context, server_side=False)
    target = WebSocketURL.parse(url)
    if ssl_context is not None and not target.secure:
        raise ValueError("ssl_context is for wss:// URLs: this one is ws://")
    handshake = ClientHandshake(
        target,
        subprotocols=settings.subprotocols,
        subprotocol_required=settings.subprotocol_required,
        origin=settings.origin,
        host_header=settings.host_header,
        headers=settings.headers,
        extensions=settings.extensions,
        random_bytes=settings.random_bytes,
    )

    async def open_connection(_: ConnectionContext) -> Connection:
        what = "could not be connected to"
        with trio.move_on_after(settings.timeouts.open):
            transport = await _open_stream(target, stream, ssl_context)
            what = "did not answer"
            return await open_as_client(transport, handshake, settings)
        within = f"within {settings.timeouts.open:g} s"
        late = HandshakeTimeout(f"{_place(target)} {what} {within}")
        tell_refusal(settings.instruments, late, None, settings.logger)
        raise late

    return _Connecting(open_connection, instruments=settings.instruments)


class _Connecting(AsyncWithOnly, ConnectionContext):
    """What `connect_endpoint` returns."""

    function = "connect_endpoint"
    instead = "`async with connect_endpoint(url) as connection:`"


async def _open_stream(
    target: WebSocketURL, stream: trio.abc.Stream | None, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    if stream is None:
        if target.secure and ssl_context is None:
            ssl_context = await default_client_context()
        stream = await _open_tcp(target)
    if ssl_context is None:
        return stream
    try:
        return over_tls(stream, ssl_context, server_hostname=target.server_name)
    except BaseException:  # a context that is not a client's, for one
        await trio.aclose_forcefully(stream)
        raise


async def _open_tcp(target: WebSocketURL) -> trio.SocketStream:
    """Connect to `target`; what `OSError` it raises says why, and what was tried."""
    try:
        return await trio.open_tcp_stream(target.host, target.port)
    except socket.gaierror as error:
        text = f"no address of the host {target.host!a} was found: {error.strerror}"
        raise socket.gaierror(error.errno, text) from error
    except OSError as error:
        # Trio has one error for all attempts, which says that they have failed.
        attempts: Sequence[Exception] = [error]
        cause: BaseException | None = error.__cause__
        if isinstance(cause, ExceptionGroup):
            attempts = cast("ExceptionGroup[Exception]", cause).exceptions
        why = "; ".join(map(_reason, attempts))
        # That of the last attempt makes it a `ConnectionRefusedError`, for one.
        errno = getattr(attempts[-1], "errno", None)
        text = f"cannot connect to {_place(target)}: {why}"
        raise (OSError(text) if errno is None else OSError(errno, text)) from error


def _reason(attempt: Exception) -> str:
    told = getattr(attempt, "strerror", None) or str(attempt)
    return told.removeprefix("Error connecting to ")  # and then comes the address


def _place(target: WebSocketURL) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"
