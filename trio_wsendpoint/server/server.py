"""The server: listeners, one nursery of connections, and an end that is graceful.

The connections live in a shielded scope, so that leaving the block, or cancelling it, does not
tear them: `EndpointServer.aclose` stops accepting, tells every peer 1001, waits `grace` seconds
for the handlers, then cancels them.  What one connection raises is logged there and stays there,
unless `on_handler_error="raise"` lets it end the server.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Sequence

import trio

from trio_wsendpoint.connection.closed import ConnectionLost, is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.server.hooks import Hooks
from trio_wsendpoint.server.listening import accept_streams, addresses, texts_of, urls_of
from trio_wsendpoint.server.openings import NotOpened, Openings, Visit
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import ServeSettings
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.session.statistics import ServerStatistics, Totals

__all__ = ["EndpointServer", "Handler"]

#: What a server runs for each connection.
Handler = Callable[[Connection], Awaitable[object]]


class EndpointServer:
    """A server that is running: made by `serve_endpoint` and `run_endpoint`.

    `listeners` are its listeners.
    """

    def __init__(
        self,
        handler: Handler,
        settings: ServeSettings,
        rules: Rules,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    ) -> None:
        self._handler = handler
        self._settings = settings
        self.listeners = tuple(listeners)
        self._connections: dict[Connection, None] = {}  # in the order in which they opened
        self._ending: dict[Connection, None] = {}  # whose handlers have ended, and not yet they
        self._totals = Totals()
        self._errors: list[Exception] = []  # of handlers, to be raised at the end
        self._block: trio.CancelScope | None = None
        self._openings = Openings(settings, rules)
        self._accepting: list[trio.CancelScope] = []
        self._scope = trio.CancelScope(shield=True)
        self._farewell: tuple[int, str] | None = None  # code and reason, once it is closing
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._heartbeat: HeartbeatTask | None = None
        self._failed = self._listening = 0

    # ---- what it tells -----------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port that it listens on; raises `ValueError` if no listener has one."""
        for address in addresses(self.listeners):
            return address[1]
        raise ValueError("this server does not listen on a TCP port")

    @property
    def urls(self) -> tuple[str, ...]:
        """A URL for each TCP port it listens on, as `ws://127.0.0.1:8765/`."""
        return urls_of(self.listeners)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each address it listens on, as `tcp:127.0.0.1:8765` or `unix:/run/app.sock`."""
        return texts_of(self.listeners)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open now, in the order in which they were opened."""
        return tuple(self._connections)

    def statistics(self) -> ServerStatistics:
        """Return how many connections it has and has had, as an immutable object.

        It looks at each connection that is open: about 10 ms for a thousand.
        """
        present = (*self._connections, *self._ending)
        return ServerStatistics(
            **self._totals.with_present(connection.statistics() for connection in present),
            connections=len(self._connections),
            opening=len(self._openings),
            accepted=self._openings.accepted,
            opened=self._openings.opened,
            failed=self._failed,
            refused=self._openings.refused,
        )

    def __repr__(self) -> str:
        if self._closed.is_set():
            return "<EndpointServer closed>"
        if self._farewell is not None:
            where = "closing"
        else:
            try:
                paths = [text for text in self.addresses if text.startswith("unix:")]
                where = " ".join([*self.urls, *paths]) or f"{len(self.listeners)} listener(s)"
            except OSError:  # a listener was closed from outside
                where = "a listener that is closed"
        return f"<EndpointServer {where}, connections: {len(self._connections)}>"

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
        the end, and may shorten the grace.  If cancelled, the handlers are cancelled at once.
        From inside a handler it does not wait, for that would be to wait for itself.

        A handler that waits in `receive()` is told first: that raises `ConnectionClosedLocally`,
        and the connection stays open for sending until the handler returns, or closes it with a
        code of its own, `Timeouts.goodbye` seconds at most.  So its `finally` can send.  Every
        other connection is closed at once, after which nothing can be sent (RFC 6455 section
        5.5.1): a handler that is busy otherwise finds that out when it uses the connection.

        Raises `InvalidCloseCode` or `ValueError` before anything is done.
        """
        CloseFrame(code, reason)
        grace = self._settings.timeouts.grace if grace is None else grace
        if not grace >= 0:
            raise ValueError(f"grace must be 0 s or more, not {grace}")
        is_inside = self._is_inside()
        try:
            if self._farewell is None:
                self._farewell = code, reason
                await self._begin_to_close(code, reason)
            # With no grace at all, the Close frames are still queued first.
            await trio.lowlevel.cancel_shielded_checkpoint()
            # The deadline is the server's own: it holds whether or not anyone stays to wait.
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + grace)
            if not is_inside:
                await self._closed.wait()
        except BaseException:
            self._scope.cancel()
            if not is_inside:
                with trio.CancelScope(shield=True):  # the tasks are cancelled: this does not wait
                    await self._closed.wait()
            raise
        await trio.lowlevel.checkpoint_if_cancelled()

    def _is_inside(self) -> bool:
        """Tell whether the caller is a handler's task, or one of a nursery within it."""
        nursery = trio.lowlevel.current_task().parent_nursery
        while nursery is not None and nursery is not self._nursery:
            nursery = nursery.parent_task.parent_nursery
        return nursery is not None

    async def _begin_to_close(self, code: int, reason: str) -> None:
        for scope in self._accepting:
            scope.cancel()
        self._openings.drop_all()
        if self._nursery is not None:
            goodbye = self._settings.timeouts.goodbye
            for connection in self.connections:
                is_told = connection.tasks.dismiss(code, reason)
                self._nursery.start_soon(
                    _close_connection, connection, code, reason, goodbye if is_told else 0
                )
        for listener in self.listeners:
            try:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(listener)
            except Exception as error:
                self._settings.logger.error("a listener could not be closed", exc_info=error)

    # ---- its tasks ---------------------------------------------------------------------------

    # A Ctrl-C that comes while one of these runs goes to the main task, which leaves the server's
    # block; only handlers, which are the user's, can be interrupted themselves.

    @trio.lowlevel.enable_ki_protection
    async def run(self, around: trio.CancelScope) -> None:
        """Accept and serve until closed; `serve_endpoint` starts it, `around` whose block it is.

        Raises what handlers raised, if it is not to be logged: one error as it is, more in a
        group.
        """
        self._block = around
        try:
            with self._scope:
                block = BlockNursery()
                self._nursery = await block.enter()
                self._heartbeat = HeartbeatTask(self._nursery, stays=bool(self.listeners))
                self._listening = len(self.listeners)
                for listener in self.listeners:
                    self._nursery.start_soon(self._accept, listener)
                raise_beside(None, await block.leave(shield=False))
        finally:
            self._nursery = None
            self._closed.set()
        if len(self._errors) > 1:
            raise ExceptionGroup("handlers failed", self._errors)
        if self._errors:
            raise self._errors[0]

    @trio.lowlevel.enable_ki_protection
    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        try:
            with trio.CancelScope() as scope:
                self._accepting.append(scope)
                if self._farewell is None:
                    await accept_streams(listener, self._take, self._settings.logger)
        finally:
            self._listening -= 1
            if self._heartbeat is not None and not self._listening:
                self._heartbeat.let_go()  # there will be no more connections

    def _take(self, stream: trio.abc.Stream) -> None:
        """Serve `stream`, or refuse it."""
        if self._nursery is None:
            raise RuntimeError("a stream was accepted by a server that does not run")
        self._openings.take(stream, self._nursery, self._serve)

    @trio.lowlevel.enable_ki_protection
    async def _serve(self, visit: Visit) -> None:
        """Open a connection over a stream and run the handler; raises no `Exception`."""
        context = ConnectionContext(
            lambda context: self._open(visit, context),
            self._settings.instruments,
            self._nursery,
            self._heartbeat,
        )
        try:
            async with context as connection:
                try:
                    if not visit.is_handled:
                        await self._handle(connection)
                except Exception as error:
                    self._give_up_for(error, connection)
                    raise
                finally:
                    self._note_handled(connection)
        except Exception as error:  # noqa: BLE001 - its failure is its own, and so is its logger's
            with contextlib.suppress(Exception):
                self._note_end(error, visit.connection, visit.logger)
        finally:
            if (served := visit.connection) is not None:
                del self._ending[served]
                self._totals.add(served.tasks.session.counts(), served.endpoint.closing)
            self._openings.release(visit)

    @trio.lowlevel.disable_ki_protection
    async def _handle(self, connection: Connection) -> None:
        awaitable: object = self._handler(connection)
        if not inspect.isawaitable(awaitable):
            raise TypeError(
                f"the handler must be an async function: {self._handler!r} returned {awaitable!r}"
            )
        await awaitable

    def _give_up_for(self, error: Exception, connection: Connection) -> None:
        """End the server if it is to raise what a handler has raised."""
        if (
            is_the_end(error, connection.endpoint.closing)
            or self._settings.on_handler_error == "log"
        ):
            return
        self._note_failure(error)

    def _note_plain_failure(self, error: Exception) -> None:
        """Hear that a handler of plain requests has failed; it is logged if it is to be."""
        if self._settings.on_handler_error == "log":
            self._failed += 1
        else:
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        """End the server, which is to raise `error`."""
        self._failed += 1
        self._errors.append(error)
        if self._nursery is not None and self._block is not None:
            # By then the connection of the handler is closing with 1011, before the others.
            self._nursery.start_soon(self.aclose)
            self._block.cancel()

    async def _open(self, visit: Visit, context: ConnectionContext) -> Connection:
        """Open a connection; what `process_request` raises after it has accepted is a handler's."""
        is_closing = self._farewell is not None

        hooks = Hooks(
            context.nursery,
            lambda connection: self._begin(connection, context),
            fail=self._note_plain_failure,
            answers_plain=True,
            heartbeat=self._heartbeat,
        )
        try:
            return await self._openings.open(visit, hooks, is_closing=is_closing)
        except BaseException as error:
            if visit.connection is not None:
                if isinstance(error, Exception):
                    self._give_up_for(error, visit.connection)
                self._note_handled(visit.connection)
            raise

    def _begin(self, connection: Connection, context: ConnectionContext) -> None:
        """Start a connection whose 101 has left."""
        self._connections[connection] = None
        context.begin(connection)
        if self._farewell is not None and self._nursery is not None:
            # Its 101 had left when the others were told.
            self._nursery.start_soon(_close_connection, connection, *self._farewell, 0)

    def _note_handled(self, connection: Connection) -> None:
        del self._connections[connection]
        self._ending[connection] = None

    def _note_end(self, error: Exception, connection: Connection | None, logger: Logger) -> None:
        if isinstance(error, NotOpened):
            return
        if connection is None:
            logger.error("the opening failed", exc_info=error)
            return
        # A handler need not catch what the end of its connection raises: that is no failure.
        if is_the_end(error, connection.endpoint.closing):
            logger.debug("the handler ended with its connection: %s", error)
        elif not any(error is one for one in self._errors):  # which will be raised instead
            self._failed += 1
            logger.error("the handler failed", exc_info=error)


@trio.lowlevel.enable_ki_protection
async def _close_connection(connection: Connection, code: int, reason: str, goodbye: float) -> None:
    """Close `connection`, after `goodbye` seconds in which its handler may do so."""
    if goodbye:
        # When the grace is over its handler is cancelled, whose end closes it.
        with trio.move_on_after(goodbye):
            await connection.wait_closed()
    # Shielded: when the grace is over its handler is cancelled, and ends it with a goodbye.
    # What could not be sent is logged.
    with trio.CancelScope(shield=True), contextlib.suppress(ConnectionLost):
        await connection.aclose(code, reason)
