"""The ways in for servers: `serve_endpoint`, `run_endpoint`, `accept_endpoint`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, Unpack

import trio

from trio_wsendpoint._words import ACCEPT_WORDS, SERVER_WORDS
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.entries.arguments import check_async_function, check_stream
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.entries.misuse import AsyncWithOnly
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.entries.option_texts import check_options, tell_options
from trio_wsendpoint.opening.settings import ConnectionOptions
from trio_wsendpoint.server.listeners import open_all, warn_of_missing_certificates
from trio_wsendpoint.server.one_stream import open_as_server
from trio_wsendpoint.server.routing import Routes, with_routes
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.settings import (
    AcceptOptions,
    AcceptSettings,
    ServeOptions,
    ServeSettings,
)
from trio_wsendpoint.server.tcp_listeners import open_tcp_listeners
from trio_wsendpoint.server.wrappers import TLSListener

__all__ = ["accept_endpoint", "run_endpoint", "serve_endpoint"]


@tell_options(AcceptSettings, ConnectionOptions, AcceptOptions)
def accept_endpoint(
    stream: trio.abc.Stream, **options: Unpack[AcceptOptions]
) -> AbstractAsyncContextManager[Connection]:
    """Be the server of one accepted `stream` for the length of an `async with` block.

    For use in `trio.serve_tcp`, `trio.serve_listeners`, or a test; a `trio.SSLStream` does its
    handshake first.

    Raises `ValueError` or `TypeError` for arguments; entering does for those that could make no
    answer.  Entering raises `HandshakeError` if there will be no connection, after the client was
    told why (`BadRequest`, or `RequestAnswered` when `process_request` gave another answer).  When
    entering raises, or is cancelled, the stream is closed.  Leaving closes the connection: see
    `ConnectionContext`.
    """
    check_options("accept_endpoint()", options, AcceptSettings, ACCEPT_WORDS, "stream")
    check_stream("stream", stream)
    settings = AcceptSettings(**options)
    return _Accepting(
        lambda context: open_as_server(stream, settings, context.nursery, context.begin),
        instruments=settings.instruments,
    )


@tell_options(ServeSettings, ConnectionOptions, AcceptOptions, ServeOptions)
def serve_endpoint(
    handler: Handler, port: int | None = None, **options: Unpack[ServeOptions]
) -> AbstractAsyncContextManager[EndpointServer]:
    """Serve `handler` on `port` for the length of an `async with` block, which gets the server.

    `port`: 0 lets the system choose one (`server.port` tells).  `handler(connection)` runs in a
    task of its own for each connection, which is closed when it returns.  If it raises, the
    connection is closed with 1011 and the error is logged once; the end of its connection, a
    `ConnectionClosed`, is no error.  With `listeners=` there is no port.  `handler` may be
    `Routes`, which choose a handler by the path, for plain requests too.

    By default only this machine can connect; in a container, or for other machines, write
    `host="0.0.0.0"`.  Instead of a port, `listen=` names addresses of several kinds, and
    `listeners=` are listeners of the caller.

    With `on_handler_error="raise"` the error is not logged: it cancels the block, the server
    closes gracefully, and the error comes out of the block as itself; in a group if there are
    two, one of which may have been raised by another handler meanwhile, or by the block.

    Raises `ValueError` or `TypeError` for arguments; entering raises `OSError` if an address
    cannot be listened on, and warns in the log of an `ssl_context` without a certificate.
    Leaving, or being cancelled, closes the server gracefully, within `Timeouts.grace` seconds:
    see `EndpointServer.aclose`, and docs/closing.md for goodbyes.
    """
    return _make_server("serve_endpoint", handler, port, options)


@tell_options(ServeSettings, ConnectionOptions, AcceptOptions, ServeOptions)
@trio.lowlevel.enable_ki_protection
async def run_endpoint(
    handler: Handler,
    port: int | None = None,
    *,
    task_status: trio.TaskStatus[EndpointServer] = trio.TASK_STATUS_IGNORED,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve `handler` until cancelled: `server = await nursery.start(run_endpoint, echo, 8765)`.

    Takes what `serve_endpoint` takes.  Returns if the server is closed.

    If cancelled: the connections are closed in order, within `Timeouts.grace` seconds.
    Raises: as `serve_endpoint`.
    """
    async with _make_server("run_endpoint", handler, port, options) as server:
        task_status.started(server)
        await server.wait_closed()


