"""Bytes from the stream, through the endpoint, into the inbox: by whoever leads the reading.

While the app waits in `receive()` and the stream need not wait, it leads the reading itself, which
spares a task switch a message.  Otherwise the reader task does: over a stream that has to wait,
after the app has been away for a while, while a ping is out, and when the connection closes.
Neither waits for the write side.  The task stops reading while the inbox is full, and lets a
close or a violation of the peer wait until what came before it is answered, within deadlines of
its own.  Only `tasks` imports this module.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.connection.closed import tell_loss
from trio_wsendpoint.errors import PeerError, PolicyViolation, RateExceeded, UnexpectedEOF
from trio_wsendpoint.options import Limits, Timeouts
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.session.rates import PeerRate
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter

if TYPE_CHECKING:  # it makes readers
    from trio_wsendpoint.connection.tasks import Tasks

__all__ = ["Leader", "Reader"]

#: Bytes asked of the stream at a time.
CHUNK = 65536
#: Frames handled before other tasks get a turn.
BATCH = 64
#: Reads from a stream that always has more, before other tasks get a turn.
READS = 8
#: Times in a row that a message is looked for in vain, before it is waited for; and messages that
#: are then waited for without looking.  To look costs a fifth of what it costs to wait.
LOOKS = 16
DOUBT = 8
#: Times that the writer is let run for a pong before the answer to a further ping replaces it.
PONG_TURNS = 8
#: Bytes that a peer may send after its own Close frame before we stop reading them.
MAX_AFTER_CLOSE = 65536


class Leader(Enum):
    """Who reads: one at a time."""

    NOBODY = "nobody"
    APP = "the app, in receive()"
    TASK = "the reader task"


class _Need(Enum):
    """What the app has to wait for."""

    NOTHING = "there is something for it"
    DATA = "more bytes"
    TURN = "a turn of the other tasks"


# To look a member up costs more than to call a function, and these are looked up for each message.
_NOBODY, _APP, _TASK = Leader.NOBODY, Leader.APP, Leader.TASK
_DATA = _Need.DATA


class Reader:
    """Reads for one connection, whose `tasks` it belongs to.

    `is_peer_done` is whether nothing more is expected of the peer, `is_eof_seen` whether its
    bytes have ended.  `heard` is when the last ones came; while `is_paused` it is we who do not
    read.  `is_drained` is whether the endpoint has handled all that has come.
    """

    __slots__ = (
        "_clock",
        "_control_frames",
        "_control_rate",
        "_endpoint",
        "_in_vain",
        "_inbox",
        "_is_called",
        "_is_empty",
        "_is_watched",
        "_left_in",
        "_message_rate",
        "_pong_turns",
        "_reads",
        "_tasks",
        "_timeouts",
        "_work",
        "bytes_received",
        "doubt",
        "heard",
        "is_drained",
        "is_eof_seen",
        "is_paused",
        "is_peer_done",
        "leader",
    )

    def __init__(self, tasks: Tasks, limits: Limits, timeouts: Timeouts) -> None:
        self._tasks = tasks
        self._endpoint = tasks.endpoint
        self._inbox = tasks.inbox
        self._timeouts = timeouts
        self._control_rate = PeerRate(limits.control_rate)
        self._control_frames = 0  # how many of the endpoint's have been counted
        self._message_rate = None if limits.message_rate is None else PeerRate(limits.message_rate)
        self._pong_turns = 0  # that the pong which waits has been given
        self._reads = 0  # without a wait between them
        self.is_drained = tasks.endpoint.parser.is_drained
        self._clock = trio.lowlevel.current_clock()
        #: Messages that are not looked for before waiting, because the last time was in vain.
        may_try = tasks.non_blocking is not None and limits.message_rate is None
        self.doubt = 0 if may_try else sys.maxsize
        self._in_vain = 0  # times in a row that one was looked for
        self._is_watched = False  # by the heartbeat, because the app may be away
        self._left_in = 0  # the heartbeat's tick in which it went
        self._is_empty = False  # the stream most likely has no more at hand
        self._work = Waiter()  # the task waits here while it is not needed
        self._is_called = False  # the task is to lead, as soon as the app does not
        self.leader = Leader.NOBODY
        self.is_paused = False
        self.heard = tasks.opened_at
        self.bytes_received = 0
        self.is_peer_done = False
        self.is_eof_seen = False

    # ---- led by the app ----------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    def take_payload(self) -> str | bytes | None:
        """Return what the next message says, without waiting, if it is here and easy to take.

        That is what nearly every message is: at hand, whole, one plain frame.  It need not pass
        the inbox; whatever else there is, `wait_for_app` and the task handle.
        """
        tasks = self._tasks
        if self.leader is _TASK or self._message_rate is not None or not tasks.is_open:
            return None
        stream = tasks.non_blocking
        try:
            if not self.is_drained:
                payload = self._take_next_payload()
            elif stream is not None:
                payload = self._read_payload(stream)
                if payload is not None:
                    self._in_vain = 0
            else:
                return None
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
            self._fail(error)
            return None
        if payload is not None:
            if self._is_watched and tasks.heartbeat is not None:
                self._left_in = tasks.heartbeat.tick
            else:
                self._note_away(tasks)
        return payload

    def _take_next_payload(self) -> str | bytes | None:
        payload = self._endpoint.take_payload()
        if payload is not None:
            self.is_drained = self._endpoint.parser.is_drained
            self._inbox.handed_over = self._clock.current_time()
        return payload

    def _read_payload(self, stream: NonBlockingStream) -> str | bytes | None:
        """Read what is here; return what the next message says if that has come, and easy to take.

        Else what came is with the endpoint, for `_advance_for_app`.
        """
        endpoint = self._endpoint
        if endpoint.parser.remaining:
            return None  # what comes is the rest of a large one, which has a place of its own
        try:
            data = stream.receive_nowait(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(error)
            return None
        if not data:
            if data is None:
                self._is_empty = True
                self._in_vain += 1
                if self._in_vain >= LOOKS:
                    self.doubt = DOUBT
            else:
                self._take(data)
            return None
        payload = endpoint.take_payload(data)
        if payload is None:
            self._take(data)
            if len(data) == CHUNK:
                self._read_little_more(stream)
            return self._take_next_payload()
        self._note_bytes(len(data), CHUNK)
        self.is_drained = True
        self._inbox.handed_over = self.heard
        return payload

    def _read_little_more(self, stream: NonBlockingStream) -> None:
        """Read what a message lacks that is not much larger than what is read at a time."""
        lacking = self._endpoint.parser.lacking
        if 0 < lacking <= CHUNK:
            try:
                data = stream.receive_nowait(lacking)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._lose(error)
                return
            if data is not None:
                self._take(data)

    # One function and few calls: each message of a conversation passes here.
    @trio.lowlevel.enable_ki_protection
    async def wait_for_app(
        self, *, in_parts: bool = False, quickly: bool = False
    ) -> str | bytes | None:
        """Wait until there may be a message, or a part of one, or the connection has ended.

        For who wants no more than the payload of a message, `quickly` returns that if it did not
        have to pass the inbox.
        """
        inbox, tasks = self._inbox, self._tasks
        stream = tasks.non_blocking
        inbox.is_receiver_waiting = True
        inbox.is_message_wanted = not in_parts
        inbox.are_parts_wanted = in_parts
        try:
            # When writing has broken, the task reads what is left, to the end.
            if stream is None or self.leader is _TASK or not tasks.is_open:
                inbox.app.wake()
                await inbox.arrivals.wait()
                return None
            self.leader = _APP
            quickly = quickly and self._message_rate is None
            has_begun = in_parts and self._endpoint.incoming.partial_type is not None
            try:
                if (
                    self.is_drained
                    and self._is_empty
                    and not self._endpoint.has_frames
                    and tasks.writer.corked is None
                ):
                    need = _DATA  # all that can be done before waiting for more is done
                else:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    need = self._advance_for_app(has_begun)
                while need is not _Need.NOTHING:
                    if need is _DATA:
                        await stream.wait_readable()
                        self._is_empty = False
                        self._reads = 0
                        if quickly and not inbox.is_shut and tasks.is_open:
                            payload = self._read_payload(stream)
                            if payload is not None:
                                return payload
                    else:
                        await self._let_others_run()
                    need = self._advance_for_app(has_begun)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._lose(error)
            finally:
                self.leave()
        except Exception as error:  # noqa: BLE001 - a callback; what follows is passed over
            self._fail(error)
        finally:
            inbox.is_receiver_waiting = inbox.is_message_wanted = inbox.are_parts_wanted = False
        return None

    def _fail(self, error: Exception) -> None:
        self.is_peer_done = True
        self._tasks.crash(error)

    def leave(self) -> None:
        """Lead no longer; let the task do so at once if somebody else needs what comes."""
        tasks = self._tasks
        self.leader = _NOBODY
        if self._is_called:
            self._work.wake()
        elif tasks.is_reading_needed:
            self.call()
        elif self._is_watched and tasks.heartbeat is not None:
            self._left_in = tasks.heartbeat.tick
        else:
            self._note_away(tasks)

    def _note_away(self, tasks: Tasks) -> None:
        """Have the heartbeat see that the app comes back."""
        heartbeat = tasks.heartbeat
        if heartbeat is not None:
            self._left_in = heartbeat.tick
            if not self._is_watched:
                self._is_watched = True
                heartbeat.watch(tasks)

    def is_watch_over(self, tick: int, away: float) -> bool:
        """Have the task read if nobody has since before `tick`; return whether somebody does.

        `away` is the seconds that the app has been away then, at most.
        """
        if self.leader is _NOBODY and not self._is_called:
            if self._left_in >= tick:
                return False
            self.spare(away)
            self.call()
        self._is_watched = False
        return True

    def _advance_for_app(self, has_begun: bool) -> _Need:
        """Handle what has come, and read what is here; tell what to wait for."""
        tasks, inbox = self._tasks, self._inbox
        while True:
            progress = Progress.NEED_DATA if self.is_drained else self._pump()
            tasks.settle()
            if inbox.messages or inbox.is_shut or not tasks.is_open:
                return _Need.NOTHING
            if inbox.are_parts_wanted:
                incoming = self._endpoint.incoming
                if incoming.has_part or (incoming.partial_type is not None and not has_begun):
                    return _Need.NOTHING
            if progress is Progress.HELD:
                # All that came before has been taken, and the app asks for more: it has answered.
                self._endpoint.release_end()
            elif progress is not Progress.NEED_DATA:
                return _Need.TURN
            elif not self._receive_nowait():
                self._reads = 0
                return _Need.DATA
            elif self._end_read():
                return _Need.TURN

    def _end_read(self) -> bool:
        """Note a read without a wait; tell whether it is time to let others run."""
        self._reads = (self._reads + 1) % READS
        return self._reads == 0

    def _receive_nowait(self) -> bool:
        """Read what is here; return whether there was anything, the end and a loss included."""
        stream = self._tasks.non_blocking
        if stream is None or self._is_empty:
            self._is_empty = False
            return False
        # The larger part of a large message goes straight to where it will stay.
        room: memoryview | None = None
        if self._endpoint.parser.remaining > CHUNK and self._inbox.is_message_wanted:
            room = self._endpoint.get_room()
        try:
            if room is not None:
                return self._receive_in_room(stream, room)
            data = stream.receive_nowait(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(error)
            return True
        if data is None:
            return False
        self._take(data)
        return True

    def _receive_in_room(self, stream: NonBlockingStream, room: memoryview | None) -> bool:
        """Read into the endpoint's room while there is some; return whether anything came.

        No more at once than `READS` times `CHUNK` and one room: others want their turn.
        """
        came = 0
        while room is not None:
            with room:
                asked = len(room)
                size = stream.receive_into_nowait(room)
            if not size:
                if size == 0:
                    self._take(b"")
                else:
                    self._is_empty = came > 0
                return came > 0 or size == 0
            self._note_bytes(size, asked)
            self._endpoint.receive_in_room(size)
            came += size
            room = None if size < asked or came > READS * CHUNK else self._endpoint.get_room()
        return True

    # ---- led by the task ---------------------------------------------------------------------

    def call(self) -> None:
        """Have the task read, as soon as the app does not."""
        if not self._is_called:
            self._is_called = True
            self._tasks.start_task("reader", self.run)
            self._work.wake()

    def end(self) -> None:
        """Have the task read to the end, unless that has been seen: the connection closes."""
        is_over = self.is_eof_seen and not self._endpoint.closing.expects_frames
        if is_over and self.leader is not Leader.TASK:
            self.is_peer_done = True
            self._tasks.wake_closer()
        else:
            self.call()

    async def run(self) -> None:
        """Read while called, until the bytes end, or the connection is closed."""
        try:
            await self._read_messages()
        except Exception as error:  # noqa: BLE001 - a callback; what follows is still passed over
            self._tasks.crash(error)
        finally:
            self.is_peer_done = True
            self._tasks.settle()
            self._tasks.wake_closer()
            self._tasks.wake_all()  # the closing may have begun before, when writing broke
        await self.read_to_the_end()

    async def _read_messages(self) -> None:
        """Read until nothing more is expected of the peer."""
        while not self.is_peer_done:
            if self.leader is Leader.APP or not self._is_called:
                await self._work.wait()
                continue
            if self.leader is Leader.NOBODY:
                self.leader = Leader.TASK
            progress = self._pump()
            if self._inbox.are_parts_wanted and self._endpoint.incoming.partial_type is not None:
                self._inbox.arrivals.wake()
            self._tasks.settle()
            if progress is Progress.ENDED:
                return
            if self._can_hand_over:
                self._is_called = False
                self.leave()
            elif progress is Progress.NEED_DATA:
                self._take_or_lose(await self._receive())
            elif progress is Progress.HELD:
                await self._wait_for_answers()
                self._endpoint.release_end()
            elif self._is_full:
                await self._wait_for_room()
            else:
                await self._let_others_run()

    @property
    def _can_hand_over(self) -> bool:
        """Whether the app has been given what it waits for, and may lead from now on."""
        return (
            self._inbox.is_receiver_waiting
            and self._tasks.non_blocking is not None
            and bool(self._inbox.messages)
            and self._tasks.is_open
            and not self._tasks.is_reading_needed
        )

    async def _receive(self) -> bytes | Exception:
        """Return the next bytes, `b""` at their end, or what broke the stream."""
        stream = self._tasks.non_blocking
        try:
            if stream is None:
                return bytes(await self._tasks.stream.receive_some(CHUNK))
            if self._end_read():
                await trio.lowlevel.checkpoint()
            while (data := stream.receive_nowait(CHUNK)) is None:
                self._reads = 0
                await stream.wait_readable()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return error
        return data

    def _take_or_lose(self, data: bytes | Exception) -> None:
        if isinstance(data, Exception):
            self._lose(data)
        else:
            self._take(data)

    async def _wait_for_room(self) -> None:
        """Stop reading until the app has taken enough; the peer is not judged meanwhile."""
        self.is_paused = True
        began = trio.current_time()
        try:
            while self._is_full:
                await self._inbox.app.wait()
        finally:
            self.is_paused = False
            self.heard = trio.current_time()
            self.spare(self.heard - began)

    async def _wait_for_answers(self) -> None:
        """Let a close or a violation wait until what came before it has been answered.

        That is, until the app has taken every message and asks for another; within
        `Timeouts.close`, and `Timeouts.answer` since it was given the last one.
        """
        inbox = self._inbox
        self.is_paused = True
        with trio.move_on_after(self._timeouts.close):
            while (inbox.messages or inbox.is_part_left) and self._endpoint.held is not None:
                await inbox.app.wait()
            with trio.move_on_at(inbox.handed_over + self._timeouts.answer):
                while not inbox.is_receiver_waiting and self._endpoint.held is not None:
                    await inbox.app.wait()
        self.is_paused = False

    async def read_to_the_end(self) -> None:
        """Pass over what comes after the end, so that our Close frame is not lost to a reset."""
        passed = 0
        peer_closed = self._endpoint.closing.received is not None
        while not self.is_eof_seen and not (peer_closed and passed > MAX_AFTER_CLOSE):
            data = await self._receive()
            if isinstance(data, Exception) or not data:
                break
            passed += len(data)
        self.is_eof_seen = True
        self._tasks.wake_closer()

    # ---- both --------------------------------------------------------------------------------

    def _pump(self) -> Progress:
        """Handle frames that have come: a batch of them at most, and no more than there is room.

        A batch ends at a ping, so that its pong leaves before the next one replaces it; and
        with as much inflated as is read at a time.
        """
        endpoint, inbox, incoming = self._endpoint, self._inbox, self._endpoint.incoming
        if self._pong_turns and not endpoint.is_pong_waiting:
            self._pong_turns = 0
        enough = incoming.inflated + CHUNK
        for _ in range(BATCH):
            if self._is_full or incoming.inflated >= enough:
                return Progress.HANDLED
            try:
                progress = endpoint.step()
            except PeerError:
                return Progress.ENDED
            if isinstance(progress, Message):
                if self._is_in_rate():
                    inbox.put(progress)
                if endpoint.parser.is_drained and endpoint.held is None and not self._is_full:
                    self.is_drained = True
                    return Progress.NEED_DATA
                continue
            if endpoint.control_frames != self._control_frames:
                self._control_frames = endpoint.control_frames
                self._check_control_rate()
            if progress is not Progress.HANDLED or self._can_pong_leave:
                self.is_drained = progress is Progress.NEED_DATA
                return progress
        return Progress.HANDLED

    def _check_control_rate(self) -> None:
        # A Close frame that is one too many is the last anyway.
        if not self._control_rate.allow(trio.current_time()) and self._endpoint.held is None:
            self._endpoint.refuse(
                PolicyViolation(f"more than {self._control_rate.limit} control frames in a second")
            )

    def _is_in_rate(self) -> bool:
        rate = self._message_rate
        if rate is None or rate.allow(trio.current_time()):
            return True
        self._endpoint.refuse(RateExceeded(f"more than {rate.limit} messages in a second"))
        return False

    def spare(self, seconds: float) -> None:
        """Allow the peer what it may have sent in these seconds, in which nobody read."""
        for rate in (self._control_rate, self._message_rate):
            if rate is not None:
                rate.spare(seconds)

    async def _let_others_run(self) -> None:
        """Give the other tasks a turn, and the writer as many as a pong needs to leave.

        That is not waiting for the peer: if it does not read, the turns are used up once, and
        then the latest pong wins.
        """
        await trio.lowlevel.checkpoint()
        while self._can_pong_leave:
            self._pong_turns += 1
            await trio.lowlevel.checkpoint()

    @property
    def _can_pong_leave(self) -> bool:
        """Whether a pong waits for nothing but the writer's turn, as far as we know."""
        return self._endpoint.is_pong_waiting and self._pong_turns < PONG_TURNS

    def _take(self, data: bytes) -> None:
        """Give what has come to the endpoint; `b""` is the end."""
        if data:
            self._note_bytes(len(data), CHUNK)
            self._endpoint.receive_data(data)
        else:
            self._endpoint.receive_eof()
            self.is_drained = False
            self.is_eof_seen = True
            self._tasks.wake_closer()

    def _note_bytes(self, size: int, asked: int) -> None:
        # Any byte shows that the peer lives, whether or not it is a pong.
        self.heard = self._clock.current_time()
        if self._endpoint.has_asked:
            self._endpoint.reset_heartbeat()
        self.bytes_received += size
        self.is_drained = False
        # Most likely there is no more, and to ask costs as much as to wait.
        self._is_empty = size < asked

    def _lose(self, error: Exception) -> None:
        lost = UnexpectedEOF(tell_loss(error))
        lost.__cause__ = error
        self._endpoint.fail(lost)
        self.is_drained = False  # what is held is to be handled
        self.is_eof_seen = True
        self._tasks.settle()
        self._tasks.wake_closer()

    @property
    def _is_full(self) -> bool:
        return self._inbox.is_full and self._endpoint.is_open
