"""The reader task: bytes from the stream, through the endpoint, into the inbox.

It never waits for the write side.  It stops reading while the inbox is full, and lets a close or
a violation of the peer wait until what came before it is answered, within deadlines of its own.
Only `tasks` imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.closed import tell_loss
from trio_wsendpoint.errors import PeerError, PolicyViolation, RateExceeded, UnexpectedEOF
from trio_wsendpoint.options import Limits, Timeouts
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.rates import PeerRate

if TYPE_CHECKING:  # it makes readers
    from trio_wsendpoint.tasks import Tasks

__all__ = ["Reader"]

#: Bytes asked of the stream at a time.
CHUNK = 65536
#: Frames handled before other tasks get a turn.
BATCH = 64
#: Times that the writer is let run for a pong before the answer to a further ping replaces it.
PONG_TURNS = 8
#: Bytes that a peer may send after its own Close frame before we stop reading them.
MAX_AFTER_CLOSE = 65536


class Reader:
    """Reads for one connection, whose `tasks` it belongs to.

    `peer_done` is set when nothing more is expected of the peer, `eof_seen` when its bytes have
    ended.  `heard` is when the last ones came; while `is_paused` it is we who do not read.
    """

    def __init__(self, tasks: Tasks, limits: Limits, timeouts: Timeouts) -> None:
        self._tasks = tasks
        self._stream = tasks.stream
        self._endpoint = tasks.endpoint
        self._inbox = tasks.inbox
        self._timeouts = timeouts
        self._control_rate = PeerRate(limits.control_rate)
        self._control_frames = 0  # how many of the endpoint's have been counted
        self._message_rate = None if limits.message_rate is None else PeerRate(limits.message_rate)
        self._pong_turns = 0  # that the pong which waits has been given
        self.is_paused = False
        self.heard = trio.current_time()
        self.bytes_received = 0
        self.peer_done = trio.Event()
        self.eof_seen = trio.Event()

    async def run(self) -> None:
        """Read until the bytes end, or the connection is closed."""
        try:
            await self._read_messages()
        except Exception as error:  # noqa: BLE001 - a callback; what follows is still passed over
            self._tasks.crash(error)
        finally:
            self.peer_done.set()
            self._tasks.settle()
            self._tasks.wake_all()  # the closing may have begun before, when writing broke
        await self._read_to_the_end()

    async def _read_messages(self) -> None:
        """Read until nothing more is expected of the peer."""
        while True:
            progress = self._pump()
            if self._inbox.are_parts_wanted and self._endpoint.incoming.partial_type is not None:
                self._inbox.arrivals.unpark()
            self._tasks.settle()
            if progress is Progress.ENDED:
                return
            if progress is Progress.NEED_DATA:
                await self._receive_some()
            elif progress is Progress.HELD:
                await self._wait_for_answers()
                self._endpoint.release_end()
            elif self._is_full:
                await self._wait_for_room()
            else:
                await self._let_others_run()

    def _pump(self) -> Progress:
        """Handle frames that have come: a batch of them at most, and no more than there is room.

        A batch ends at a ping, so that its pong leaves before the next one replaces it; and
        with as much inflated as is read at a time.
        """
        if not self._endpoint.is_pong_waiting:
            self._pong_turns = 0
        enough = self._endpoint.incoming.inflated + CHUNK
        for _ in range(BATCH):
            if self._is_full or self._endpoint.incoming.inflated >= enough:
                return Progress.HANDLED
            try:
                progress = self._endpoint.step()
            except PeerError:
                return Progress.ENDED
            if self._endpoint.control_frames != self._control_frames:
                self._control_frames = self._endpoint.control_frames
                self._check_control_rate()
            if isinstance(progress, Message):
                if self._is_in_rate():
                    self._tasks.activity += 1
                    self._inbox.put(progress)
            elif progress is not Progress.HANDLED or self._can_pong_leave:
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

    async def _receive_some(self) -> None:
        try:
            data = await self._stream.receive_some(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(error)
            return
        if data:
            # Any byte shows that the peer lives, whether or not it is a pong.
            self.heard = trio.current_time()
            self._endpoint.reset_heartbeat()
            self.bytes_received += len(data)
            self._endpoint.receive_data(data)
        else:
            self._endpoint.receive_eof()
            self.eof_seen.set()

    def _lose(self, error: Exception) -> None:
        lost = UnexpectedEOF(tell_loss(error))
        lost.__cause__ = error
        self._endpoint.fail(lost)
        self.eof_seen.set()

    async def _wait_for_room(self) -> None:
        """Stop reading until the app has taken enough; the peer is not judged meanwhile."""
        self.is_paused = True
        began = trio.current_time()
        try:
            while self._is_full:
                await self._inbox.app.park()
        finally:
            self.is_paused = False
            self.heard = trio.current_time()
            for rate in (self._control_rate, self._message_rate):
                if rate is not None:
                    rate.spare(self.heard - began)

    async def _wait_for_answers(self) -> None:
        """Let a close or a violation wait until what came before it has been answered.

        That is, until the app has taken every message and asks for another; within
        `Timeouts.close`, and `Timeouts.answer` since it was given the last one.
        """
        self.is_paused = True
        with trio.move_on_after(self._timeouts.close):
            while (
                self._inbox.messages or self._inbox.is_part_left
            ) and self._endpoint.held is not None:
                await self._inbox.app.park()
            with trio.move_on_at(self._inbox.handed_over + self._timeouts.answer):
                while not self._inbox.is_receiver_waiting and self._endpoint.held is not None:
                    await self._inbox.app.park()
        self.is_paused = False

    async def _read_to_the_end(self) -> None:
        """Pass over what comes after the end, so that our Close frame is not lost to a reset."""
        passed = 0
        peer_closed = self._endpoint.closing.received is not None
        while not self.eof_seen.is_set() and not (peer_closed and passed > MAX_AFTER_CLOSE):
            try:
                data = await self._stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            if not data:
                break
            passed += len(data)
        self.eof_seen.set()

    @property
    def _is_full(self) -> bool:
        return self._inbox.is_full and self._endpoint.is_open
