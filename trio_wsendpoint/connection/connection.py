"""One WebSocket connection, as a Trio channel of messages.

`Connection` is what an application holds; the tasks behind it are in `tasks`.  Its promises:

* `Cancelled` from `send` means that nothing of the message was or will be sent; from `receive`,
  that nothing was received: the next call gets it.
* Every call ends when the connection does, whichever task it is in and whoever ends it.
* Messages arrive whole and in order, and so do those of several tasks that send at once.
* After a close of the peer, what it sent before can still be received; after our own `aclose()`
  it is discarded.

Imported by `opening`, `server` and `client`, which make connections, and by applications.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from threading import get_ident
from typing import Any, Literal

import trio

from trio_wsendpoint.connection.pings import Ping
from trio_wsendpoint.connection.statistics import (
    ConnectionStatistics,
    Totals,
    cause_of,
    code_of,
    counts_of,
)
from trio_wsendpoint.connection.streams import ReceiveStream, SendStream
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.handshake import Request, Response
from trio_wsendpoint.protocol.closing import State
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Buffer, CloseFrame
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.protocol.shared import SharedMessage

__all__ = ["Connection"]

#: Messages that a loop may take, or send, without waiting before other tasks get a turn.
TURN = 64
#: What a message is made of.
_TYPES = (str, bytes, bytearray, memoryview)
#: Pings of the application that may be out at a time.
MAX_PINGS = 16


class Connection(trio.abc.Channel[str | bytes]):
    """A WebSocket connection: `str` for text messages, `bytes` for binary ones.

    Made by `serve_endpoint`, `accept_endpoint` and `connect_endpoint`, never by hand.
    `request` and `response` are what opened it, `subprotocol` is what they agreed on, or None;
    `endpoint` is the sans-I/O endpoint within (an `endpoint_class` of yours may hold state).
    `logger` is the connection's own: its records name the peer and `id`, which tells connections
    apart: a server numbers the streams that it accepts, others have 8 hexadecimal digits.

    It belongs to the thread that opened it; in any other its methods raise `RuntimeError`.
    """

    def __init__(
        self,
        tasks: Tasks,
        *,
        request: Request,
        response: Response,
        subprotocol: str | None,
    ) -> None:
        self._tasks = tasks
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        self.id = tasks.logger.id
        self.endpoint: Endpoint = tasks.endpoint
        self.logger: logging.Logger | logging.LoggerAdapter[logging.Logger] = tasks.logger
        # A class of the user's may have a `send_message` that wants to see them all.
        self._may_encode = type(self.endpoint).send_message is Endpoint.send_message
        self._thread = get_ident()
        self._is_receiving = False
        self._waiting_senders = 0
        self._messages_sent = self._messages_received = 0
        self._turn = 0
        self._ping_slots: trio.Semaphore | None = None
        self._streaming_task: trio.lowlevel.Task | None = None  # the one in `send_stream()`

    # ---- receiving ---------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        """Return the next message: `str` if it is text, `bytes` if it is binary.

        Raises `ConnectionEnded` after an orderly close by the peer (and so ends an `async for`),
        `ConnectionLost` after anything else, `ConnectionClosedLocally` after our `aclose()`, and
        `trio.BusyResourceError` if another task is receiving.  If cancelled, nothing was taken.
        """
        return await self._receive()

    # A coroutine of its own around the other would cost as much as the checkpoint in that.
    def __anext__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> Coroutine[Any, Any, str | bytes]:
        """Return the next message; an orderly close by the peer ends the iteration."""
        return self._receive(is_iterating=True)

    async def receive_message(self) -> Message:
        """Return the next message with its type and the frames that it came in.

        Raises and is cancelled as `receive`.
        """
        self._check_single_receiver()
        await trio.lowlevel.checkpoint_if_cancelled()
        message = self._tasks.inbox.take()
        if message is not None:
            await self._take_turns()
        else:
            self._is_receiving = True
            try:
                while message is None:
                    self._check_receivable()
                    await self._tasks.reader.wait_for_app()
                    message = self._tasks.inbox.take()
            finally:
                self._is_receiving = False
        self._messages_received += 1
        return message

    # One function and few calls: each message of a conversation passes here.
    async def _receive(self, *, is_iterating: bool = False) -> str | bytes:
        if self._is_receiving or get_ident() != self._thread:
            self._check_single_receiver()
        tasks = self._tasks
        inbox, reader = tasks.inbox, tasks.reader
        payload: str | bytes | None = None
        if reader.is_drained and reader.doubt and not inbox.messages:
            reader.doubt -= 1
        elif not inbox.is_shut:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._turn += 1
            if self._turn >= TURN:
                self._is_receiving = True  # nobody else may begin meanwhile
                try:
                    await self._end_turn()
                finally:
                    self._is_receiving = False
            payload = inbox.take_payload() if inbox.messages else reader.take_payload()
        if payload is None:
            self._is_receiving = True
            try:
                while payload is None:
                    if not tasks.is_open or tasks.farewell is not None:
                        await trio.lowlevel.checkpoint_if_cancelled()
                        self._check_receivable()
                    payload = await reader.wait_for_app(quickly=True)
                    if payload is None:
                        payload = inbox.take_payload()
            except trio.EndOfChannel:
                if is_iterating:
                    raise StopAsyncIteration from None
                raise
            finally:
                self._is_receiving = False
        self._messages_received += 1
        return payload

    def receive_nowait(self) -> str | bytes:
        """Return the next message if one is here; else raise `trio.WouldBlock`.

        Raises as `receive`, and never waits.
        """
        self._check_single_receiver()
        message = self._tasks.inbox.take()
        if message is None:
            self._check_receivable()
            self._tasks.inbox.want()
            self._tasks.call_reader()
            raise trio.WouldBlock
        self._messages_received += 1
        return message.payload

    def _check_thread(self) -> None:
        """Raise before anything is touched that another thread, even another Trio, must not."""
        if get_ident() != self._thread:
            raise RuntimeError(
                "a connection belongs to the thread that opened it: use trio.from_thread.run"
            )

    def _check_single_receiver(self) -> None:
        self._check_thread()
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this connection")

    def _check_receivable(self, *, in_message: bool = False) -> None:
        tasks = self._tasks
        if (
            tasks.is_closed_locally
            or tasks.farewell is not None
            or tasks.has_ended
            or not tasks.endpoint.is_open
        ):
            raise tasks.error(is_cut_short=in_message)

    # ---- sending -----------------------------------------------------------------------------

    # As `_receive`.  A Ctrl-C in the middle would leave half of it done.
    @trio.lowlevel.enable_ki_protection
    async def send(self, value: str | Buffer, *, compress: bool = True) -> None:
        """Send a message: text for `str`, binary for `bytes` (a buffer's content is copied).

        Waits while `Limits.send_buffer` bytes or more are queued, then commits the message
        without waiting for it to be written.  So if cancelled, nothing of it was or will be
        sent; and several tasks may send, each in its turn.  `compress=False` keeps a negotiated
        compression away from this message.

        Raises `TypeError` and, for a `str` with lone surrogates, `UnicodeEncodeError`;
        `ConnectionLost` if the peer has closed or is gone; `ConnectionClosedLocally`.
        """
        if not isinstance(value, _TYPES) or get_ident() != self._thread:
            _check_type(value)
            self._check_thread()
        await trio.lowlevel.checkpoint_if_cancelled()
        tasks = self._tasks
        writer = tasks.writer
        self._turn += 1
        if (
            self._turn < TURN
            and not self._waiting_senders
            and tasks.is_open
            and writer.is_free
            and self._may_encode
        ):
            data = self.endpoint.encode_message(value, compress=compress)
            if data is not None:
                self._messages_sent += 1
                has_more = tasks.inbox.messages or not tasks.reader.is_drained
                writer.write_message(data, has_more=bool(has_more))
                return
        await self._wait_for_turn()
        self._commit(value, compress)

    def send_stream(self, kind: Literal["text", "binary"], *, compress: bool = True) -> SendStream:
        """Send one message chunk by chunk: `async with connection.send_stream("text") as stream`.

        In the block, `await stream.send(chunk)`; leaving it ends the message.  Other messages
        wait meanwhile.  See `SendStream` for what leaving early does.
        """
        return SendStream(self, kind, compress=compress)

    def receive_stream(self) -> ReceiveStream:
        """Receive one message piece by piece: `async with connection.receive_stream() as chunks`.

        In the block, `async for chunk in chunks`.  See `ReceiveStream` for what leaving early
        does.  Raises as `receive`.
        """
        return ReceiveStream(self)

    def send_nowait(self, value: str | Buffer, *, compress: bool = True) -> None:
        """Send a message if there is room for it now; else raise `trio.WouldBlock`.

        Raises as `send`, and never waits.
        """
        tasks = self._tasks
        self._check_thread()
        _check_type(value)
        if not tasks.is_open:
            raise tasks.error(sending=True)
        if self._waiting_senders or not tasks.writer.has_room:
            raise trio.WouldBlock
        self._commit(value, compress)

    # A Ctrl-C in its middle would leave half of it done.
    @trio.lowlevel.enable_ki_protection
    def _commit(self, value: str | Buffer | SharedMessage, compress: bool) -> None:
        tasks = self._tasks
        writer = tasks.writer
        # While the app has more to answer, its answers are queued, and leave together.
        has_more = bool(tasks.inbox.messages or not tasks.reader.is_drained)
        data: bytes | None = None
        try:
            if writer.is_free and self._may_encode:
                data = self.endpoint.encode_message(value, compress=compress)
            if data is None:
                self.endpoint.send_message(value, compress=compress)
            self._messages_sent += 1
        finally:
            if data is not None:
                writer.write_message(data, has_more=has_more)
            elif has_more and tasks.is_open:
                writer.call()
            else:
                tasks.settle()
            writer.wake_a_sender()

    async def _wait_for_turn(self) -> None:
        """Wait in line; return when it is our turn and there is room, without a pause since."""
        tasks = self._tasks
        if self._turn >= TURN:
            await self._end_turn()
        if not tasks.is_open:
            raise tasks.error(sending=True)
        if not self._waiting_senders and tasks.writer.has_room:
            return
        if self._streaming_task is trio.lowlevel.current_task():
            raise RuntimeError("this task is sending a stream: it would wait for itself")
        self._waiting_senders += 1
        try:
            while True:
                await tasks.writer.room.wait()
                if not tasks.is_open:
                    raise tasks.error(sending=True)
                if tasks.writer.has_room:
                    return
        finally:
            self._waiting_senders -= 1

    async def _take_turns(self) -> None:
        """Let other tasks run once in a while: a loop that never has to wait would starve them.

        A fixed count, not a clock, so that runs are deterministic; not a cancel point, because
        the caller has been at one.
        """
        self._turn += 1
        if self._turn >= TURN:
            await self._end_turn()

    async def _end_turn(self) -> None:
        self._turn = 0
        await trio.lowlevel.cancel_shielded_checkpoint()

    # ---- the rest ----------------------------------------------------------------------------

    async def ping(self) -> float:
        """Ping the peer and return the round trip in seconds.

        The clock starts when the ping is written.  At most 16 are out at a time, more wait.
        Raises `ConnectionClosed` as `send` does, also when the connection ends meanwhile.  If
        cancelled, the pong is awaited no longer.
        """
        self._check_thread()
        if self._ping_slots is None:
            self._ping_slots = trio.Semaphore(MAX_PINGS)
        async with self._ping_slots:
            tasks = self._tasks
            if not tasks.is_open:
                raise tasks.error(sending=True)
            payload = self.endpoint.ping()
            ping = tasks.pings.waiting[payload] = Ping()
            tasks.settle()
            tasks.call_reader()
            try:
                await ping.done.wait()
            finally:
                tasks.pings.waiting.pop(payload, None)
            return ping.result.unwrap() if ping.result is not None else 0.0

    async def aclose(self, code: int | None = CloseCode.SUCCESS, reason: str = "") -> None:
        """Close the connection in order, and return when its stream is closed.

        What was sent before leaves first; what was received and not read is discarded.  Takes
        `Timeouts.close` at most; if cancelled, the stream is closed at once.  Calling it again,
        or after the peer has closed, is no error: it waits for the end.  `code` None sends an
        empty Close frame.

        Raises `InvalidCloseCode` for a code or reason that must not be sent; nothing is closed.
        """
        self._check_thread()
        tasks = self._tasks
        if self.endpoint.is_open or code != CloseCode.SUCCESS or reason:
            CloseFrame(code, reason)  # which checks them
        tasks.is_closed_locally = True
        tasks.inbox.discard()
        if self.endpoint.is_open:
            self.endpoint.close(code, reason)
        tasks.settle()
        tasks.wake_all()
        try:
            await tasks.end()
        except BaseException:
            tasks.abort()
            with trio.CancelScope(shield=True):  # a few steps, none of which waits for the peer
                await tasks.wait_ended()
            raise

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and its stream is closed, whoever closes it.

        While messages wait unread, and reading has stopped for it, the peer's end is not seen.
        """
        self._tasks.call_reader()
        await self._tasks.wait_ended()

    @property
    def state(self) -> State:
        """How far the closing handshake has come."""
        return self.endpoint.state

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways; what was received can be read longer."""
        return self._tasks.is_open

    def statistics(self) -> ConnectionStatistics:
        """Return what the connection has done and holds, as an immutable object."""
        tasks = self._tasks
        until = trio.current_time() if tasks.ended_at is None else tasks.ended_at
        return ConnectionStatistics(
            inbox_messages=len(tasks.inbox.messages),
            inbox_bytes=tasks.inbox.size,
            write_queue_frames=tasks.writer.queued_frames,
            write_queue_bytes=tasks.writer.queued_bytes,
            tasks_waiting_send=self._waiting_senders,
            round_trip=tasks.pings.round_trip,
            opened=tasks.opened_at,
            age=until - tasks.opened_at,
            close_code=code_of(self.endpoint.closing),
            close_cause=cause_of(self.endpoint.closing),
            **self._counts(),
        )

    def _counts(self) -> dict[str, int]:
        """Return the fields of `TrafficStatistics`."""
        return {
            "messages_sent": self._messages_sent,
            "messages_received": self._messages_received,
            "bytes_sent": self._tasks.writer.bytes_sent,
            "bytes_received": self._tasks.reader.bytes_received,
            **counts_of(self.endpoint.traffic),
        }

    def _add_to(self, totals: Totals) -> None:
        """Add what this connection has done, which has ended."""
        totals.messages_sent += self._messages_sent
        totals.messages_received += self._messages_received
        totals.bytes_sent += self._tasks.writer.bytes_sent
        totals.bytes_received += self._tasks.reader.bytes_received
        totals.add(self.endpoint.traffic, self.endpoint.closing)

    def __repr__(self) -> str:
        return f"<Connection {ascii(self.request.path)[1:-1][:80]} {self.state.value}>"


def _check_type(value: object) -> None:
    if not isinstance(value, _TYPES):
        raise TypeError(
            f"send() takes str (a text message) or bytes (a binary one), not {type(value).__name__}"
        )
