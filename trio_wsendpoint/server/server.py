"""The server: listeners, one nursery of connections, and an end that is graceful.

The connections live in a shielded scope, so that leaving the block, or cancelling it, does not
tear them: `EndpointServer.aclose` stops accepting, tells every peer 1001, waits `grace` seconds
for the handlers, then cancels them.  What one connection raises is logged there and stays there,
unless `on_handler_error="raise"` lets it end the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.course import start, wind_down
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import tell_handler
from trio_wsendpoint.entries.calling import call_async
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.server.access_records import write_connection
from trio_wsendpoint.server.bound import Bound
from trio_wsendpoint.server.goodbyes import Drain, check_seconds, say_goodbye, wait_for_rest
from trio_wsendpoint.server.handling import Handler, is_within, log_end
from trio_wsendpoint.server.inherited import is_inherited
from trio_wsendpoint.server.listening import accept_streams, close_listeners
from trio_wsendpoint.server.openings import NotOpened, Openings, Taking
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import ServeSettings
from trio_wsendpoint.server.visit import Served, Visit
from trio_wsendpoint.session.statistics import ServerStatistics, Totals
from trio_wsendpoint.transport.poller import Poller, polling

__all__ = ["EndpointServer", "Handler"]


class EndpointServer(Bound):
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
        super().__init__(listeners)
        self._handler = handler
        self._settings = settings
        self._connections: dict[Connection, None] = {}  # in the order in which they opened
        self._ending: dict[Connection, None] = {}  # whose handlers have ended, and not yet they
        self._totals = Totals()
        self._errors: list[Exception] = []  # of handlers, to be raised at the end
        self._block: trio.CancelScope | None = None
        self._openings = Openings(settings, rules)
        self._accepting: list[trio.CancelScope] = []
        self._scope = trio.CancelScope(shield=True)
        self._farewell: tuple[int, str] = CloseCode.ENDPOINT_UNAVAILABLE, ""  # for late openings
        self._drain: Drain | None = None  # once it drains
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._served: Served | None = None  # what it is to its visits, while it runs
        self._failed = self._listening = 0

    # ---- what it tells -----------------------------------------------------------------------

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
        if self._is_closing or self._drain is not None:
            where = "closing" if self._is_closing else "draining"
        else:
            where = self.tell_where()
        return f"<EndpointServer {where}, connections: {len(self._connections)}>"

    @property
    def _is_closing(self) -> bool:
        """Whether it refuses what comes: it tells its connections that it stops."""
        return self._openings.taking is Taking.NONE

    # ---- its end -----------------------------------------------------------------------------

    async def wait_closed(self) -> None:
        """Wait until the server has stopped: no listener, no connection, no handler.

        If cancelled: the server goes on.
        Raises: nothing of its own.
        """
        await self._closed.wait()

    @trio.lowlevel.enable_ki_protection
    async def aclose(
        self,
        code: int = CloseCode.ENDPOINT_UNAVAILABLE,
        reason: str = "",
        grace: float | None = None,
    ) -> None:
        """Stop: accept no more, close every connection with `code` and `reason`, wait, cancel.

        Handlers have `grace` seconds to return (by default `Timeouts.grace`; 0 is none), then they
        are cancelled.  Openings under way are refused with 503.  A further call waits for the end,
        and may shorten the grace.  A call from inside a handler does not wait.

        A handler that waits in `receive()` is told first: `receive()` raises
        `ConnectionClosedLocally`, and the connection stays open for sending until the handler
        returns or closes it, `Timeouts.goodbye` seconds at most.  The others are closed at once.

        If cancelled: the handlers are cancelled at once.
        Raises: `InvalidCloseCode` or `ValueError` before anything is done.
        """
        CloseFrame(code, reason)
        check_seconds(grace=grace)
        grace = self._settings.timeouts.grace if grace is None else grace
        is_inside = is_within(self._nursery)
        try:
            if not self._is_closing:
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

    @trio.lowlevel.enable_ki_protection
    async def drain(
        self,
        over: float = 30.0,
        code: int = CloseCode.ENDPOINT_UNAVAILABLE,
        reason: str = "",
        grace: float | None = None,
    ) -> None:
        """Stop without a crowd: as `aclose`, but say goodbye over `over` seconds.

        The listeners are closed, except inherited ones, which another process may share.  Openings
        under way are finished.  Each connection is closed at a moment that `random_bytes` draws,
        one whose peer leaves something unread in the last fifth of `over`, after the others;
        after the last one, handlers have `grace` seconds more.  1012 as `code` says: come back.
        A further call waits for the end; `aclose` tells the rest at once.

        If cancelled: the server goes on draining.
        Raises: `InvalidCloseCode` or `ValueError` before anything is done.
        """
        CloseFrame(code, reason)
        check_seconds(over=over, grace=grace)
        while self._nursery is None and not self._closed.is_set():  # it begins just now
            await trio.lowlevel.checkpoint()
        if self._drain is None and not self._is_closing and self._nursery is not None:
            self._drain = Drain(over, code, reason, self._settings.random_bytes, self._say_goodbye)
            self._nursery.start_soon(self._run_drain, self._drain, grace)
        await trio.lowlevel.checkpoint()
        if not is_within(self._nursery):
            await self._closed.wait()

    async def _begin_to_close(self, code: int, reason: str) -> None:
        for scope in self._accepting:
            scope.cancel()
        self._openings.drop_all()
        for connection in self.connections:
            self._say_goodbye(connection, code, reason)
        if self._drain is not None:
            self._drain.stop()
        await close_listeners(self.listeners, self._settings.logger)

    def _say_goodbye(self, connection: Connection, code: int, reason: str) -> None:
        if self._nursery is not None:
            say_goodbye(self._nursery, connection, code, reason, self._settings.timeouts.goodbye)

    @trio.lowlevel.enable_ki_protection
    async def _run_drain(self, drain: Drain, grace: float | None) -> None:
        await wait_for_rest(lambda: self._openings.accepted)
        for scope in self._accepting:
            scope.cancel()
        ours = [listener for listener in self.listeners if not is_inherited(listener)]
        await close_listeners(ours, self._settings.logger)
        self._openings.stop_plain()
        for connection in self.connections:
            drain.add(connection)
        await drain.run(lambda: len(self._openings) > 0)
        await self.aclose(drain.code, drain.reason, grace)

    # ---- its tasks ---------------------------------------------------------------------------

    # A Ctrl-C that comes while one of these runs goes to the main task, which leaves the server's
    # block; only handlers, which are the user's, can be interrupted themselves.

    @trio.lowlevel.enable_ki_protection
    async def run(self, around: trio.CancelScope) -> None:
        """Accept and serve until closed.

        `serve_endpoint` starts it; `around` is the scope of its block.

        If cancelled: the connections are closed in order first.
        Raises: what handlers raised, with `on_handler_error="raise"`; two or more in a group.
        """
        self._block = around
        try:
            with self._scope, polling() as poller:
                block = BlockNursery()
                self._nursery = await block.enter()
                heartbeat = HeartbeatTask(self._nursery, stays=bool(self.listeners))
                self._served = Served(
                    self._nursery, heartbeat, self._begin, self._note_plain_failure
                )
                self._listening = len(self.listeners)
                for listener in self.listeners:
                    self._nursery.start_soon(self._accept, listener, poller)
                raise_beside(None, await block.leave(shield=False))
        finally:
            self._nursery = self._served = None
            self._closed.set()
        if len(self._errors) > 1:
            raise ExceptionGroup("handlers failed", self._errors)
        if self._errors:
            raise self._errors[0]

    @trio.lowlevel.enable_ki_protection
    async def _accept(
        self, listener: trio.abc.Listener[trio.abc.Stream], poller: Poller | None
    ) -> None:
        try:
            with trio.CancelScope() as scope:
                self._accepting.append(scope)
                if not self._is_closing:
                    await accept_streams(listener, self._take, self._settings.logger, poller)
        finally:
            self._listening -= 1
            if self._served is not None and not self._listening:
                self._served.heartbeat.let_go()  # there will be no more connections

    def _take(self, stream: trio.abc.Stream) -> None:
        """Serve `stream`, or refuse it."""
        if self._served is None:
            raise RuntimeError("a stream was accepted by a server that does not run")
        self._openings.take(stream, self._served, self._serve)

    @trio.lowlevel.enable_ki_protection
    async def _serve(self, visit: Visit) -> None:
        """Open a connection over a stream and run the handler; raises no `Exception`."""
        try:
            try:
                connection = await self._openings.open(visit)
                if connection.is_open:  # else `process_request` has done all
                    await call_async("the handler", self._handler, connection)
            except BaseException as error:
                await self._end(visit, error)
                raise
            await self._end(visit, None)
        except Exception as error:  # noqa: BLE001 - its failure is its own, and so is its logger's
            with contextlib.suppress(Exception):
                is_known = any(error is one for one in self._errors)  # which will be raised
                if not isinstance(error, NotOpened) and not is_known:
                    self._failed += log_end(error, visit.connection, visit.logger)
        finally:
            if (served := visit.connection) is not None:
                del self._ending[served]
                self._totals.add(served.tasks.session.counts(), served.endpoint.closing)
                write_connection(served, self._settings)
            self._openings.release(visit)
            if self._drain is not None:
                self._drain.note_change()

    async def _end(self, visit: Visit, error: BaseException | None) -> None:
        """Close the connection, if there is one: its handler has ended, with `error` if it failed.

        What `process_request` raises after it has accepted is a handler's failure.
        """
        connection = visit.connection
        if connection is None:
            return
        if isinstance(error, Exception):
            self._give_up_for(error, connection)
        del self._connections[connection]
        self._ending[connection] = None
        tell_handler(connection, self._settings.instruments, error)
        try:
            await wind_down(connection, error)
        except BaseException as leaving:  # noqa: BLE001 - it is raised, or tells less than `error`
            raise_beside(error, leaving)

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

    def _begin(self, visit: Visit, connection: Connection) -> None:
        """Start a connection whose 101 has left."""
        self._connections[connection] = None
        start(connection, visit.nursery, visit.heartbeat, self._settings.instruments)
        if self._is_closing and self._nursery is not None:
            # Its 101 had left when the others were told.
            say_goodbye(self._nursery, connection, *self._farewell, 0)
        elif self._drain is not None:
            self._drain.add(connection)
