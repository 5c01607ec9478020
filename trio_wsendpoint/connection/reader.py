"""Which task reads, and bytes from the stream into the session by the app that waits for them.

While the app waits in `receive()` and the stream need not wait, that call reads: it spares a task
switch a message (1.6 to 1.9 times cheaper).  In all other cases the reader task reads: over a
stream that has to wait, after the app has been away for a while, while a ping is out, and when
the connection closes and no task is in `aclose()`.  Neither waits for the write side.
"""

from __future__ import annotations

import sys

import trio

from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.inlet import Found, Inlet
from trio_wsendpoint.connection.lease import Lease
from trio_wsendpoint.connection.reader_task import ReaderTask, let_others_run
from trio_wsendpoint.connection.waits import ReadingDriver, Waits
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Need, Session, Wake
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["Reader"]

#: After so many looks in a row that found no message, the next `DOUBT` messages are waited for
#: without a look.  A look costs a fifth of what it costs to wait.
LOOKS = 16
DOUBT = 8


_NOBODY, _APP, _TASK, _CLOSER = Lease.NOBODY, Lease.APP, Lease.TASK, Lease.CLOSER
_DATA, _TURN, _APP_NEEDED, _END = Need.DATA, Need.TURN, Need.APP, Need.END
_OPEN, _OVER, _RECEIVER = Phase.OPEN, Phase.OVER, Wake.RECEIVER
_MESSAGE, _NO_WISH = Wish.MESSAGE, Wish.NOTHING
_NOTHING, _ALL, _SOME = Found.NOTHING, Found.ALL, Found.SOME


