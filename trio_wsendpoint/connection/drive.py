"""Drives the session of one connection: runs its tasks, and does what it asks for.

* The **reader** (`reader`) gives the session the peer's bytes.  It never waits for the write side.
* The **writer** (`writer`) writes what the session has, where that takes waiting.
* The **heartbeat** (`heartbeat`) keeps every deadline; a server has one for all its connections.
* The **finisher** ends a stream that has to wait for its end.  Any other is ended and closed on
  the spot.

Each task is started when it is first needed, and runs in a shielded cancel scope of its own: to
cancel the app tears no frame.  None raises an `Exception`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.closed import ConnectionLost
from trio_wsendpoint.connection.finisher import Finisher
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.connection.reader import Reader
from trio_wsendpoint.connection.waits import Waits
from trio_wsendpoint.connection.writer import Writer
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Ending, Session, Wake
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["Drive"]

# Globals, because `act` runs for each opening and each end, and tests all of them several times:
# a class's attribute, and even more so an enum's, costs many times the instructions of a global.
_RECEIVER, _READER, _WRITER, _SENDERS = Wake.RECEIVER, Wake.READER, Wake.WRITER, Wake.SENDERS
_PINGS, _PHASE, _DEADLINE = Wake.PINGS, Wake.PHASE, Wake.DEADLINE
_NOTHING, _END_OURS, _READ = Ending.NOTHING, Ending.END_OURS, Ending.READ
_CLOSE, _ABORT, _OVER = Ending.CLOSE, Ending.ABORT, Phase.OVER

#: Until a task is started; never filled, so all connections share it.
_NO_SCOPES: dict[str, trio.CancelScope | None] = {}


class Drive:
    """Drives `session`, and the tasks that it needs, for one `Tasks`.

    `transport` is the non-blocking form of `stream`, or None.  `patience` is `Timeouts.write`.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_end_listener",
        "_finisher",
        "_heartbeat",
        "_is_told",
        "_nursery",
        "_scopes",
        "endpoint",
        "logger",
        "reader",
        "session",
        "stream",
        "transport",
        "waits",
        "writer",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        session: Session,
        *,
        patience: float,
        logger: ConnectionLogger,
    ) -> None:
        self.stream = stream
        self.transport = transport
        self.session = session
        self.endpoint: Endpoint = session.endpoint
        self.logger = logger
        self._clock = trio.lowlevel.current_clock()
        self.waits = Waits()
        self.reader = Reader(session, stream, transport, self.waits, self)
        self.writer = Writer(session, stream, transport, patience, self)
        self._finisher: Finisher | None = None  # made when the stream is to be ended
        self._nursery: trio.Nursery | None = None
        self._heartbeat: HeartbeatTask | None = None
        #: Of the tasks that were started; None for one that has ended.
        self._scopes = _NO_SCOPES
        self._end_listener: Callable[[], object] | None = None
        self._is_told = False  # the app knows of a loss; set by `error` and `abort`

    # ---- the tasks that run ------------------------------------------------------------------

    def start(self, nursery: trio.Nursery, heartbeat: HeartbeatTask) -> None:
        """Run the tasks in `nursery`, each when it is needed; `heartbeat` keeps the deadlines."""
        self._nursery = nursery
        self._heartbeat = heartbeat
        heartbeat.add(self)
        self.reader.attend(heartbeat)
        if self.transport is None:
            self.reader.call()
        else:
            self.reader.note_away()
        if self.session.wakes or self.endpoint.has_frames or not self.endpoint.is_open:
            self.act()

    def listen_to_end(self, listener: Callable[[], object] | None) -> None:
        """Call `listener` when the connection has ended."""
        self._end_listener = listener

    def start_task(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start the task `name`, unless it was started before."""
        if (
            name not in self._scopes
            and self._nursery is not None
            and self.session.phase is not _OVER
        ):
            scope = trio.CancelScope(shield=True)
            self._scopes = {**self._scopes, name: scope}
            self._nursery.start_soon(self._run, name, scope, body, name=f"trio_wsendpoint {name}")

    # A Ctrl-C is for the main task: raised in one of these it would tear a connection.
    @trio.lowlevel.enable_ki_protection
    async def _run(
        self, name: str, scope: trio.CancelScope, body: Callable[[], Awaitable[None]]
    ) -> None:
        with scope:
            try:
                await body()
            except Exception as error:  # noqa: BLE001 - a bug of ours ends this connection only
                self.session.fail_internally(error)
        if self._scopes[name] is not None and scope.cancelled_caught:
            self.abort(f"the {name} task was cancelled")
        self._scopes[name] = None
        self.act()

    def cancel_task(self, name: str) -> bool:
        """Cancel the task `name`, for tests of what then happens; False if it does not run."""
        if self.session.phase is _OVER:
            return False
        task: HeartbeatTask | trio.CancelScope | None = self._scopes.get(name)
        if name == "heartbeat":
            task = self._heartbeat
        if task is not None:
            task.cancel()
        return task is not None

    # ---- the heartbeat -----------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When `beat` is to be called next, in seconds."""
        return self.session.deadline

    def beat(self, now: float) -> None:
        """Do what is due."""
        self.session.tick(now)
        self.act()

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Make a task read if none has since before `tick`; return whether one reads."""
        return self.session.phase is _OVER or self.reader.is_watch_over(tick, away)

    # ---- what the session asks for -----------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    def act(self) -> None:
        """Do what the session asks for, after anything that may have changed it.

        While code of the user's runs it does nothing: the task that runs that code acts afterwards.
        So it is never entered while it runs.
        """
        session, seen = self.session, 0
        if session.is_in_step:
            return
        session.notice(self._clock.current_time())
        if session.outbox.corked_bytes:
            self.writer.flush()
        while wakes := session.take_wakes():
            if wakes & _WRITER:
                self.writer.flush()
                wakes |= session.take_wakes()
            if wakes & _PHASE:
                self._follow_phase()
                wakes |= session.take_wakes()
            if wakes & _SENDERS and self.waits.has_lines:
                self.wake_a_sender()
            if wakes & _RECEIVER:
                self.waits.receiver.wake()
            if wakes & _READER:
                self.reader.wake()
            if wakes & _PINGS:
                self.waits.pings.wake_all()
            seen |= wakes
        if seen & _DEADLINE and self._heartbeat is not None:
            self._heartbeat.plan(self)

    def wake_a_sender(self) -> None:
        """Wake the task that has waited longest to send, if there is room."""
        waits = self.waits
        line = waits.senders if self.endpoint.is_between_messages else waits.chunks
        size = line.first
        if size is not None and self.session.outbox.has_space_for(size):
            line.wake_one()

    def has_room_for(self, size: int) -> bool:
        """Tell whether `send()` may queue a message of `size` bytes."""
        return self.session.outbox.has_space_for(size) and self.endpoint.is_between_messages

    # ---- the end -----------------------------------------------------------------------------

    def _follow_phase(self) -> None:
        """Do with the stream what `ending` says, and wake the tasks that the phase concerns."""
        session, waits = self.session, self.waits
        if session.outbox.error is not None and session.endpoint.is_open:
            self.reader.read_rest()
        ending = session.ending
        if ending is not _NOTHING and ending is not _READ:
            ending = self._end_stream(ending)  # which may move the phase on
        waits.phase.wake_all()
        if session.is_open:
            return
        if waits.has_lines:
            waits.senders.wake_all()
            waits.chunks.wake_all()
        self.writer.wake()
        self.reader.interrupt()
        if session.phase is _OVER:
            self._note_end()
        elif ending is _READ or ending is _NOTHING:
            self.read_on()

    def _end_stream(self, ending: Ending) -> Ending:
        """Do with the stream what `ending` says; return what it says afterwards."""
        if self._finisher is None:
            self._finisher = Finisher(
                self.session,
                self.stream,
                self.transport,
                self.waits,
                driver=self,
            )
        finisher, session = self._finisher, self.session
        if ending is _END_OURS and finisher.end_ours():
            session.note_ours_ended(self._clock.current_time())
            ending = session.ending
        if ending is _CLOSE or ending is _ABORT:
            if not finisher.close():
                finisher.start(self._nursery)
        elif ending is _END_OURS:
            finisher.start(self._nursery)
        if ending is _ABORT:
            finisher.hurry()
        return ending

    def read_on(self) -> None:
        """Make a task read to the end: the one in `aclose()`, or after a while the reader task."""
        is_awaited = self.waits.ended.count or self.session.pings.waiting
        if self.transport is None or is_awaited or self._end_listener is not None:
            self.reader.call()
        else:
            self.reader.note_away()

    def cancel_tasks(self) -> None:
        """Cancel the reader task and the writer task."""
        for name, scope in self._scopes.items():
            if scope is not None:
                self._scopes[name] = None
                scope.cancel()

    def _note_end(self) -> None:
        """Wake and tell all that wait for the end of the stream; called once."""
        if self._heartbeat is not None:
            self._heartbeat.remove(self)
        self.waits.ended.wake_all()
        if self.session.outbox.dropped:
            self.session.log(logging.INFO, "%s", self._loss())
        if self._end_listener is not None:
            listener, self._end_listener = self._end_listener, None
            listener()

    @trio.lowlevel.enable_ki_protection
    def abort(self, why: str = "the connection was aborted") -> None:
        """Close the stream at once.  Safe at any time, in any task.

        The caller knows that what was not sent is lost: no `ConnectionLost` tells of it again.
        """
        self._is_told = True
        self.session.abort(why, trio.current_time())
        self.act()

    def _loss(self) -> ConnectionLost:
        """Make the exception that says how many bytes of messages could not be sent, and why."""
        outcome = self.session.outcome(sending=True)
        why = outcome.text or self.endpoint.closing.explain()
        lost = ConnectionLost(
            f"{self.session.outbox.dropped} bytes of messages could not be sent: {why}",
            self.endpoint.closing,
        )
        lost.__cause__ = outcome.cause
        return lost
