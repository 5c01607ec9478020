"""The tasks of one connection, and the state that they share.

* The **reader** (`reader`) feeds the endpoint and fills the inbox, where the app does not read
  itself.  It never waits for the write side.
* The **writer** (`writer`) drains the write queue, where that takes waiting.
* The **heartbeat** (`heartbeat`) pings a silent peer, and gives it up after `max_pings`; a server
  has one for all its connections.
* The **closer** (`closer`) is started when the connection begins to close, by whichever side; it
  sees to the end within `Timeouts.close`, closes the stream whatever happens, and wakes everyone.

Each is started when it is first needed and runs in a shielded cancel scope of its own, so that
cancelling the app does not tear a frame; `abort()` ends all of them at once, and each of their
waits has a deadline of its own.  None of them raises an `Exception`: a bug, or a callback that
raises, is logged once and closes this connection with 1011.

Only `connection` and `context` import this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.closed import (
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    is_clean,
    tell_loss,
)
from trio_wsendpoint.connection.closer import Closer
from trio_wsendpoint.connection.heartbeat import HeartbeatTask, Pulse
from trio_wsendpoint.connection.inbox import Inbox
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.connection.pings import Pings
from trio_wsendpoint.connection.reader import Leader, Reader
from trio_wsendpoint.connection.writer import Writer
from trio_wsendpoint.errors import UnexpectedEOF
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.closing import Closing, State
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiters

__all__ = ["Tasks"]

#: Times that the writer is let run for the goodbye of a cancelled owner.
GOODBYE_TURNS = 6


class Tasks:
    """What runs behind one `Connection`."""

    __slots__ = (
        "__weakref__",
        "_closer",
        "_failure",
        "_nursery",
        "_pulse",
        "_scopes",
        "_timeouts",
        "end_listener",
        "ended",
        "ended_at",
        "endpoint",
        "farewell",
        "has_ended",
        "heartbeat",
        "inbox",
        "is_closed_locally",
        "is_open",
        "logger",
        "non_blocking",
        "opened_at",
        "pings",
        "reader",
        "stream",
        "writer",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        endpoint: Endpoint,
        *,
        limits: Limits,
        timeouts: Timeouts,
        heartbeat: Heartbeat | None,
        logger: ConnectionLogger,
    ) -> None:
        self.non_blocking = transport  # the form of `stream` that has one
        self.stream = stream
        self.endpoint = endpoint
        self.logger = logger
        self.opened_at = trio.current_time()
        self.inbox = Inbox(endpoint.incoming, limits.receive_buffer)
        self.pings = Pings()
        self.reader = Reader(self, limits, timeouts)
        self.writer = Writer(self, limits, timeouts)
        self._pulse = Pulse(self, heartbeat)
        endpoint.pong_listener = self.pings.answer
        #: The app called `aclose()`, or left the block of the connection.
        self.is_closed_locally = False
        #: Whether messages may go both ways.
        self.is_open = True
        self.has_ended = False  # the stream is closed
        self.ended = Waiters()  # those who wait for that
        self.ended_at: float | None = None
        #: Called when the connection has ended, if anybody listens.
        self.end_listener: Callable[[], object] | None = None
        #: Code and reason of a server that stops, while its handler may still say goodbye.
        self.farewell: tuple[int, str] | None = None

        self._timeouts = timeouts
        self._closer: Closer | None = None  # made when it is needed
        self._failure: Exception | None = None
        self.heartbeat: HeartbeatTask | None = None
        self._nursery: trio.Nursery | None = None
        #: Of the tasks that run; None for one that runs no longer, or is not to run any more.
        self._scopes: dict[str, trio.CancelScope | None] = {}

    # ---- the tasks that run ------------------------------------------------------------------

    def start(self, nursery: trio.Nursery, heartbeat: HeartbeatTask) -> None:
        """Let the tasks run in `nursery`, each when it is needed, looked after by `heartbeat`."""
        self._nursery = nursery
        self.heartbeat = heartbeat
        heartbeat.add(self._pulse)
        if self.non_blocking is None:
            self.reader.call()
        else:
            self.reader.leave()

    def start_task(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start the task `name`, unless it runs already, or did."""
        if name not in self._scopes and self._nursery is not None and not self._is_torn_down:
            scope = self._scopes[name] = trio.CancelScope(shield=True)
            self._nursery.start_soon(self._run, name, scope, body, name=f"trio_wsendpoint {name}")

    # A Ctrl-C that came while one of these runs is Trio's to give to the main task: raised here
    # it would tear the connection that it hits.
    @trio.lowlevel.enable_ki_protection
    async def _run(
        self, name: str, scope: trio.CancelScope, body: Callable[[], Awaitable[None]]
    ) -> None:
        with scope:
            try:
                await body()
            except Exception as error:  # noqa: BLE001 - the one place where bugs become 1011
                self.crash(error)
        self._scopes[name] = None
        if scope.cancelled_caught and not self._is_torn_down:
            self.abort(f"the {name} task was cancelled")

    def cancel_task(self, name: str) -> bool:
        """Cancel the task `name`, for tests of what then happens; False if it does not run."""
        if self.has_ended:
            return False
        if name == "heartbeat":
            if self.heartbeat is not None:
                self.heartbeat.cancel()
            return self.heartbeat is not None
        if name == "closer":
            self._get_closer().cancel()
            return True
        scope = self._scopes.get(name)
        if scope is not None:
            scope.cancel()
        return scope is not None

    @property
    def is_reading_needed(self) -> bool:
        """Whether somebody waits for what is to be read, who does not read himself."""
        return bool(self.pings.waiting or self.ended.count or not self.is_open)

    def call_reader(self) -> None:
        """See that somebody reads, now that somebody waits for what comes."""
        if self.reader.leader is Leader.NOBODY:
            self.reader.call()

    def _get_closer(self) -> Closer:
        if self._closer is None:
            self._closer = Closer(self, self._timeouts)
        return self._closer

    @property
    def _is_torn_down(self) -> bool:
        return self._closer is not None and self._closer.is_torn_down

    def retire_reader(self) -> bool:
        """Let the reader task never run; False if it has been started."""
        if self._scopes.setdefault("reader", None) is not None:
            return False
        return self.reader.leader is not Leader.TASK

    @property
    def has_tasks(self) -> bool:
        """Whether the reader or the writer task runs."""
        return any(self._scopes.values())

    def cancel_all(self) -> None:
        """Cancel the tasks that run."""
        for scope in self._scopes.values():
            if scope is not None:
                scope.cancel()

    def note_end(self) -> None:
        """Tell everyone that the stream is closed."""
        if self.heartbeat is not None:
            self.heartbeat.remove(self._pulse)
        self.ended_at = trio.current_time()
        self.has_ended = True
        self.ended.wake_all()
        self.wake_all()
        if self.pings.waiting:
            self.pings.fail(self.error(sending=True))
        if self.end_listener is not None:
            self.end_listener()

    def start_closer(self, body: Callable[[], Awaitable[None]]) -> bool:
        """Start the task that sees to the end; False if there is no nursery for it."""
        if self._nursery is None:
            return False
        self._nursery.start_soon(body, name="trio_wsendpoint closer")
        return True

    def hurry(self) -> None:
        """Have a task see to the end, if nobody else does who was expected to."""
        if self._closer is not None:
            self._closer.start()

    def plan_end(self, when: float) -> None:
        """Have the heartbeat see to it that the stream is closed by then."""
        if self.heartbeat is not None:
            self.heartbeat.plan_end(self._pulse, when)

    def check_end(self, now: float) -> None:
        """Close the stream if it is time to."""
        if self._closer is not None:
            self._closer.check(now)

    async def end(self) -> None:
        """Wait until the stream is closed, for who closes: if cancelled, it is closed at once."""
        if self._closer is not None and self._closer.is_pending:
            await self._closer.run_here()
        else:
            await self.wait_ended()

    async def wait_ended(self) -> None:
        """Wait until the stream is closed."""
        self.hurry()
        if self.has_ended:
            await trio.lowlevel.checkpoint()
        while not self.has_ended:
            await self.ended.wait()

    def crash(self, error: Exception) -> None:
        """End this connection, and only this one: a callback or our own code has raised."""
        if self._failure is None:
            self._failure = error
            # Whoever wrote the logger may have made a mistake as well: it is this connection's.
            with contextlib.suppress(Exception):
                self.logger.error("the connection fails with an internal error", exc_info=error)
        if self.endpoint.is_open:
            self.endpoint.close(CloseCode.INTERNAL_ERROR)
        self.settle()

    # ---- what the connection asks for --------------------------------------------------------

    def settle(self) -> None:
        """See to what the endpoint owes, after anything that may have changed it."""
        try:
            if self.endpoint.has_frames or self.writer.corked:
                self.writer.flush()
        finally:  # a callback may be interrupted, and the end must come all the same
            if self.is_open and not (self.endpoint.is_open and self.writer.error is None):
                self._begin_to_close()

    def _begin_to_close(self) -> None:
        self.is_open = False
        try:
            self.writer.flush()
        finally:
            self._get_closer().begin()

    def wake_all(self) -> None:
        """Let everyone who waits for something look again."""
        self.inbox.wake_all()
        self.writer.room.wake_all()
        self.writer.chunk_room.wake_all()
        if self.reader.leader is Leader.APP and self.non_blocking is not None:
            self.non_blocking.interrupt()

    def wake_closer(self) -> None:
        """Let the closer look how far the others are."""
        if self._closer is not None:
            self._closer.wake()

    def abort(
        self, why: str = "the connection was aborted", cause: Exception | None = None
    ) -> None:
        """Stop being patient: close the stream now.  Safe at any time, in any task."""
        self._get_closer().cancel()
        aborted = UnexpectedEOF(why)
        aborted.__cause__ = cause
        self.endpoint.fail(aborted)
        self.settle()

    def begin_farewell(self, code: int, reason: str) -> bool:
        """Tell the app that its server stops: it receives no more, but may say goodbye.

        Returns False, and does nothing, if no task waits in `receive()` that could be told.
        """
        if not (self.is_open and self.inbox.is_receiver_waiting):
            return False
        self.farewell = code, reason
        self.inbox.shut()
        self.wake_all()
        return True

    async def say_goodbye(self) -> None:
        """End a connection whose owner was cancelled: tell the peer if that takes no waiting."""
        self.is_closed_locally = True
        self.inbox.discard()
        if self.endpoint.is_open:
            self.endpoint.close(*(self.farewell or (CloseCode.ENDPOINT_UNAVAILABLE, "")))
        self.settle()
        with trio.CancelScope(shield=True):
            # The writer gets a few turns; if the stream takes the frame at once, they suffice.
            for _ in range(GOODBYE_TURNS):
                await trio.lowlevel.checkpoint()
            self.abort()
            await self.wait_ended()

    def error(self, *, sending: bool = False, is_cut_short: bool = False) -> ConnectionClosed:
        """Make the exception that says how the connection ended.

        A close in order is none for who has something to send, or half a message.
        """
        closing = self.endpoint.closing
        facts = None
        is_final = closing.state is State.CLOSED
        if not (is_final and self._failure is None and self.writer.error is None):
            facts = self._tell(closing)
        made: ConnectionClosed
        if self.is_closed_locally or (self.farewell is not None and closing.is_open):
            made = ConnectionClosedLocally(facts, closing)
        elif is_clean(closing) and not (sending or is_cut_short) and self._failure is None:
            made = ConnectionEnded(facts, closing)
        else:
            made = ConnectionLost(facts, closing)
        made.__cause__ = self._failure or closing.error or self.writer.error
        return made

    def _tell(self, closing: Closing) -> str:
        """Say who closed, and what went wrong."""
        told = [] if closing.is_open else [closing.explain()]
        if self._failure is not None:
            told.insert(0, f"internal error: {self._failure!r}")
        elif self.writer.error is not None:
            told.insert(0, tell_loss(self.writer.error))
        elif self.farewell is not None and not told:
            told.append("the server stops")
        return "; ".join(told)
