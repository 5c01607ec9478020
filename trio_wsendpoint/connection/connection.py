"""One WebSocket connection, as a Trio channel of messages.

`Connection` is what an application holds.  Its promises:
* Every call ends when the connection does, whichever task it is in and whichever side ends it.
* Messages arrive whole and in order, and so do those of several tasks that send at once.
* After a close of the peer, what it sent before can still be received; after our own `aclose()`
  it is discarded.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from threading import get_ident
from typing import Any, Literal

import trio

from trio_wsendpoint._words import CONNECTION_WORDS, tell_wrong_names
from trio_wsendpoint.addressing import Peer, SocketAddress
from trio_wsendpoint.channels import WithOtherForms
from trio_wsendpoint.connection.app_state import AppState
from trio_wsendpoint.connection.closed import PingTimeout
from trio_wsendpoint.connection.receiving import Receiving, check_thread
from trio_wsendpoint.connection.sending import Sending, check_type
from trio_wsendpoint.connection.streams import ReceiveStream, SendStream
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.connection.timings import Timings
from trio_wsendpoint.handshake import Request, Response
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Buffer, CloseFrame
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.session.pings import PingEnd
from trio_wsendpoint.session.statistics import ConnectionStatistics

__all__ = ["Connection"]

#: Pings of the application that may be out at a time.
MAX_PINGS = 16


@tell_wrong_names(CONNECTION_WORDS)
class Connection(WithOtherForms, trio.abc.Channel[str | bytes]):
    """A WebSocket connection: `str` for text messages, `bytes` for binary ones.

    Made by `serve_endpoint`, `accept_endpoint` and `connect_endpoint`, never by hand.
    `request` and `response` are what opened it, `subprotocol` is what they agreed on, or None;
    `endpoint` is the sans-I/O endpoint within (an `endpoint_class` of yours may hold state).
    `timings` tells how long each step of a client's opening took; None at a server.
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
        state: Any = None,
        timings: Timings | None = None,
    ) -> None:
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        self._state = state  # None until it is asked for, unless an opening has made it
        if isinstance(state, AppState):
            state.follow(tasks.endpoint)
        self.timings = timings
        self.id = tasks.logger.id
        self.endpoint: Endpoint = tasks.endpoint
        self.logger: logging.Logger | logging.LoggerAdapter[logging.Logger] = tasks.logger
        self._tasks = tasks
        self._thread = get_ident()
        self._receiving = Receiving(tasks, self._thread)
        self._sending = Sending(tasks, self._thread)
        self._ping_slots: trio.Semaphore | None = None

    @property
    def state(self) -> Any:
        """What the app keeps with the connection: what it has put into `Opening.state`.

        Else an `AppState`, a namespace without attributes.  Anything may be assigned to it.
        """
        if self._state is None:
            self._state = AppState()
            self._state.follow(self.endpoint)
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._state = value

    # ---- receiving ---------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        """Return the next message: `str` if it is text, `bytes` if it is binary.

        If cancelled: nothing was taken; the next call returns the message.
        Raises: `ConnectionEnded` after an orderly close by the peer, which ends an `async for`;
            `ConnectionLost` after any other end; `ConnectionClosedLocally` after our `aclose()`;
            `trio.BusyResourceError` if another task is receiving.
        """
        return await self._receiving.receive()

    async def receive_text(self) -> str:
        """Return the next message as `str`: a binary one is decoded from UTF-8.

        If cancelled: nothing was taken.
        Raises: as `receive`; `UnicodeDecodeError` for a binary message that is not UTF-8, which is
            then gone.
        """
        value = await self._receiving.receive()
        return value if isinstance(value, str) else value.decode()

    async def receive_bytes(self) -> bytes:
        """Return the next message as `bytes`: those of a text are its UTF-8.

        If cancelled: nothing was taken.
        Raises: as `receive`.
        """
        value = await self._receiving.receive()
        return value if isinstance(value, bytes) else value.encode()

    # A coroutine of its own around the other would cost as much as the checkpoint in that.
    def __anext__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> Coroutine[Any, Any, str | bytes]:
        """Return the next message; an orderly close by the peer ends the iteration."""
        return self._receiving.receive(is_iterating=True)

    async def receive_message(self) -> Message:
        """Return the next message with its type and the frames that it came in.

        If cancelled: nothing was taken.
        Raises: as `receive`.
        """
        return await self._receiving.receive_message()

    def receive_nowait(self) -> str | bytes:
        """Return the next message if one is here; else raise `trio.WouldBlock`.

        Raises as `receive`, and never waits.
        """
        return self._receiving.receive_nowait()

    def receive_stream(self) -> ReceiveStream:
        """Receive one message piece by piece: `async with connection.receive_stream() as chunks`.

        In the block, `async for chunk in chunks`.  See `ReceiveStream` for what leaving early
        does.  Raises as `receive`.
        """
        return ReceiveStream(self._receiving)

    # ---- sending -----------------------------------------------------------------------------

    # In one function: of the 64,000 instructions that an echo takes, a further coroutine takes
    # 1,000, a further call 400.  A Ctrl-C in the middle would leave half of it done.
    @trio.lowlevel.enable_ki_protection
    async def send(self, value: str | Buffer, *, text: bool = False, compress: bool = True) -> None:
        """Send a message: text for `str`, binary for `bytes` (a buffer's content is copied).

        Wait while `Limits.send_buffer` bytes or more are queued, then commit the whole message.
        The message is written later: when this returns, the peer need not have it.  Several tasks
        may send, each in its turn.  If the peer stops taking bytes before the message has left,
        `aclose()`, or leaving the block, raises `ConnectionLost`.

        `text`: True sends bytes that are UTF-8 as a text.
        `compress`: False sends this message uncompressed, whatever was negotiated.

        If cancelled: nothing of the message was or will be sent.
        Raises: `TypeError` for another type; `UnicodeEncodeError` for a lone surrogate, and
            `UnicodeDecodeError` for bytes that are not UTF-8; `ConnectionLost` if the peer has
            closed or is gone; `ConnectionClosedLocally` after our `aclose()`.
        """
        if text and not isinstance(value, str):
            value = str(value, "utf-8")
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._sending.try_send(value, compress=compress):
            await self._sending.send(value, compress=compress)

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, value: str | Buffer, *, compress: bool = True) -> None:
        """Send a message if there is room for it now; else raise `trio.WouldBlock`.

        Raises as `send`, and never waits.
        """
        check_thread(self._thread)
        check_type(value)
        self._sending.check_open()
        if not self._sending.has_room_for(value):
            raise trio.WouldBlock
        self._sending.commit(value, compress=compress)

    @trio.lowlevel.enable_ki_protection
    async def wait_room(self, size: int = 0) -> None:
        """Wait until `send` would not wait, and `send_nowait` would take a message.

        For an app that makes its next message only when it can be sent, as the newest state.  The
        room is not reserved: another task may take it as soon as this one waits.
        `size`: the bytes of that message, UTF-8 of a text; by default, a small one.

        If cancelled: nothing has changed.
        Raises: as `send`; `ValueError` for a negative size.
        """
        if size < 0:
            raise ValueError(f"size must be at least 0 bytes, not {size}")
        await self._sending.wait_room(size)

    def send_stream(self, kind: Literal["text", "binary"], *, compress: bool = True) -> SendStream:
        """Send one message chunk by chunk: `async with connection.send_stream("text") as stream`.

        In the block, `await stream.send(chunk)`; leaving it ends the message.  Other messages
        wait meanwhile.  See `SendStream` for what leaving early does.
        """
        check_thread(self._thread)
        return SendStream(self._sending, kind, compress=compress)

    # ---- the rest ----------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def ping(self) -> float:
        """Ping the peer and return the round trip in seconds.

        The clock starts when the ping is written.  At most 16 pings are out; a further call waits.

        If cancelled: the ping may have been sent; its pong is ignored when it comes.
        Raises: `PingTimeout` if no pong has come `Timeouts.ping` seconds after the ping was queued;
            `ConnectionClosed` as `send`, also when the connection ends meanwhile.
        """
        check_thread(self._thread)
        if self._ping_slots is None:
            self._ping_slots = trio.Semaphore(MAX_PINGS)
        async with self._ping_slots:
            tasks, session = self._tasks, self._tasks.session
            if not session.is_open:
                await tasks.wait_told()
                raise tasks.error(sending=True)
            payload, ping = session.ping(trio.current_time())
            try:
                tasks.act()
                tasks.reader.call()
                while ping.end is PingEnd.WAITING:
                    await tasks.waits.wait_for_pong()
            finally:
                session.pings.forget(payload)
            if ping.end is PingEnd.CLOSED:
                raise tasks.error(sending=True)
            if ping.end is PingEnd.LATE:
                raise PingTimeout(
                    "the peer has not answered a ping in time", session.endpoint.closing
                )
            return ping.round_trip

    @trio.lowlevel.enable_ki_protection
    async def aclose(self, code: int | None = CloseCode.SUCCESS, reason: str = "") -> None:
        """Close the connection in order, and return when its stream is closed.

        What was sent before leaves first, while the peer takes some of it within each
        `Timeouts.write`, for `Timeouts.drain` at most.  Then the peer has `Timeouts.close` to close
        too.  What was received and not taken is discarded.  A further call, or one after the peer
        has closed, waits for the end.  `code` None sends an empty frame.

        If cancelled: the stream is closed at once.
        Raises: `InvalidCloseCode` or `ValueError` before anything is done; `ConnectionLost` if
            committed messages could not be sent.
        """
        check_thread(self._thread)
        tasks, session = self._tasks, self._tasks.session
        if self.endpoint.is_open or code != CloseCode.SUCCESS or reason:
            CloseFrame(code, reason)  # which checks them
        try:
            session.close(code, reason, trio.current_time())
            tasks.act()
            await tasks.end()
        except BaseException:
            tasks.abort()
            with trio.CancelScope(shield=True):  # a few steps, none of which waits for the peer
                await tasks.wait_ended()
            raise
        tasks.check_all_sent()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and its stream is closed, whichever side closes it.

        While unread messages fill `Limits.receive_buffer`, nothing is read: the end is not seen.

        If cancelled: nothing has changed.
        Raises: `RuntimeError` in another thread.
        """
        check_thread(self._thread)
        await self._tasks.wait_ended()

    @property
    def peer(self) -> Peer:
        """The other end: its address, its certificate, through which proxies it has come."""
        return self._tasks.logger.ends.peer

    @property
    def local(self) -> SocketAddress | None:
        """Our end, as the peer reached it; None if the stream is not over a socket."""
        return self._tasks.logger.ends.local

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways; what was received can be read longer."""
        return self._tasks.session.is_open

    @property
    def latency(self) -> float | None:
        """Seconds from the last ping that was answered to its pong; None before the first.

        The heartbeat's pings count, so it is there without a `ping()`.  A peer that sends is not
        pinged: then it is that of an earlier time.
        """
        return self._tasks.session.pings.latency

    def statistics(self) -> ConnectionStatistics:
        """Return what the connection has done and holds, as an immutable object."""
        check_thread(self._thread)
        return self._tasks.session.statistics(
            trio.current_time(), waiting_senders=self._sending.waiting
        )

    # ---- for the library's own parts ----------------------------------------------------------

    @property
    def tasks(self) -> Tasks:
        """What runs behind it, for the library's own parts: no promise is made to an app."""
        return self._tasks

    @property
    def sending(self) -> Sending:
        """What commits its messages, as `tasks`; raises `RuntimeError` in another thread."""
        check_thread(self._thread)
        return self._sending

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in CONNECTION_WORDS]

    def __repr__(self) -> str:
        path = ascii(self.request.raw_path)[1:-1][:80]
        return f"<Connection #{self.id} {self.peer!r} {path} {self.endpoint.state.value}>"
