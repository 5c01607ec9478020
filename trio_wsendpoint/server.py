"""The server: listeners, one nursery of connections, and an end that is graceful.

`serve_endpoint` serves for the length of a block, `run_endpoint` until it is cancelled,
`accept_endpoint` takes one stream that somebody else has accepted.

The connections live in a shielded scope, so that leaving the block, or cancelling it, does not
tear them: `EndpointServer.aclose` stops accepting, tells every peer 1001, waits `grace` seconds
for the handlers, then cancels them.  What one connection raises is logged there and stays there.

Nothing imports this module but the package itself and `testing`.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Unpack, cast

import trio

from trio_wsendpoint.closed import ConnectionClosed
from trio_wsendpoint.connection import Connection, ConnectionContext
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import ServerHandshake
from trio_wsendpoint.nurseries import BlockNursery
from trio_wsendpoint.opening import logger_for, open_as_server
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.settings import AcceptOptions, AcceptSettings, Logger

__all__ = [
    "EndpointServer",
    "Handler",
    "ServerStatistics",
    "accept_endpoint",
    "run_endpoint",
    "serve_endpoint",
]

#: What a server runs for each connection.
Handler = Callable[[Connection], Awaitable[object]]

#: Errors of accept() that say that the machine is short of something, not that we are wrong.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Seconds to wait when it is, and seconds between two lines about it in the log.
_BACK_OFF = 0.1
_LOG_INTERVAL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """How many connections a server has, and has had.

    `connections`: open now, `opening`: in their opening handshake now.  `accepted`: streams
    accepted so far, `opened`: handshakes that succeeded, `failed`: handlers that raised.
    """

    connections: int
    opening: int
    accepted: int
    opened: int
    failed: int


def accept_endpoint(
    stream: trio.abc.Stream, **options: Unpack[AcceptOptions]
) -> AbstractAsyncContextManager[Connection]:
    """Be the server of one accepted `stream` for the length of an `async with` block.

    For use in `trio.serve_tcp`, `trio.serve_listeners`, or a test; a `trio.SSLStream` does its
    handshake first.  The options are those of `AcceptOptions`.

    Entering raises `ValueError` or `TypeError` for options; `HandshakeError` if there will be no
    connection, after the client was told why (`BadRequest`, or `RequestAnswered` when
    `process_request` gave another answer) and the stream was closed.  If cancelled, the stream is
    closed.  Leaving closes the connection: see `ConnectionContext`.
    """
    settings = AcceptSettings(**options)
    return ConnectionContext(lambda: open_as_server(stream, settings))


def serve_endpoint(
    handler: Handler,
    port: int | None = None,
    *,
    host: str | None = "localhost",
    ssl_context: ssl.SSLContext | None = None,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
    backlog: int | None = None,
    **options: Unpack[AcceptOptions],
) -> AbstractAsyncContextManager[EndpointServer]:
    """Serve `handler` for the length of an `async with` block, which gets the server.

    `port`: 0 lets the system choose one (`server.port` tells).  `host`: which addresses to
    listen on; by default this machine only, None for all.  `ssl_context`: speak TLS.
    `listeners`: use these instead of opening `port`; they are closed at the end.  The other
    options are those of `AcceptOptions`.

    `handler(connection)` runs in a task of its own for each connection, which is closed when it
    returns.  If it raises, the connection is closed with 1011 and the error is logged once.

    Entering raises `OSError` if an address cannot be listened on, `ValueError` or `TypeError`
    for options.  Leaving, or being cancelled, closes the server gracefully, within
    `Timeouts.grace` seconds: see `EndpointServer.aclose`.
    """
    if (port is None) is (listeners is None):
        raise TypeError("serve_endpoint() takes a port, or listeners: one of them")
    settings = AcceptSettings(**options)
    # Options that could never make an answer are refused now, not with the first client.
    ServerHandshake(
        subprotocols=settings.subprotocols, origins=settings.origins, headers=settings.headers
    )

    async def open_listeners() -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        opened = listeners
        if opened is None:
            opened = await _open_tcp_listeners(port or 0, host, backlog)
        if ssl_context is not None:
            opened = [
                trio.SSLListener(listener, ssl_context, https_compatible=True)
                for listener in opened
            ]
        return opened

    return _Serving(handler, settings, open_listeners)


async def run_endpoint(
    handler: Handler,
    port: int | None = None,
    *,
    host: str | None = "localhost",
    ssl_context: ssl.SSLContext | None = None,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
    backlog: int | None = None,
    task_status: trio.TaskStatus[EndpointServer] = trio.TASK_STATUS_IGNORED,
    **options: Unpack[AcceptOptions],
) -> None:
    """Serve `handler` until cancelled: `server = await nursery.start(run_endpoint, echo, 8765)`.

    Takes and raises what `serve_endpoint` does.  When cancelled it still takes up to
    `Timeouts.grace` seconds to close the connections in order.  Returns if the server is closed.
    """
    async with serve_endpoint(
        handler,
        port,
        host=host,
        ssl_context=ssl_context,
        listeners=listeners,
        backlog=backlog,
        **options,
    ) as server:
        task_status.started(server)
        await server.wait_closed()


async def _open_tcp_listeners(
    port: int, host: str | None, backlog: int | None
) -> list[trio.SocketListener]:
    """Open `port` on every address of `host`; for port 0, one free port for all of them."""
    attempts = 10 if port == 0 else 1
    while True:
        attempts -= 1
        try:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
            ports = {listener.socket.getsockname()[1] for listener in listeners}
            if len(ports) == 1:
                return listeners
            for listener in listeners:
                await listener.aclose()
            return await trio.open_tcp_listeners(min(ports), host=host, backlog=backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and attempts > 0:
                continue
            where = "every address" if host is None else host
            raise OSError(
                error.errno, f"cannot listen on port {port} of {where}: {error.strerror or error}"
            ) from error


class EndpointServer:
    """A server that is running: made by `serve_endpoint` and `run_endpoint`.

    `listeners` are its listeners.
    """

    def __init__(
        self,
        handler: Handler,
        settings: AcceptSettings,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    ) -> None:
        self._handler = handler
        self._settings = settings
        self.listeners = tuple(listeners)
        self._connections: dict[Connection, None] = {}  # in the order in which they opened
        self._openings: set[trio.CancelScope] = set()
        self._accepting: list[trio.CancelScope] = []
        self._scope = trio.CancelScope(shield=True)
        self._is_closing = False
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._accepted = self._opened = self._failed = 0

    # ---- what it tells -----------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port that it listens on; raises `ValueError` if no listener has one."""
        for address in self._addresses():
            return address[1]
        raise ValueError("this server does not listen on a TCP port")

    @property
    def urls(self) -> tuple[str, ...]:
        """A URL for each address it listens on, as `ws://127.0.0.1:8765/`."""
        scheme = "wss" if any(isinstance(one, trio.SSLListener) for one in self.listeners) else "ws"
        urls: list[str] = []
        for host, port in self._addresses():
            name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104
            url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"
            if url not in urls:
                urls.append(url)
        return tuple(urls)

    def _addresses(self) -> list[tuple[str, int]]:
        addresses: list[tuple[str, int]] = []
        for listener in self.listeners:
            inner: Any = listener  # a Trio listener of any kind, which may wrap another
            while isinstance(inner, trio.SSLListener):
                inner = cast("trio.SSLListener[trio.SocketStream]", inner).transport_listener
            if isinstance(inner, trio.SocketListener):
                name: object = inner.socket.getsockname()
                if isinstance(name, tuple):  # a Unix socket has a path instead
                    addresses.append(cast("tuple[str, int]", name[:2]))
        return addresses

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open now, in the order in which they were opened."""
        return tuple(self._connections)

    def statistics(self) -> ServerStatistics:
        """Return how many connections it has and has had, as an immutable object."""
        return ServerStatistics(
            connections=len(self._connections),
            opening=len(self._openings),
            accepted=self._accepted,
            opened=self._opened,
            failed=self._failed,
        )

    # ---- its end -----------------------------------------------------------------------------

    async def wait_closed(self) -> None:
        """Wait until the server has stopped: no listener, no connection, no handler."""
        await self._closed.wait()

    async def aclose(
        self,
        code: int = CloseCode.ENDPOINT_UNAVAILABLE,
        reason: str = "",
        grace: float | None = None,
    ) -> None:
        """Stop: accept no more, close every connection with `code` and `reason`, wait, cancel.

        Handlers have `grace` seconds to return (by default `Timeouts.grace`; 0 is none), then
        they are cancelled.  Openings under way are refused with 503.  Calling it again waits for
        the end.  If cancelled, the handlers are cancelled at once.  Raises `InvalidCloseCode`
        before anything is done.
        """
        CloseFrame(code, reason)
        grace = self._settings.timeouts.grace if grace is None else grace
        if not self._is_closing:
            self._is_closing = True
            await self._stop_accepting()
            for scope in self._openings:
                scope.cancel()
            if self._nursery is not None:
                for connection in self.connections:
                    self._nursery.start_soon(_close_connection, connection, code, reason)
        try:
            with trio.move_on_after(grace):
                await self._closed.wait()
        finally:
            self._scope.cancel()
            with trio.CancelScope(shield=True):  # the tasks are cancelled: this does not wait
                await self._closed.wait()

    async def _stop_accepting(self) -> None:
        for scope in self._accepting:
            scope.cancel()
        for listener in self.listeners:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(listener)

    # ---- its tasks ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Accept and serve until closed; `serve_endpoint` starts it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    for listener in self.listeners:
                        scope = trio.CancelScope()
                        self._accepting.append(scope)
                        nursery.start_soon(self._accept, listener, scope)
        finally:
            self._nursery = None
            self._closed.set()

    async def _accept(
        self, listener: trio.abc.Listener[trio.abc.Stream], scope: trio.CancelScope
    ) -> None:
        logged = -_LOG_INTERVAL
        with scope:
            while not self._is_closing:
                try:
                    stream = await listener.accept()
                except trio.ClosedResourceError:
                    return
                except OSError as error:
                    if error.errno not in _SHORTAGES:
                        raise
                    if trio.current_time() - logged >= _LOG_INTERVAL:
                        logged = trio.current_time()
                        self._settings.logger.error("cannot accept connections: %s", error)
                    await trio.sleep(_BACK_OFF)
                else:
                    self._accepted += 1
                    if self._nursery is not None:
                        self._nursery.start_soon(self._serve, stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        """Open a connection over `stream` and run the handler; raises no `Exception`."""
        logger = logger_for(stream, self._settings.logger)
        try:
            async with ConnectionContext(lambda: self._open(stream)) as connection:
                self._connections[connection] = None
                try:
                    await self._handler(connection)
                finally:
                    del self._connections[connection]
        except HandshakeError as error:
            logger.debug("no connection: %s", error)
        except Exception as error:  # noqa: BLE001 - one connection's failure is its own
            self._note_failure(error, logger)

    async def _open(self, stream: trio.abc.Stream) -> Connection:
        scope = trio.CancelScope()
        self._openings.add(scope)
        if self._is_closing:
            scope.cancel()
        try:
            connection = await open_as_server(stream, self._settings, scope)
        finally:
            self._openings.discard(scope)
        self._opened += 1
        return connection

    def _note_failure(self, error: Exception, logger: Logger) -> None:
        # A handler need not catch what the end of its connection raises: that is no failure.
        if _is_the_end(error):
            logger.debug("the handler ended with its connection: %s", error)
            return
        self._failed += 1
        logger.error("the handler failed", exc_info=error)


def _is_the_end(error: BaseException) -> bool:
    """Tell whether `error` says nothing but that a connection ended, in a group or not."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(map(_is_the_end, inner))
    return isinstance(error, ConnectionClosed)


async def _close_connection(connection: Connection, code: int, reason: str) -> None:
    await connection.aclose(code, reason)


class _Serving(AbstractAsyncContextManager[EndpointServer]):
    """What `serve_endpoint` returns."""

    def __init__(
        self,
        handler: Handler,
        settings: AcceptSettings,
        open_listeners: Callable[[], Awaitable[Sequence[trio.abc.Listener[trio.abc.Stream]]]],
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._open_listeners = open_listeners
        self._server: EndpointServer
        self._nursery: BlockNursery

    async def __aenter__(self) -> EndpointServer:
        listeners = await self._open_listeners()
        self._server = EndpointServer(self._handler, self._settings, listeners)
        self._nursery = BlockNursery()
        (await self._nursery.enter()).start_soon(self._server.run)
        return self._server

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        leaving = exc
        try:
            # Shielded, for a cancelled server is to end gracefully too; bounded by its grace.
            with trio.CancelScope(shield=True):
                await self._server.aclose()
        except BaseException as error:  # noqa: BLE001 - it leaves through the nursery
            leaving = error
        await self._nursery.leave(exc, leaving)
        return False
