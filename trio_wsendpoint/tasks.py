"""The tasks of one connection, and the state that they share.

* The **reader** feeds the endpoint and fills the inbox.  It never waits for the write side.
* The **writer** drains the write queue.  Nothing else writes to the stream.
* The **heartbeat** pings a silent peer, and gives it up after `max_pings`.
* The **closer** is started when the connection begins to close, by whichever side; it sees to
  the end within `Timeouts.close`, closes the stream whatever happens, and wakes everyone.

Each runs in a shielded cancel scope of its own, so that cancelling the app does not tear a frame;
`abort()` ends all of them at once, and each of their waits has a deadline of its own.
None of them raises an `Exception`: a bug, or a callback that raises, is logged once and closes
this connection with 1011.

Only `connection` imports this module.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import outcome
import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.closed import (
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    is_clean,
)
from trio_wsendpoint.errors import PeerError, PolicyViolation, RateExceeded, UnexpectedEOF
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.closing import State
from trio_wsendpoint.protocol.endpoint import ClientEndpoint, Endpoint
from trio_wsendpoint.protocol.frames import Frame, PingFrame, PongFrame
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.rates import RateLimit

__all__ = ["MESSAGE_OVERHEAD", "Ping", "Tasks"]

#: What a waiting message counts beside its payload, in bytes, so that empty ones count too.
MESSAGE_OVERHEAD = 128
#: Bytes asked of the stream at a time, and bytes joined into one write.
CHUNK = 65536
#: Bytes given at a time to a stream that does not say how much of them the peer has taken.
PIECE = 16384
#: Frames handled before other tasks get a turn.
BATCH = 64
#: Times that the writer is let run for a pong before the answer to a further ping replaces it.
PONG_TURNS = 8
#: Times that the writer is let run for the goodbye of a cancelled owner.
GOODBYE_TURNS = 6
#: Seconds without a message after which compression frees what it can make again.
IDLE = 60.0
#: Bytes that a peer may send after its own Close frame before we stop reading them.
MAX_AFTER_CLOSE = 65536


class PeerRate(RateLimit):
    """How often the peer may do something, which it may have done while we did not read."""

    __slots__ = ("_spared",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._spared = 0.0

    def spare(self, seconds: float) -> None:
        """Allow what the peer may have done in these seconds, whenever it is read."""
        self._spared += seconds * self.limit

    def allow(self, now: float, count: int = 1) -> bool:
        """Note `count` more at the time `now`; return whether they are within limits."""
        if super().allow(now, count):
            return True
        self._spared -= count
        return self._spared >= 0


class Ping:
    """A ping that a task waits for: when it left, which one left last, what became of it."""

    __slots__ = ("done", "later", "result", "started")

    def __init__(self) -> None:
        self.started: float | None = None
        #: The payload of the last ping that has left after it, whoever sent that.
        self.later: bytes | None = None
        self.done = trio.Event()
        self.result: outcome.Outcome[float] | None = None

    def settle(self, result: outcome.Outcome[float]) -> None:
        """Wake the task that waits."""
        self.result = result
        self.done.set()


class Tasks:
    """What runs behind one `Connection`."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        endpoint: Endpoint,
        *,
        limits: Limits,
        timeouts: Timeouts,
        heartbeat: Heartbeat | None,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self.stream = stream
        self.endpoint = endpoint
        self.limits = limits
        self.timeouts = timeouts
        self.heartbeat = heartbeat
        self.logger = logger
        endpoint.pong_listener = self.answer_ping

        self.inbox: deque[Message] = deque()
        self.inbox_bytes = 0
        #: The app called `aclose()`, or left the block of the connection.
        self.is_closed_locally = False
        #: A task is waiting in `receive()`.
        self.is_receiver_waiting = False
        #: A whole message is wanted: one that is coming in may be joined up to the limit.
        self.is_message_wanted = False
        #: A `receive_stream()` is open: it takes what there is of a message that is coming in.
        self.is_streaming = False
        #: When `receive()` last handed over a message.
        self.handed_over = -float("inf")
        self.pings: dict[bytes, Ping] = {}
        self.round_trip: float | None = None
        #: Counts messages either way, to tell whether there were any.
        self.activity = 0
        self.bytes_sent = 0
        self.bytes_received = 0

        self.messages = ParkingLot()  # receive() waits here for a message or the end
        self.room = ParkingLot()  # send() waits here for its turn, and room in the write queue
        self.chunk_room = ParkingLot()  # the one that is sending in chunks waits here for room
        self.app = ParkingLot()  # the reader waits here for the app to take messages
        self.work = ParkingLot()  # the writer waits here for something to write
        self.ended = trio.Event()  # the stream is closed

        self._failure: Exception | None = None
        self._write_error: Exception | None = None
        self._control_rate = PeerRate(limits.control_rate)
        self._control_frames = 0  # how many of the endpoint's have been counted
        self._message_rate = None if limits.message_rate is None else PeerRate(limits.message_rate)
        self._are_parts_wanted = False
        self._is_paused = False
        self._pong_turns = 0  # that the pong which waits has been given
        self._is_closing = False
        self._heard = 0.0
        self._seen_activity = 0
        self._active = 0.0
        self._nursery: trio.Nursery | None = None
        self._scopes: list[trio.CancelScope] = []
        self._patience = trio.CancelScope(shield=True)
        self._close_written = trio.Event()
        self._peer_done = trio.Event()
        self._eof_seen = trio.Event()

    def start(self, nursery: trio.Nursery) -> None:
        """Start the tasks in `nursery`."""
        self._nursery = nursery
        self._heard = self._active = trio.current_time()
        nursery.start_soon(self._run, self._read, name="trio_wsendpoint reader")
        nursery.start_soon(self._run, self._write, name="trio_wsendpoint writer")
        if self.heartbeat is not None or self.endpoint.extension is not None:
            nursery.start_soon(self._run, self._beat, name="trio_wsendpoint heartbeat")

    async def _run(self, body: Callable[[], Awaitable[None]]) -> None:
        with trio.CancelScope(shield=True) as scope:
            self._scopes.append(scope)
            if self.ended.is_set():
                return
            try:
                await body()
            except Exception as error:  # noqa: BLE001 - the one place where bugs become 1011
                self._crash(error)

    def _crash(self, error: Exception) -> None:
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
        if self.endpoint.get_write_queue_size():
            self.work.unpark()
        if self._is_closing or (self.endpoint.is_open and self._write_error is None):
            return
        self._is_closing = True
        self.work.unpark()
        self.wake_all()
        if self._nursery is not None:
            self._nursery.start_soon(self._close, name="trio_wsendpoint closer")

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways."""
        return not self._is_closing

    def wake_all(self) -> None:
        """Let everyone who waits for something look again."""
        self.messages.unpark_all()
        self.room.unpark_all()
        self.chunk_room.unpark_all()
        self.app.unpark_all()

    def abort(
        self, why: str = "the connection was aborted", cause: Exception | None = None
    ) -> None:
        """Stop being patient: close the stream now.  Safe at any time, in any task."""
        self._patience.cancel()
        aborted = UnexpectedEOF(why)
        aborted.__cause__ = cause
        self.endpoint.fail(aborted)
        self.settle()

    async def say_goodbye(self) -> None:
        """End a connection whose owner was cancelled: tell the peer if that takes no waiting."""
        self.is_closed_locally = True
        self.discard_inbox()
        if self.endpoint.is_open:
            self.endpoint.close(CloseCode.ENDPOINT_UNAVAILABLE)
        self.settle()
        with trio.CancelScope(shield=True):
            # The writer gets a few turns; if the stream takes the frame at once, they suffice.
            for _ in range(GOODBYE_TURNS):
                await trio.lowlevel.checkpoint()
            self.abort()
            await self.ended.wait()

    def take(self) -> Message | None:
        """Take the oldest message out of the inbox, or None."""
        if not self.inbox:
            return None
        message = self.inbox.popleft()
        self.inbox_bytes -= message.held_size + MESSAGE_OVERHEAD
        self.is_message_wanted = False
        self.handed_over = trio.current_time()
        self.app.unpark_all()
        return message

    def take_part(self) -> bytes:
        """Take what there is of the message that is coming in, when none is before it."""
        part = self.endpoint.incoming.take_part()
        if part:
            self.handed_over = trio.current_time()
            self.app.unpark_all()
        return part

    def want_message(self) -> None:
        """Let a message that is coming in be joined to its end: somebody has asked for one."""
        self.is_message_wanted = True
        self.app.unpark_all()

    async def wait_for_message(self, *, in_parts: bool = False) -> None:
        """Wait until there may be a message, or a part of one, or the connection has ended."""
        self.is_receiver_waiting = True
        self.is_message_wanted = not in_parts
        self._are_parts_wanted = in_parts
        self.app.unpark_all()
        try:
            await self.messages.park()
        finally:
            self.is_receiver_waiting = False
            self.is_message_wanted = False
            self._are_parts_wanted = False

    def discard_inbox(self) -> None:
        """Forget what was received and not read: after a local close nobody will."""
        self.inbox.clear()
        self.inbox_bytes = 0
        self.app.unpark_all()

    def error(self, *, sending: bool = False, is_cut_short: bool = False) -> ConnectionClosed:
        """Make the exception that says how the connection ended.

        A close in order is none for who has something to send, or half a message.
        """
        closing = self.endpoint.closing
        told = [] if closing.is_open else [closing.explain()]
        if self._failure is not None:
            told.insert(0, f"internal error: {self._failure!r}")
        elif self._write_error is not None:
            told.insert(0, _tell_loss(self._write_error))
        facts = "; ".join(told)
        made: ConnectionClosed
        if self.is_closed_locally:
            made = ConnectionClosedLocally(facts, closing)
        elif is_clean(closing) and not (sending or is_cut_short) and self._failure is None:
            made = ConnectionEnded(facts, closing)
        else:
            made = ConnectionLost(facts, closing)
        made.__cause__ = self._failure or closing.error or self._write_error
        return made

    # ---- the reader --------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._read_messages()
        except Exception as error:  # noqa: BLE001 - a callback; what follows is still passed over
            self._crash(error)
        finally:
            self._peer_done.set()
            self.settle()
            self.wake_all()  # the closing may have begun before, when writing broke
        await self._read_to_the_end()

    async def _read_messages(self) -> None:
        """Read until nothing more is expected of the peer."""
        while True:
            progress = self._pump()
            if self._are_parts_wanted and self.endpoint.incoming.partial_type is not None:
                self.messages.unpark()
            self.settle()
            if progress is Progress.ENDED:
                return
            if progress is Progress.NEED_DATA:
                await self._receive_some()
            elif progress is Progress.HELD:
                await self._wait_for_answers()
                self.endpoint.release_end()
            elif self._is_full:
                await self._wait_for_room()
            else:
                await self._let_others_run()

    def _pump(self) -> Progress:
        """Handle frames that have come: a batch of them at most, and no more than there is room.

        A batch ends at a ping, so that its pong leaves before the next one replaces it; and
        with as much inflated as is read at a time.
        """
        if not self.endpoint.is_pong_waiting:
            self._pong_turns = 0
        enough = self.endpoint.incoming.inflated + CHUNK
        for _ in range(BATCH):
            if self._is_full or self.endpoint.incoming.inflated >= enough:
                return Progress.HANDLED
            try:
                progress = self.endpoint.step()
            except PeerError:
                return Progress.ENDED
            if self.endpoint.control_frames != self._control_frames:
                self._control_frames = self.endpoint.control_frames
                self._check_control_rate()
            if isinstance(progress, Message):
                if self._is_in_rate():
                    self.activity += 1
                    self.inbox.append(progress)
                    self.inbox_bytes += progress.held_size + MESSAGE_OVERHEAD
                    self.messages.unpark()
            elif progress is not Progress.HANDLED or self._can_pong_leave:
                return progress
        return Progress.HANDLED

    def _check_control_rate(self) -> None:
        if not self._control_rate.allow(trio.current_time()):
            self.endpoint.refuse(
                PolicyViolation(f"more than {self._control_rate.limit} control frames in a second")
            )

    def _is_in_rate(self) -> bool:
        rate = self._message_rate
        if rate is None or rate.allow(trio.current_time()):
            return True
        self.endpoint.refuse(RateExceeded(f"more than {rate.limit} messages in a second"))
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
        return self.endpoint.is_pong_waiting and self._pong_turns < PONG_TURNS

    @property
    def _is_full(self) -> bool:
        held = self.inbox_bytes
        if not self.is_message_wanted:
            # Nobody waits for the whole of it: as a stream, it may be larger than what we hold.
            # (Three bytes may be an unfinished character, which no stream can take.)
            held += max(self.endpoint.incoming.held_size - 3, 0)
        return held >= self.limits.receive_buffer and self.endpoint.is_open

    async def _receive_some(self) -> None:
        try:
            data = await self.stream.receive_some(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(error)
            return
        if data:
            # Any byte shows that the peer lives, whether or not it is a pong.
            self._heard = trio.current_time()
            self.endpoint.reset_heartbeat()
            self.bytes_received += len(data)
            self.endpoint.receive_data(data)
        else:
            self.endpoint.receive_eof()
            self._eof_seen.set()

    def _lose(self, error: Exception) -> None:
        lost = UnexpectedEOF(_tell_loss(error))
        lost.__cause__ = error
        self.endpoint.fail(lost)
        self._eof_seen.set()

    async def _wait_for_room(self) -> None:
        """Stop reading until the app has taken enough; the peer is not judged meanwhile."""
        self._is_paused = True
        began = trio.current_time()
        try:
            while self._is_full:
                await self.app.park()
        finally:
            self._is_paused = False
            self._heard = trio.current_time()
            for rate in (self._control_rate, self._message_rate):
                if rate is not None:
                    rate.spare(self._heard - began)

    async def _wait_for_answers(self) -> None:
        """Let a close or a violation wait until what came before it has been answered.

        That is, until the app has taken every message and asks for another; within
        `Timeouts.close`, and `Timeouts.answer` since it was given the last one.
        """
        self._is_paused = True
        with trio.move_on_after(self.timeouts.close):
            while (self.inbox or self._is_part_left) and self.endpoint.held is not None:
                await self.app.park()
            with trio.move_on_at(self.handed_over + self.timeouts.answer):
                while not self.is_receiver_waiting and self.endpoint.held is not None:
                    await self.app.park()
        self._is_paused = False

    @property
    def _is_part_left(self) -> bool:
        """Whether an open stream has not taken all of what came before the end."""
        return self.is_streaming and self.endpoint.incoming.has_part

    async def _read_to_the_end(self) -> None:
        """Pass over what comes after the end, so that our Close frame is not lost to a reset."""
        passed = 0
        peer_closed = self.endpoint.closing.received is not None
        while not self._eof_seen.is_set() and not (peer_closed and passed > MAX_AFTER_CLOSE):
            try:
                data = await self.stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            if not data:
                break
            passed += len(data)
        self._eof_seen.set()

    # ---- the writer --------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while await self._write_batch():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._write_error = error
        except trio.TooSlowError as error:
            self.abort(str(error), error)
        finally:
            self._close_written.set()
            self.settle()

    async def _write_batch(self) -> bool:
        """Write what waits, or wait for something; return False when nothing will follow."""
        frame = self._shift()
        if frame is None:
            if not self.endpoint.is_open:
                return False
            await self.work.park()
            return True
        pieces = [frame.to_bytes()]
        size = len(pieces[0])
        # Small frames leave together: a system call costs more than any of them.
        while size < CHUNK and (frame := self._shift()) is not None:
            pieces.append(frame.to_bytes())
            size += len(pieces[-1])
        self.wake_a_sender()
        await self._send(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            with trio.move_on_after(self.timeouts.write) as scope:
                sent = await self._send_some(view)
                self.bytes_sent += sent
                view = view[sent:]
            if scope.cancelled_caught:
                raise trio.TooSlowError(f"the peer accepted nothing for {self.timeouts.write:g} s")

    async def _send_some(self, view: memoryview) -> int:
        """Write the beginning of `view` and return its length: slow progress is progress too.

        A socket says how much it took; of any other stream no more is asked at a time than even
        a slow peer takes within `Timeouts.write`.
        """
        if isinstance(self.stream, trio.SocketStream):
            try:
                return await self.stream.socket.send(view)
            except OSError as error:
                raise trio.BrokenResourceError from error
        piece = view[:PIECE]
        await self.stream.send_all(piece)
        return len(piece)

    def _shift(self) -> Frame | None:
        try:
            frame = self.endpoint.shift_write_queue()
        except Exception as error:  # noqa: BLE001 - `before_send_frame` raised; the frame is next
            self._crash(error)
            frame = self.endpoint.shift_write_queue()
        if isinstance(frame, PingFrame):
            self._note_ping(frame.payload)
        return frame

    def _note_ping(self, payload: bytes) -> None:
        """Note that a ping leaves now; until now it may have waited behind a message."""
        for ping in self.pings.values():
            if ping.started is not None:
                ping.later = payload
        if payload in self.pings:
            self.pings[payload].started = trio.current_time()

    def wake_a_sender(self) -> None:
        """Let the task that has waited longest in `send()` go on, if there is room."""
        if self.has_space:
            lot = self.room if self.endpoint.is_between_messages else self.chunk_room
            lot.unpark()

    @property
    def has_space(self) -> bool:
        """Whether less is queued than `Limits.send_buffer`."""
        return self.endpoint.write_queue_bytes < self.limits.send_buffer

    @property
    def has_room(self) -> bool:
        """Whether `send()` may queue a message, of whatever size."""
        return self.has_space and self.endpoint.is_between_messages

    # ---- the heartbeat -----------------------------------------------------------------------

    async def _beat(self) -> None:
        interval = float("inf") if self.heartbeat is None else self.heartbeat.interval
        last_beat = -float("inf")
        while self.endpoint.is_open:
            planned = max(self._heard, last_beat) + interval
            awake = planned
            if self.endpoint.extension is not None:
                # However rare the beats are: what it holds is looked at four times as often as
                # it may be held idle.
                awake = min(planned, trio.current_time() + IDLE / 4)
            await trio.sleep_until(awake)
            # After a stall of the whole process the peer's bytes may be there, but unread: the
            # reader gets its turn before the peer is judged.
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            self._release_if_idle(now)
            if now < planned:
                continue
            if self._is_paused:
                self._heard = now
                self._show_life()
            elif max(self._heard, last_beat) + interval <= now and self.endpoint.is_open:
                if now > planned + interval:
                    # The process was asleep for longer than a beat: ask before judging.
                    self.endpoint.reset_heartbeat()
                last_beat = now
                self.endpoint.check_heartbeat()
                self.settle()

    def _release_if_idle(self, now: float) -> None:
        """Free what compression can make again, when no message has passed for a while."""
        if self.activity != self._seen_activity:
            self._seen_activity, self._active = self.activity, now
        elif now - self._active >= IDLE and self.endpoint.extension is not None:
            self.endpoint.extension.release()

    def _show_life(self) -> None:
        """Send a ping that needs no answer: the peer's own wait unread, while we do not read."""
        endpoint = self.endpoint
        if endpoint.is_open and endpoint.held is None and not endpoint.get_write_queue_size():
            endpoint.ping()
            endpoint.reset_heartbeat()
            self.settle()

    def answer_ping(self, frame: PongFrame) -> None:
        """Give those who wait for this pong, or for an earlier one, the time that it took.

        A peer may answer the last ping only (RFC 6455 section 5.5.3), and that may be one of the
        heartbeat's, or one that nobody waits for any longer.
        """
        answered = list(self.pings)  # in the order in which they leave
        if frame.payload in self.pings:
            del answered[answered.index(frame.payload) + 1 :]
        else:
            answered = [one for one in answered if self.pings[one].later == frame.payload]
        now = trio.current_time()
        for payload in answered:
            ping = self.pings[payload]
            if ping.started is not None:
                del self.pings[payload]
                round_trip = self.round_trip = now - ping.started
                ping.settle(outcome.Value(round_trip))

    # ---- the closer --------------------------------------------------------------------------

    async def _close(self) -> None:
        try:
            try:
                with self._patience:
                    self._patience.deadline = min(
                        self._patience.deadline, trio.current_time() + self.timeouts.close
                    )
                    await self._close_politely()
            finally:
                with trio.CancelScope(shield=True):
                    for scope in self._scopes:
                        scope.cancel()
                    await trio.aclose_forcefully(self.stream)
        except Exception as error:
            with contextlib.suppress(Exception):
                self.logger.debug("the stream could not be closed in order", exc_info=error)
        finally:
            self._end()  # whatever the stream raises, nobody is to wait for it any longer

    def _end(self) -> None:
        """Tell everyone that the stream is closed."""
        closing = self.endpoint.closing
        if not closing.is_over:
            late = "the peer did not close in time"
            lost = "our answer to its close was lost"
            self.endpoint.fail(UnexpectedEOF(late if closing.received is None else lost))
        self.ended.set()
        self.wake_all()
        for ping in self.pings.values():
            ping.settle(outcome.Error(self.error(sending=True)))
        self.pings.clear()

    async def _close_politely(self) -> None:
        """See the Close frames through, then end the bytes: the server first (section 7.1.1)."""
        await self._close_written.wait()
        await self._peer_done.wait()
        if self._eof_seen.is_set():
            return
        is_failed = self.endpoint.state is State.FAILED
        if is_failed or not isinstance(self.endpoint, ClientEndpoint):
            if isinstance(self.stream, trio.abc.HalfCloseableStream):
                await self.stream.send_eof()
            elif not is_failed:
                # No bytes of the peer's can follow its Close frame: there is nothing to wait for.
                await self.stream.aclose()
                return
        with trio.move_on_after(self.timeouts.linger):
            await self._eof_seen.wait()
        await self.stream.aclose()


def _tell_loss(error: Exception) -> str:
    return f"the connection was lost: {error.__cause__ or error!r}"
