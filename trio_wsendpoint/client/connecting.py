"""A client's way in: `async with connect_endpoint(url) as connection`."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Unpack

import trio

from trio_wsendpoint._words import CLIENT_WORDS
from trio_wsendpoint.client.opening import HandshakeTimeout, Redirected, open_as_client
from trio_wsendpoint.client.proxy_errors import ProxyError
from trio_wsendpoint.client.redirects import Trail
from trio_wsendpoint.client.settings import ConnectOptions, ConnectSettings
from trio_wsendpoint.client.stopwatch import Stopwatch
from trio_wsendpoint.client.way import Way
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.entries.misuse import AsyncWithOnly
from trio_wsendpoint.entries.option_texts import check_options, tell_options
from trio_wsendpoint.handshake import ClientHandshake, WebSocketURL
from trio_wsendpoint.opening.settings import ConnectionOptions

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
    done, and `ModuleNotFoundError` for a proxy that needs the extra `proxy`.  Entering raises
    `OSError`, with its `errno`, if no connection could be made (`ConnectionRefusedError`, for one,
    or `socket.gaierror` if the name has no address); and `HandshakeError`: `ProxyError`,
    `TLSFailed`, `HandshakeTimeout`, `HandshakeRefused` (an answer that is not 101), `BadResponse`
    (a 101 that is not right).  None of their texts shows credentials.  All of it, proxies and
    redirects too, takes `Timeouts.open` at most.  If cancelled, the stream is closed.  Leaving
    closes the connection: see `ConnectionContext`.  `connection.timings` tells how long each step
    took.
    """
    check_options(
        "connect_endpoint()", options, ConnectSettings, CLIENT_WORDS, "url", "stream", "ssl_context"
    )
    settings = ConnectSettings(**options)
    way = Way(settings, stream=stream, ssl_context=ssl_context)
    target = WebSocketURL.parse(url)
    way.check(target)
    # It checks the options that it takes; the key of what is sent is drawn when it is sent.
    _handshake(Trail(target, 0), replace(settings, random_bytes=bytes))

    async def open_connection(_: ConnectionContext) -> Connection:
        watch, trail = Stopwatch(), Trail(target, settings.redirects)
        with trio.move_on_after(settings.timeouts.open):
            return await _open(way, trail, settings, watch)
        what = "could not be connected to" if watch.step in {"dns", "tcp"} else "did not answer"
        within = f"within {settings.timeouts.open:g} s"
        late = HandshakeTimeout(f"{watch.goal} {what} {within}")
        tell_refusal(settings.instruments, late, None, settings.logger)
        raise late

    return _Connecting(open_connection, instruments=settings.instruments)


class _Connecting(AsyncWithOnly, ConnectionContext):
    """What `connect_endpoint` returns."""

    function = "connect_endpoint"
    instead = "`async with connect_endpoint(url) as connection:`"


async def _open(way: Way, trail: Trail, settings: ConnectSettings, watch: Stopwatch) -> Connection:
    """Open a connection, to where the redirects lead that are followed."""
    while True:
        try:
            stream = await way.open(trail.target, watch)
        except ProxyError as error:
            tell_refusal(settings.instruments, error, None, settings.logger)
            raise
        try:
            handshake = _handshake(trail, settings)
        except BaseException:  # of `random_bytes`
            await trio.aclose_forcefully(stream)
            raise
        try:
            return await open_as_client(
                stream, handshake, settings, watch=watch, follow=trail.follow
            )
        except Redirected:
            watch.restart()


def _handshake(trail: Trail, settings: ConnectSettings) -> ClientHandshake:
    return ClientHandshake(
        trail.target,
        subprotocols=settings.subprotocols,
        subprotocol_required=settings.subprotocol_required,
        origin=settings.origin,
        host_header=None if trail.is_elsewhere else settings.host_header,
        headers=trail.headers(settings.headers),
        extensions=settings.extensions,
        random_bytes=settings.random_bytes,
    )
