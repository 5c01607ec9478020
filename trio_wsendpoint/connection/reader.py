"""Bytes from the stream into the session: by the reader task, or by the app that waits for them.

While the app waits in `receive()` and the stream need not wait, that call reads: it spares a task
switch a message (1.6 to 1.9 times cheaper).  In all other cases the reader task reads: over a
stream that has to wait, after the app has been away for a while, while a ping is out, and when
the connection closes and no task is in `aclose()`.  Neither waits for the write side.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import Protocol

import trio

from trio_wsendpoint.connection.heartbeat import Beating, HeartbeatTask
from trio_wsendpoint.connection.waits import Driver, Waits
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.intake import READ_SIZE
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Need, Session, Wake
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Lease", "Reader"]

#: Reads from a stream that always has more, before other tasks get a turn.
READS = 8
#: After so many looks in a row that found no message, the next `DOUBT` messages are waited for
#: without a look.  A look costs a fifth of what it costs to wait.
LOOKS = 16
DOUBT = 8


class Lease(Enum):
    """Which task reads: one at a time.

    `APP`: the one that waits in `receive()`.  `CLOSER`: the one that waits in `aclose()`.
    """

    __hash__ = object.__hash__

    NOBODY = "no task"
    APP = "the app, in receive()"
    CLOSER = "the app, in aclose()"
    TASK = "the reader task"


_NOBODY, _APP, _TASK = Lease.NOBODY, Lease.APP, Lease.TASK
_DATA, _OPEN = Need.DATA, Phase.OPEN


class ReadingDriver(Driver, Beating, Protocol):
    """What drives a connection, and is watched by the heartbeat."""


class Reader:
    """Reads for one connection.

    `driver` does what the session asks for and starts the task; the heartbeat watches it.
    `lease`: which task reads; each takes it here and gives it back.  `doubt`: messages that are to
    be waited for without a look.
    """

    __slots__ = (
        "_clock",
        "_driver",
        "_heartbeat",
        "_intake",
        "_is_called",
        "_is_empty",
        "_is_watched",
        "_left_in",
        "_may_shorten",
        "_misses",
        "_reads",
        "_session",
        "_stream",
        "_transport",
        "_waits",
        "_work",
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
        self._transport = transport
        self._waits = waits
        self._driver = driver
        self._heartbeat: HeartbeatTask | None = None  # set by `attend`
        self._clock = trio.lowlevel.current_clock()
        self._work = Waiter()  # the task waits here while it has nothing to do
        self.lease = Lease.NOBODY
        self._is_called = False  # the task is to read, as soon as no other does; set by `call`
        # A read that came back short left the stream empty: wait before reading again.
        self._is_empty = False
        self._reads = 0  # without a wait between them
        self._may_shorten = session.intake.may_shorten
        may_look = transport is not None and self._may_shorten
        self.doubt = 0 if may_look else sys.maxsize  # messages to wait for without a look
        self._misses = 0  # looks in succession that found none
        self._is_watched = False  # the heartbeat asks at each tick; set by `note_away`
        self._left_in = 0  # the heartbeat's tick in which the app went away

    def attend(self, heartbeat: HeartbeatTask) -> None:
        """Use `heartbeat` to notice that no task reads."""
        self._heartbeat = heartbeat

    # ---- without waiting ---------------------------------------------------------------------

    def spend_doubt(self) -> None:
        """Note that a message is waited for without a look."""
        self.doubt -= 1

    # Few calls: each message of a conversation passes here.
    def take_payload(self) -> str | bytes | None:
        """Return the next message's payload if it is here and is one plain frame.

        Nearly every message is.  It passes neither the inbox nor another task.
        """
        session = self._session
        if self.lease is _TASK or session.phase is not _OPEN or not self._may_shorten:
            return None
        payload: str | bytes | None = None
        if not self._intake.is_drained:
            payload = self._take_next()
        elif self._transport is not None:
            payload = self._read_payload(self._transport)
            if payload is not None:
                self._misses = 0
        if payload is None:
            if session.wakes:
                self._driver.act()
        elif self._is_watched and self._heartbeat is not None:
            self._left_in = self._heartbeat.tick
        else:
            self.note_away()
        return payload

    def _read_payload(self, transport: NonBlockingStream) -> str | bytes | None:
        """Read what is here; return the next message's payload if that is all of it.

        Anything else that came has been given to the session.
        """
        intake = self._intake
        if intake.is_in_payload:
            return None  # what comes is the rest of a large one, which has a place of its own
        try:
            data = transport.receive_nowait(READ_SIZE)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._fail(error)
            return None
        if not data:
            if data is None:
                self._miss()
            else:
                self._session.receive_data(data, self._clock.current_time())
            return None
        now = self._clock.current_time()
        self._is_empty = len(data) < READ_SIZE
        try:
            payload = intake.take_read(data, now)
        except Exception as error:  # noqa: BLE001 - memory has run out, or a bug of ours
            self._session.fail_internally(error)
            return None
        if payload is None:
            self._session.receive_data(data, now)
            if not self._is_empty and (lacking := intake.lacking):
                more = self._try_read(transport, lacking)
                if more is not None:
                    self._session.receive_data(more, now)
            payload = self._take_next()
        return payload

    def _take_next(self) -> str | bytes | None:
        """Return the next message's payload if it has come whole and is one plain frame."""
        try:
            return self._intake.take_payload(self._clock.current_time())
        except Exception as error:  # noqa: BLE001 - memory has run out, or a bug of ours
            self._session.fail_internally(error)
        return None

    def _miss(self) -> None:
        self._is_empty = True
        self._misses += 1
        if self._misses >= LOOKS:
            self.doubt = DOUBT

    def _try_read(self, transport: NonBlockingStream, most: int) -> bytes | None:
        """Return what is here; None if nothing is, or if the stream failed."""
        try:
            return transport.receive_nowait(most)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._fail(error)
        return None

    def _fail(self, error: Exception) -> None:
        """Tell the session that the stream broke, or raised what no stream should."""
        if not isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError)):
            self._session.fail_internally(error)
        self._session.lose(error, self._clock.current_time())

    def _read_nowait(self, transport: NonBlockingStream) -> bool:
        """Read what is here; return whether anything came, the end and a loss included."""
        session = self._session
        if self._is_empty:
            self._is_empty = False
            return False
        # The larger part of a large message goes straight to where it will stay.
        room = session.intake.get_room()
        if room is not None:
            return self._read_into(transport, room)
        data = self._try_read(transport, READ_SIZE)
        if data is None:
            return session.intake.is_eof
        self._is_empty = 0 < len(data) < READ_SIZE
        session.receive_data(data, self._clock.current_time())
        return True

    def _read_into(self, transport: NonBlockingStream, room: memoryview | None) -> bool:
        """Read into the session's room while there is some; return whether anything came.

        No more at once than `READS` reads and one room: other tasks want their turn.
        """
        session, came = self._session, 0
        while room is not None:
            asked = len(room)
            try:
                with room:
                    size = transport.receive_into_nowait(room)
            except Exception as error:  # noqa: BLE001 - it is told to the session
                self._fail(error)
                return True
            now = self._clock.current_time()
            if size is None:
                self._is_empty = came > 0
                return came > 0
            if size == 0:
                session.receive_data(b"", now)
                return True
            self._is_empty = size < asked
            session.intake.fill_room(size, now)
            came += size
            room = None if size < asked or came > READS * READ_SIZE else session.intake.get_room()
        return True

    def read_rest(self) -> None:
        """Read what the peer has said, after the stream broke when it was written to."""
        session, transport = self._session, self._transport
        if transport is None or self.lease is not Lease.NOBODY:
            return
        self._is_empty = False
        need = Need.DATA
        while session.endpoint.is_open and need in {Need.DATA, Need.TURN}:
            if need is Need.DATA and not self._read_nowait(transport):
                self._is_empty = True
                return
            need = session.advance(self._clock.current_time())

    # ---- in receive() ------------------------------------------------------------------------

    async def wait(self, wish: Wish, *, quickly: bool = False) -> str | bytes | None:
        """Wait until there may be what the app asks for, or the connection has ended.

        `quickly`: the app wants the payload alone; if that is one plain frame, return it past the
        inbox.
        """
        session, transport = self._session, self._transport
        inbox = session.inbox
        session.ask(wish)
        try:
            if transport is None or self.lease is not _NOBODY or session.phase is not _OPEN:
                if session.wakes:
                    self._driver.act()
                await self._waits.receiver.wait()
                return None
            self.lease = _APP
            try:
                need: Need | None = _DATA
                if not (self._is_empty and self._intake.is_drained and session.outbox.is_empty):
                    await trio.lowlevel.checkpoint_if_cancelled()
                    need = self._step(transport)
                while need is not None:
                    if need is _DATA:
                        try:
                            await transport.wait_readable()
                        except Exception as error:  # noqa: BLE001 - it is told to the session
                            self._fail(error)
                        self._is_empty = False
                        self._reads = 0
                        if quickly and self._may_shorten and session.phase is _OPEN:
                            payload = None if inbox.is_shut else self._read_payload(transport)
                            if payload is not None:
                                return payload
                    else:
                        await self._let_others_run()
                    need = self._step(transport)
            finally:
                self.leave()
        finally:
            inbox.ask(Wish.NOTHING)
        return None

    def _step(self, transport: NonBlockingStream) -> Need | None:
        """Handle what has come, and read what is here; return what to wait for.

        That is more bytes or a turn of the other tasks, or None: the app need not wait.
        """
        session = self._session
        while True:
            need = _DATA
            if not self._intake.is_drained:
                need = session.advance(self._clock.current_time())
            # The app itself reads here: it need not be woken.
            if session.wakes > Wake.RECEIVER or session.outbox.is_corked:
                self._driver.act()
            if session.inbox.has_answer or session.phase is not _OPEN:
                return None
            if need is not _DATA:
                return need if need is Need.TURN else None
            if not self._read_nowait(transport):
                self._reads = 0
                return Need.DATA
            if self._is_turn_over():
                return Need.TURN

    def _is_turn_over(self) -> bool:
        """Count a read without a wait; return whether other tasks get their turn now."""
        self._reads = (self._reads + 1) % READS
        return self._reads == 0

    async def _wait_readable(self, transport: NonBlockingStream) -> None:
        try:
            await transport.wait_readable()
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._fail(error)
        self._is_empty = False
        self._reads = 0

    async def _let_others_run(self) -> None:
        """Give the other tasks a turn, and the writer as many as a pong needs to leave."""
        await trio.lowlevel.checkpoint()
        while self._session.intake.give_pong_a_turn():
            await trio.lowlevel.checkpoint()

    def leave(self) -> None:
        """Give the lease back: to a task that waits for a message, or to the reader task."""
        self.lease = _NOBODY
        waits = self._waits
        waits.receiver.wake()
        if self._is_called:
            self._work.wake()
        elif waits.ended.count or self._session.pings.waiting:
            self.call()
        elif self._is_watched and self._heartbeat is not None:
            self._left_in = self._heartbeat.tick
        else:
            self.note_away()

    def interrupt(self) -> None:
        """Wake the task of the app that reads; it then checks how far the session is."""
        if self.lease in {Lease.APP, Lease.CLOSER} and self._transport is not None:
            self._transport.interrupt()

    # ---- away --------------------------------------------------------------------------------

    def note_away(self) -> None:
        """Note that no task reads; if that lasts, the heartbeat makes the reader task read."""
        heartbeat = self._heartbeat
        if heartbeat is not None:
            self._left_in = heartbeat.tick
            if not self._is_watched:
                self._is_watched = heartbeat.watch(self._driver)

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Call the reader task if no task has read since before `tick`; return whether one reads.

        `away`: seconds that the app has been away then, at most.
        """
        if self.lease is Lease.NOBODY and not self._is_called:
            if self._left_in >= tick and self._session.is_open:
                return False
            self._intake.spare(away)
            self.call()
        self._is_watched = False
        return True

    # ---- in aclose() -------------------------------------------------------------------------

    async def lead_to_the_end(self) -> bool:
        """Read until the stream is closed, if no other task does; return whether it has waited.

        Afterwards the stream may still be open, until another task closes it: the phase tells.
        """
        session, transport = self._session, self._transport
        has_waited = False
        while self.lease is Lease.APP and session.phase is not Phase.OVER:
            self.interrupt()  # that task has been told, and leaves
            has_waited = True
            await trio.lowlevel.checkpoint()
        if transport is None or self.lease is not Lease.NOBODY or self._is_called:
            return has_waited
        self.lease = Lease.CLOSER
        try:
            while session.phase is not Phase.OVER:
                need = Need.END if self._intake.is_eof else Need.DATA
                if session.endpoint.closing.expects_frames and not self._intake.is_drained:
                    need = session.advance(self._clock.current_time())
                if session.wakes:
                    self._driver.act()
                if need is Need.END or need is Need.APP:
                    break
                if need is Need.TURN:
                    has_waited = True
                    await self._let_others_run()
                elif not self._read_nowait(transport):
                    has_waited = True
                    await self._wait_readable(transport)
                elif self._is_turn_over():
                    await trio.lowlevel.checkpoint()
        finally:
            self.lease = Lease.NOBODY
        return has_waited

    # ---- the task ----------------------------------------------------------------------------

    def call(self) -> None:
        """Call the reader task, which reads as soon as no other task does."""
        if not self._is_called:
            self._is_called = True
            self._driver.start_task("reader", self.run)
            self._work.wake()

    def call_if_idle(self) -> None:
        """Call the reader task unless a task reads already."""
        if self.lease is Lease.NOBODY:
            self.call()

    def wake(self) -> None:
        """Wake the reader task: the app took something, or asks for more."""
        self._work.wake()

    async def run(self) -> None:
        """Read while called, until nothing more will be read."""
        session, transport = self._session, self._transport
        try:
            while session.phase is not Phase.OVER:
                if not self._is_called or self.lease in {Lease.APP, Lease.CLOSER}:
                    await self._work.wait()
                    continue
                self.lease = Lease.TASK
                need = session.advance(self._clock.current_time())
                self._driver.act()
                if need is Need.END:
                    return
                if self._can_hand_over():
                    self._is_called = False
                    self.leave()
                elif need is Need.APP:
                    await self._work.wait()
                elif need is Need.TURN:
                    await self._let_others_run()
                elif transport is None:
                    await self._receive()
                elif not self._read_nowait(transport):
                    await self._wait_readable(transport)
                elif self._is_turn_over():
                    await trio.lowlevel.checkpoint()
        finally:
            if self.lease is Lease.TASK:
                self.lease = Lease.NOBODY

    async def _receive(self) -> None:
        """Wait for the next bytes of a stream that has to wait."""
        try:
            data = bytes(await self._stream.receive_some(READ_SIZE))
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._fail(error)
        else:
            self._session.receive_data(data, self._clock.current_time())

    def _can_hand_over(self) -> bool:
        """Return whether the app was given what it waits for, and can read for itself."""
        session = self._session
        return (
            self._transport is not None
            and session.inbox.is_receiver_waiting
            and bool(session.inbox.messages)
            and session.is_open
            and not (session.pings.waiting or self._waits.ended.count)
        )
