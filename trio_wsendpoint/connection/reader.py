"""Bytes from the stream into the session: by the reader task, or by the app that waits for them.

While the app waits in `receive()` and the stream need not wait, that call reads: it spares a task
switch a message (1.6 to 1.9 times cheaper).  In all other cases the reader task reads: over a
stream that has to wait, after the app has been away for a while, while a ping is out, and when
the connection closes and no task is in `aclose()`.  Neither waits for the write side.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from enum import Enum

import trio

from trio_wsendpoint.connection.waits import Waits
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.intake import READ_SIZE
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Need, Session
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Lease", "Reader"]

#: Reads from a stream that always has more, before other tasks get a turn.
READS = 8
#: Looks for a message in succession that find none, after which the next `DOUBT` messages are
#: waited for without a look.  A look costs a fifth of what it costs to wait.
LOOKS = 16
DOUBT = 8

_STREAM_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError)


class Lease(Enum):
    """Which task reads: one at a time.

    `APP`: the one that waits in `receive()`.  `CLOSER`: the one that waits in `aclose()`.
    """

    __hash__ = object.__hash__

    NOBODY = "no task"
    APP = "the app, in receive()"
    CLOSER = "the app, in aclose()"
    TASK = "the reader task"


class Reader:
    """Reads for one connection.

    `act` does what the session asks for, `start` starts the task, `watch` makes the heartbeat ask
    `is_watch_over`.  `lease`: which task reads; each takes it here and gives it back.
    """

    __slots__ = (
        "_act",
        "_clock",
        "_doubt",
        "_is_called",
        "_is_empty",
        "_left_in",
        "_misses",
        "_reads",
        "_session",
        "_start",
        "_stream",
        "_transport",
        "_waits",
        "_watch",
        "_work",
        "lease",
    )

    def __init__(
        self,
        session: Session,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        waits: Waits,
        *,
        act: Callable[[], None],
        start: Callable[[str, Callable[[], Awaitable[None]]], None],
        watch: Callable[[], int | None],
    ) -> None:
        self._session = session
        self._stream = stream
        self._transport = transport
        self._waits = waits
        self._act = act
        self._start = start
        self._watch = watch
        self._clock = trio.lowlevel.current_clock()
        self._work = Waiter()  # the task waits here while it has nothing to do
        self.lease = Lease.NOBODY
        self._is_called = False  # the task is to read, as soon as no other does; set by `call`
        # A read that came back short left the stream empty: wait before reading again.
        self._is_empty = False
        self._reads = 0  # without a wait between them
        may_look = transport is not None and session.intake.may_shorten
        self._doubt = 0 if may_look else sys.maxsize  # messages to wait for without a look
        self._misses = 0  # looks in succession that found none
        self._left_in: int | None = None  # the heartbeat's tick in which the app went away

    # ---- without waiting ---------------------------------------------------------------------

    def may_look(self) -> bool:
        """Return whether to look for a message before waiting; count one that is not looked for."""
        if self._doubt and self._session.intake.is_drained and not self._session.inbox.messages:
            self._doubt -= 1
            return False
        return True

    def take_payload(self) -> str | bytes | None:
        """Return the next message's payload if it is here and is one plain frame.

        Nearly every message is.  It passes neither the inbox nor another task.
        """
        session, intake = self._session, self._session.intake
        if self.lease is Lease.TASK or not intake.may_shorten or not session.is_open:
            return None
        if not intake.is_drained:
            payload = session.take_payload(None, self._clock.current_time())
        elif self._transport is not None:
            payload = self._read_payload(self._transport)
            if payload is not None:
                self._misses = 0
        else:
            return None
        if payload is not None:
            self.note_away()
        elif session.has_wakes:
            self._act()
        return payload

    def _read_payload(self, transport: NonBlockingStream) -> str | bytes | None:
        """Read what is here; return the next message's payload if that is all of it.

        What came otherwise is with the session.
        """
        session = self._session
        if session.intake.is_in_payload:
            return None  # what comes is the rest of a large one, which has a place of its own
        data = self._try_read(transport, READ_SIZE)
        if not data:
            if data is None:
                self._miss()
            else:
                session.receive_data(data, self._clock.current_time())
            return None
        now = self._clock.current_time()
        self._is_empty = len(data) < READ_SIZE
        payload = session.take_payload(data, now)
        if payload is None:
            session.receive_data(data, now)
            if not self._is_empty and (lacking := session.intake.lacking):
                more = self._try_read(transport, lacking)
                if more is not None:
                    session.receive_data(more, now)
            payload = session.take_payload(None, now)
        return payload

    def _miss(self) -> None:
        self._is_empty = True
        self._misses += 1
        if self._misses >= LOOKS:
            self._doubt = DOUBT

    def _try_read(self, transport: NonBlockingStream, most: int) -> bytes | None:
        """Return what is here; None if nothing is, or if the stream failed."""
        try:
            return transport.receive_nowait(most)
        except _STREAM_ERRORS as error:
            self._session.lose(error, self._clock.current_time())
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
            self._fail(error)
        return None

    def _fail(self, error: Exception) -> None:
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
            except _STREAM_ERRORS as error:
                session.lose(error, self._clock.current_time())
                return True
            except Exception as error:  # noqa: BLE001 - of a stream that is no good
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
        """Wait until there may be what the app wishes for, or the connection has ended.

        `quickly`: return a payload that need not pass the inbox, if the app wants no more of a
        message than that.
        """
        session, transport = self._session, self._transport
        session.ask(wish)
        try:
            if transport is None or self.lease is not Lease.NOBODY or not session.is_open:
                if session.has_wakes:
                    self._act()
                await self._waits.receiver.wait()
                return None
            self.lease = Lease.APP
            try:
                return await self._lead(transport, quickly and session.intake.may_shorten)
            finally:
                self.leave()
        finally:
            session.ask(Wish.NOTHING)

    async def _lead(self, transport: NonBlockingStream, quickly: bool) -> str | bytes | None:
        session = self._session
        if self._is_empty and session.intake.is_drained and session.outbox.is_empty:
            need = Need.DATA  # all that can be done before waiting is done
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
            need = self._step(transport)
        while not session.inbox.has_answer and session.is_open:
            if need is Need.DATA:
                await self._wait_readable(transport)
                if quickly and not session.inbox.is_shut and session.is_open:
                    payload = self._read_payload(transport)
                    if payload is not None:
                        return payload
            elif need is Need.TURN:
                await self._let_others_run()
            else:
                return None
            need = self._step(transport)
        return None

    def _step(self, transport: NonBlockingStream) -> Need:
        """Handle what has come, and read what is here; return what to wait for."""
        session = self._session
        while True:
            need = Need.DATA
            if not session.intake.is_drained:
                need = session.advance(self._clock.current_time())
            if session.has_wakes:
                self._act()
            if need is not Need.DATA or session.inbox.has_answer or not session.is_open:
                return need
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
        except _STREAM_ERRORS as error:
            self._session.lose(error, self._clock.current_time())
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
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
        self.lease = Lease.NOBODY
        self._waits.receiver.wake()
        if self._is_called:
            self._work.wake()
        elif self._session.pings.waiting or self._waits.ended.count:
            self.call()
        else:
            self.note_away()

    def interrupt(self) -> None:
        """Wake the task that reads for the app, which looks again."""
        if self.lease in {Lease.APP, Lease.CLOSER} and self._transport is not None:
            self._transport.interrupt()

    # ---- away --------------------------------------------------------------------------------

    def note_away(self) -> None:
        """Note that the app has gone to do something else, from which it may not come back soon."""
        self._left_in = self._watch()

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Call the task if no task has read since before `tick`; return whether one reads.

        `away`: seconds that the app has been away then, at most.
        """
        if self.lease is not Lease.NOBODY or self._is_called:
            return True
        if self._left_in is not None and self._left_in >= tick and self._session.is_open:
            return False
        self._session.intake.spare(away)
        self.call()
        return True

    # ---- in aclose() -------------------------------------------------------------------------

    async def lead_to_the_end(self) -> None:
        """Read until the stream is closed, if no other task does; return when it may be closed.

        The stream may be closed by another task before: look at the phase.
        """
        session, transport = self._session, self._transport
        while self.lease is Lease.APP and session.phase is not Phase.OVER:
            self.interrupt()  # that task has been told, and leaves
            await trio.lowlevel.checkpoint()
        if transport is None or self.lease is not Lease.NOBODY or self._is_called:
            return
        self.lease = Lease.CLOSER
        try:
            while session.phase is not Phase.OVER:
                need = session.advance(self._clock.current_time())
                self._act()
                if need is Need.END or need is Need.APP:
                    return
                if need is Need.TURN:
                    await self._let_others_run()
                elif not self._read_nowait(transport):
                    await self._wait_readable(transport)
                elif self._is_turn_over():
                    await trio.lowlevel.checkpoint()
        finally:
            self.lease = Lease.NOBODY

    # ---- the task ----------------------------------------------------------------------------

    def call(self) -> None:
        """Let the task read, as soon as no other does."""
        if not self._is_called:
            self._is_called = True
            self._start("reader", self.run)
            self._work.wake()

    def call_if_idle(self) -> None:
        """Let the task read if no task does."""
        if self.lease is Lease.NOBODY:
            self.call()

    def wake(self) -> None:
        """Let the task look again: the app took something, or asks for more."""
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
                self._act()
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
        except _STREAM_ERRORS as error:
            self._session.lose(error, self._clock.current_time())
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
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