def _make_server(
    function: str, handler: Handler, port: int | None, options: ServeOptions
) -> _Serving:
    """Check what `function` was called with, and return what is to be entered."""
    check_options(f"{function}()", options, ServeSettings, SERVER_WORDS, "handler", "port")
    settings = ServeSettings(**options)
    _check_where(function, port, options, settings)
    check_async_function("handler", handler, "connection")
    if isinstance(handler, Routes):
        settings = with_routes(settings, handler)
    # Options that could never make an answer are refused now, not with the first client.
    rules = Rules(settings)

    return _Serving(handler, settings, rules, lambda: _open_listeners(port, settings))


def _check_where(
    function: str, port: int | None, options: ServeOptions, settings: ServeSettings
) -> None:
    """Raise unless `function` was told in one way, which makes sense, where to listen."""
    ways = (port, settings.listen, settings.listeners)
    if sum(way is not None for way in ways) != 1:
        raise TypeError(f"{function}() takes a port, or listen=[...], or listeners=: one of them")
    if settings.listen is not None and "host" in options:
        raise TypeError('host= is for a port; an address of listen= names it: "tcp:0.0.0.0:8080"')
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise TypeError(f"a port is an int, not {port!r}; the address to listen on is host=")
    if port is not None and not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535, not {port}")


async def _open_listeners(
    port: int | None, settings: ServeSettings
) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
    """Open what the settings say, and `port`; and put TLS over it."""
    context, logger = settings.ssl_context, settings.logger
    if settings.listens is not None:
        return await open_all(settings.listens, context, settings.backlog, logger)
    opened = settings.listeners
    if opened is None:
        opened = await open_tcp_listeners(port or 0, settings.host, settings.backlog, logger)
    if context is None:
        return opened
    warn_of_missing_certificates([context], logger)
    return [TLSListener(listener, context) for listener in opened]


class _Accepting(AsyncWithOnly, ConnectionContext):
    """What `accept_endpoint` returns."""

    function = "accept_endpoint"
    instead = "`async with accept_endpoint(stream) as connection:`"


class _Serving(AsyncWithOnly, AbstractAsyncContextManager[EndpointServer]):
    """What `serve_endpoint` returns."""

    function = "serve_endpoint"
    instead = (
        "`async with serve_endpoint(handler, port) as server:`, or, for a server that is a task "
        "of a nursery, `server = await nursery.start(run_endpoint, handler, port)`"
    )

    def __init__(
        self,
        handler: Handler,
        settings: ServeSettings,
        rules: Rules,
        open_listeners: Callable[[], Awaitable[Sequence[trio.abc.Listener[trio.abc.Stream]]]],
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._rules = rules
        self._open_listeners = open_listeners
        self._server: EndpointServer
        self._nursery: BlockNursery
        self._use = BlockUse("a server is started once: call serve_endpoint() again for another")

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> EndpointServer:
        self._use.begin()
        listeners = await self._open_listeners()
        self._server = EndpointServer(self._handler, self._settings, self._rules, listeners)
        self._nursery = BlockNursery()
        try:
            nursery = await self._nursery.enter()
        except BaseException:
            with trio.CancelScope(shield=True):
                for listener in listeners:
                    await trio.aclose_forcefully(listener)
            raise
        nursery.start_soon(self._server.run, nursery.cancel_scope)
        return self._server

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        leaving: BaseException | None = None
        try:
            # Shielded, for a cancelled server is to end gracefully too; bounded by its grace.
            with trio.CancelScope(shield=True):
                await self._server.aclose()
        except BaseException as error:  # noqa: BLE001 - it is raised when the server has ended
            leaving = error
        raise_beside(exc, await self._nursery.leave() or leaving)
        return False