class Reader:
    """Reads for one connection.

    `driver` does what the session asks for and starts the task; the heartbeat watches it while no
    task reads.  `lease`: which task reads; the app's take it here and give it back, and `call`
    takes it for the reader task.  `doubt`: messages that are to be waited for without a look.
    """

    __slots__ = (
        "_clock",
        "_driver",
        "_heartbeat",
        "_inlet",
        "_intake",
        "_left_in",
        "_session",
        "_stream",
        "_task",
        "_waits",
        "doubt",
        "lease",
    )

    def __init__(
        self,
        session: Session,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        waits: Waits,
        driver: ReadingDriver,
    ) -> None:
        self._session = session
        self._intake = session.intake
        self._stream = stream
        self._inlet = None if transport is None else Inlet(session, transport)
        self._waits = waits
        self._driver = driver
        self._heartbeat: HeartbeatTask | None = None  # set by `attend`
        self._clock = trio.lowlevel.current_clock()
        self._task: ReaderTask | None = None  # made when it is first called
        self.lease = Lease.NOBODY
        self.doubt = sys.maxsize if transport is None else 0
        self._left_in = 0  # the heartbeat's tick in which the app went away

    def attend(self, heartbeat: HeartbeatTask) -> None:
        """Use `heartbeat` to notice that no task reads."""
        self._heartbeat = heartbeat

    # ---- without waiting ---------------------------------------------------------------------

    def take_message(self) -> Message | None:
        """Return the next message if it is here and has come whole.

        Nearly every message has.  It passes neither the inbox nor another task.
        """
        session, inlet = self._session, self._inlet
        if inlet is None or self.lease is _TASK or session.phase is not _OPEN:
            return None
        if self._intake.is_drained:
            message = inlet.read_message()
        else:
            message = session.take_next(self._clock.current_time())
            if message is None and session.needs_data:
                message = inlet.read_message()
        if session.wakes:
            self._driver.act()
        if message is None:
            if inlet.misses >= LOOKS:
                self.doubt = DOUBT
        elif self._heartbeat is not None:
            self._left_in = self._heartbeat.tick
        return message

    def read_rest(self) -> None:
        """Read what the peer has said, after the stream broke when it was written to."""
        if self._inlet is not None and self.lease is Lease.NOBODY:
            self._inlet.read_rest()

    # ---- in receive() ------------------------------------------------------------------------

    async def wait(self, wish: Wish) -> Message | None:
        """Wait until there may be what the app asks for, or the connection has ended.

        Return a message that the app asks for, and that has come whole, past the inbox.
        """
        session, inlet = self._session, self._inlet
        inbox = session.inbox
        if inlet is None or self.lease is not _NOBODY or session.phase is not _OPEN:
            await self._wait_for_reader(wish)
            return None
        inbox.ask(wish)
        self.lease = _APP
        try:
            need: Need | None = _DATA
            if (
                not self._intake.is_drained
                or session.wakes > _RECEIVER
                or session.outbox.corked_bytes
            ):
                await trio.lowlevel.checkpoint_if_cancelled()
                need = self._step(inlet)
            while need is not None:
                if need is _DATA:
                    try:
                        await inlet.transport.wait_readable()
                    except Exception as error:  # noqa: BLE001 - it is told to the session
                        inlet.fail(error)
                    if inbox.wish is _MESSAGE and session.phase is _OPEN:
                        message = inlet.read_message(has_waited=True)
                        if session.wakes:
                            self._driver.act()
                        if message is not None:
                            if self.doubt:
                                self.doubt -= 1
                            return message
                    else:
                        inlet.note_wait()
                else:
                    await let_others_run(session)
                need = self._step(inlet)
        finally:
            inbox.ask(_NO_WISH)
            self.leave()
        return None

    async def _wait_for_reader(self, wish: Wish) -> None:
        """Wait until another task has read what the app asks for, or the connection has ended."""
        session = self._session
        session.ask(wish)
        try:
            if session.wakes:
                self._driver.act()
            await self._waits.receiver.wait()
        finally:
            session.inbox.ask(_NO_WISH)

    def _step(self, inlet: Inlet) -> Need | None:
        """Handle what has come, and read what is here; return what to wait for.

        That is more bytes or a turn of the other tasks, or None: the app need not wait.
        """
        session, intake = self._session, self._intake
        need = _DATA
        found: Found | None = _SOME
        if not intake.is_drained:
            need = session.advance(self._clock.current_time())
            found = None  # what waited was read before
        while True:
            # The app itself reads here: it need not be woken.
            if session.wakes > _RECEIVER or session.outbox.corked_bytes:
                self._driver.act()
            if session.inbox.has_answer or session.phase is not _OPEN:
                return None
            if need is not _DATA:
                return need if need is _TURN else None
            if found is None:  # it was all that was here, unless much more is to come
                found = _SOME if intake.is_in_large_payload else _ALL
            if found is _ALL or (found := inlet.read()) is _NOTHING:
                inlet.note_wait()
                return _DATA
            if inlet.is_turn_over():
                return _TURN
            if not intake.is_drained:
                need = session.advance(self._clock.current_time())

    def leave(self) -> None:
        """Give the lease back: to a task that waits for a message, or to the reader task."""
        self.lease = _NOBODY
        waits = self._waits
        if waits.receiver.task is not None:
            waits.receiver.wake()
        heartbeat = self._heartbeat
        if self._session.phase is not _OPEN:
            self._driver.read_on()
        elif waits.ended.count or self._session.pings.waiting:
            self.call()
        elif heartbeat is not None and self._driver in heartbeat.watched:
            self._left_in = heartbeat.tick
        else:
            self.note_away()

    def interrupt(self) -> None:
        """Wake the task of the app that reads; it then checks how far the session is."""
        if (self.lease is _APP or self.lease is _CLOSER) and self._inlet is not None:
            self._inlet.transport.interrupt()

    # ---- away --------------------------------------------------------------------------------

    def note_away(self) -> None:
        """Note that no task reads; if that lasts, the heartbeat makes the reader task read."""
        heartbeat = self._heartbeat
        if heartbeat is not None:
            self._left_in = heartbeat.tick
            heartbeat.watch(self._driver)

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Call the reader task if no task has read since before `tick`; return whether one reads.

        `away`: seconds that the app has been away then, at most.
        """
        if self.lease is _NOBODY:
            if self._left_in >= tick and self._session.is_open:
                return False
            self._intake.spare(away)
            self.call()
        return True

    # ---- in aclose() -------------------------------------------------------------------------

    async def lead_to_the_end(self) -> bool:
        """Read until the stream is closed, if no other task does; return whether it has waited.

        Afterwards the stream may still be open, until another task closes it: the phase tells.
        """
        session, inlet = self._session, self._inlet
        has_waited = False
        while self.lease is _APP and session.phase is not _OVER:
            self.interrupt()  # that task has been told, and leaves
            has_waited = True
            await trio.lowlevel.checkpoint()
        if inlet is None or self.lease is not _NOBODY:
            return has_waited
        self.lease = _CLOSER
        # Our end may have made the peer end: a look costs a fifth of what it costs to wait.
        inlet.note_wait()
        found = _SOME
        try:
            while session.phase is not _OVER:
                need = _END if self._intake.is_eof else _DATA
                if session.endpoint.closing.expects_frames and not self._intake.is_drained:
                    need = session.advance(self._clock.current_time())
                if session.wakes:
                    self._driver.act()
                if need is _END or need is _APP_NEEDED:
                    break
                if need is _TURN:
                    has_waited = True
                    await let_others_run(session)
                elif found is _ALL or (found := inlet.read()) is _NOTHING:
                    has_waited = True
                    await inlet.wait_readable()
                    found = _SOME
                elif inlet.is_turn_over():
                    await trio.lowlevel.checkpoint()
        finally:
            self.lease = _NOBODY
        return has_waited

    # ---- the reader task ---------------------------------------------------------------------

    def call(self) -> None:
        """Call the reader task, which reads from now on, unless a task reads already."""
        if self.lease is not _NOBODY:
            return
        self.lease = _TASK
        if self._task is None:
            self._task = ReaderTask(
                self._session, self._stream, self._inlet, reader=self, driver=self._driver
            )
            self._driver.start_task("reader", self._task.run)
        self.wake()

    def wake(self) -> None:
        """Wake the reader task: the app took something, or asks for more."""
        if self._task is not None:
            self._task.wake()

    @property
    def has_called(self) -> bool:
        """Whether the reader task is to read."""
        return self.lease is _TASK

    def hand_over(self) -> bool:
        """Give the reader task's lease back if the app has what it waits for, and can read."""
        session = self._session
        if (
            self._inlet is None
            or not session.inbox.is_receiver_waiting
            or not session.inbox.messages
            or not session.is_open
            or session.pings.waiting
            or self._waits.ended.count
        ):
            return False
        self.leave()
        return True

    def drop_lease(self) -> None:
        """Give it back, if the reader task has it: that task reads no more."""
        if self.lease is _TASK:
            self.lease = _NOBODY
