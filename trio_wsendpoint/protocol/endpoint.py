"""One side of a conversation: Net::WebSocket::Endpoint, without any I/O of its own.

Bytes come in through the parser, and `get_next_message()` returns messages.  What the endpoint
owes to the peer (pongs, the answer to a close, heartbeats, our messages) goes into the write queue.
The owner, which has the socket, takes it from there.

Rule 1: nothing waits, and nothing is written unless `out` was given.
Rule 2: one frame's worth of effects a step, in the order of the bytes.
Rule 3: after our Close frame nothing follows, whatever is asked for.
Rule 4: a violation is told to the peer by a Close frame with the code of the error, then raised.

An endpoint belongs to one thread or task at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from trio_wsendpoint.errors import (
    EndpointClosed,
    LocalError,
    PeerError,
)
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.closing import Closing, Event, State
from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.protocol.frames import (
    Buffer,
    CloseFrame,
    ControlFrame,
    DataFrame,
    Frame,
    PingFrame,
    PongFrame,
)
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import MAX_REASON, CloseCode
from trio_wsendpoint.protocol.parser import Parser
from trio_wsendpoint.protocol.ping_store import PingStore
from trio_wsendpoint.protocol.receiver import Progress, Receiver
from trio_wsendpoint.protocol.sender import Sender
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.protocol.traffic import Traffic
from trio_wsendpoint.protocol.write_queue import WriteQueue

__all__ = ["ClientEndpoint", "Endpoint", "Progress", "ServerEndpoint"]


class Endpoint:
    """The base of `ServerEndpoint` and `ClientEndpoint`; making one does no I/O.

    `parser`: where frames come from; a new one, to be pushed to, if none is given.
    `out`: the filehandle or socket that frames are written to: at once if it blocks, else by
    `flush_write_queue()`; None if the owner calls `shift_write_queue()`.
    `max_pings`: unanswered pings after which `check_heartbeat()` closes instead.
    `on_data_frame(frame)`: called for each data frame; a frame that it returns takes its place.
    `before_send_frame(frame)`: called before each ping, pong and close that goes out.
    `unrecognized_pong`: "close" (the seed's way) or "ignore" (RFC 6455 section 5.5.3 allows
    pongs without a ping).
    `limits`: of its fields `message_size`, `fragments` and `fragment_size` count here.
    `extension`: what the handshake has negotiated.
    `hold_end`: keep the peer's close or violation, in its place in the stream, until
    `release_end()`: for an owner that queues messages between this endpoint and the app.
    `random_bytes(n)`: where masks and ping payloads come from.
    """

    #: Whether this side masks what it sends: the client does (RFC 6455 section 5.1).
    masks: ClassVar[bool]
    #: Frame classes that a subclass adds to the standard ones, where it makes its own parser.
    frame_types: ClassVar[Sequence[type[Frame]]] = ()

    def __init__(
        self,
        *,
        parser: Parser | None = None,
        out: Any = None,  # any object with `send` or `write`
        max_pings: int = 3,
        on_data_frame: Callable[[DataFrame], DataFrame | None] | None = None,
        before_send_frame: Callable[[ControlFrame], object] | None = None,
        unrecognized_pong: Literal["close", "ignore"] = "close",
        limits: Limits | None = None,
        extension: MessageExtension | None = None,
        hold_end: bool = False,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if not hasattr(type(self), "masks"):
            raise TypeError("make a ServerEndpoint or a ClientEndpoint: an Endpoint has no role")
        if unrecognized_pong not in {"close", "ignore"}:
            raise ValueError(f'unrecognized_pong is "close" or "ignore", not {unrecognized_pong!r}')
        if not isinstance(max_pings, int) or max_pings < 0:
            raise ValueError(f"max_pings must be an int of at least 0, not {max_pings!r}")
        limits = limits or Limits()
        #: What has been sent and received, in numbers.
        self.traffic = Traffic()
        parser = parser or Parser(frame_types=self.frame_types)
        parser.serve(
            type(self),
            masked=not self.masks,
            first_rsv=0 if extension is None else extension.rsv,
            # A callback gets whole frames: they are collected before the limit on messages sees
            # them.
            max_frame_size=None if on_data_frame is None else limits.message_size,
            traffic=self.traffic,
        )
        self.parser = parser
        self.max_pings = max_pings
        self.extension = extension
        self.closing = Closing()
        #: The peer's close or violation, which waits for `release_end()`; None if none has come.
        self.held: CloseFrame | PeerError | None = None
        self._pong_listener: Callable[[PongFrame], object] | None = None
        #: A ping was queued since the peer was last known to live: set by `ping()`, cleared by
        #: `reset_heartbeat()`, and read by an owner that calls that for each byte that comes.
        self.has_asked = False
        self._hold_end = hold_end
        self._closes_on_unrecognized_pong = unrecognized_pong == "close"
        self._defragmenter = Defragmenter(limits, extension, self.traffic)
        self._receiver = Receiver(
            self.closing, parser, self._defragmenter, on_data_frame, self.traffic
        )
        self._sends_by_itself = type(self).send_message is not Endpoint.send_message
        self._pings = PingStore(random_bytes)
        self._beats = 0  # pings of check_heartbeat() since the peer was last known to live
        self._queue = WriteQueue()
        self._sender = Sender(
            self.closing,
            masks=self.masks,
            out=out,
            before_send_frame=before_send_frame,
            fragment_size=limits.fragment_size,
            extension=extension,
            random_bytes=random_bytes,
            traffic=self.traffic,
            queue=self._queue,
        )

    def listen(
        self,
        *,
        frame_sent: Callable[[Frame, int], object] | None = None,
        frame_received: Callable[[Frame, int], object] | None = None,
        message_sent: Callable[[str, int], object] | None = None,
        message_received: Callable[[str, int], object] | None = None,
    ) -> None:
        """Set the callbacks that hear what passes, each in the middle of it; None for none.

        `frame_*(frame, size)`: a frame leaves, or has come whole; `size` is the bytes of its
        payload on the wire.  A data frame that came is given without its payload.
        `message_*(type, size)`: a message was queued, by `send_message()` or with its last chunk,
        or has come whole; `size` is the bytes of its payload, not compressed.

        They must neither raise nor call this endpoint.
        """
        self._sender.listen(frame_sent, message_sent)
        self._receiver.listen(frame_received, message_received)

    def listen_to_pongs(self, listener: Callable[[PongFrame], object] | None) -> None:
        """Call `listener` with each pong before `on_pong`, for an owner that measures round trips.

        It must neither raise nor call this endpoint.
        """
        self._pong_listener = listener

    # ---- receiving ---------------------------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        """Push the next bytes from the peer; bytes behind its close or violation are dropped."""
        if self.held is None and (self.closing.expects_frames):
            self.parser.receive_data(data)

    def get_room(self) -> memoryview | None:
        """Return a place that the next bytes from the peer may be written to, or None.

        There is one while a large binary message comes in and all that came is handled.  Bytes
        that are written there are not copied again.  Release the view, then tell
        `receive_in_room` how many there were.  A subclass with a `receive_data` of its own gets
        None, because that method is to see all bytes.
        """
        if self.held is not None or type(self).receive_data is not Endpoint.receive_data:
            return None
        return self._receiver.get_room()

    def receive_in_room(self, size: int) -> None:
        """Take the first `size` bytes of the room, which was released, as the peer's next."""
        self._receiver.fill(size)

    def receive_eof(self) -> None:
        """Note that the peer's bytes have ended."""
        self.parser.receive_eof()

    def get_next_message(self) -> Message | None:
        """Return the next message if it is complete, else None.

        Control frames on the way are handled.  All that is buffered is parsed; the parser's
        source, if it has one, is read at most once a call.  After a close of either side the call
        returns None, and `is_closed()` is true; later calls raise `EndpointClosed`.
        Raises `PeerError` for a violation, after queueing the Close frame that tells of it;
        `UnexpectedEOF`, a `PeerError`, when the bytes end.
        """
        self._check_open()
        has_pulled = False
        while self.closing.is_open:
            outcome = self.step()
            if isinstance(outcome, Message):
                return outcome
            if outcome is Progress.HELD:
                return None
            if outcome is Progress.NEED_DATA:
                if has_pulled or not self.parser.pull():
                    return None
                has_pulled = True
        return None

    def get_peer_close(self) -> CloseFrame | None:
        """Return the peer's Close frame, for which to call after our close; None if not yet.

        The peer's messages and pings are passed over, as RFC 6455 section 1.4 allows.  The
        parser's source, if it has one, is read at most once a call.  Raises `LocalError` while
        the endpoint is open, and `PeerError` if the peer violates the protocol or its bytes end.
        """
        if self.closing.is_open:
            raise LocalError("the endpoint is open: close() it, or get_next_message()")
        has_pulled = False
        while not self.closing.is_over:
            outcome = self.step()
            if outcome is Progress.ENDED:  # it was the peer that closed, and our answer waits
                break
            if outcome is Progress.NEED_DATA:
                if has_pulled or not self.parser.pull():
                    break
                has_pulled = True
        return self.closing.received

    def step(self) -> Message | Progress:
        """Handle one frame, or a part of one, of what has come; return what came of it.

        After our Close frame the peer's frames are skipped, until its own.  Raises as
        `get_next_message()` does, and what a callback raises: then the frame is handled.
        """
        if self.held is not None:
            return Progress.HELD
        closing = self.closing
        if not closing.is_open and not closing.expects_frames:
            return Progress.ENDED
        receiver = self._receiver
        try:
            frame = receiver.frame
            if frame is None and not receiver.is_inflating:
                found = self.parser.read_next(receiver.most)
                if isinstance(found, Message):
                    return found
                outcome = receiver.begin(found)
            else:
                outcome = receiver.go_on(frame)
            return self._act_on(outcome) if isinstance(outcome, ControlFrame) else outcome
        except PeerError as error:
            if self.refuse(error):
                return Progress.HELD
            raise

    def refuse(self, error: PeerError) -> bool:
        """Fail the connection for `error` in this place of the stream; return whether it is held.

        It is for an owner that has rules of its own, and does as `step()` does for a violation.
        If an end is held already, `error` is dropped.
        """
        if self.held is not None:
            return True
        if self._hold_end and self.is_open and error.close_code != CloseCode.ABNORMAL_CLOSURE:
            self.held = error
            return True
        self.fail(error)
        return False

    def _act_on(self, frame: ControlFrame) -> Progress:
        if isinstance(frame, CloseFrame):
            if self._hold_end and self.is_open:
                self.held = frame
                return Progress.HELD
            self._receive_close(frame)
        elif self.is_open:
            # After our close the peer's pings and pongs are passed over: no frame of ours may
            # follow it.
            if isinstance(frame, PongFrame) and self._pong_listener is not None:
                self._pong_listener(frame)
            getattr(self, f"on_{frame.type}")(frame)
        return Progress.HANDLED

    def _receive_close(self, frame: CloseFrame) -> None:
        self.closing.received = frame
        self.closing.move(Event.PEER_CLOSES)
        self._receiver.discard()
        answer = CloseFrame(frame.code, frame.reason)
        try:
            self.on_close(frame)
        except Exception:
            answer = CloseFrame(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            # The peer is answered even if an override raises.
            if self.closing.sent is None and not self.closing.is_over:
                self._send_close(answer)

    def release_end(self) -> None:
        """Act on the peer's close or violation that is `held`, if there is one.

        It is dropped if `out` has failed meanwhile: that came first.
        """
        held, self.held = self.held, None
        if self.closing.is_over:
            return
        if isinstance(held, CloseFrame):
            self._receive_close(held)
        elif held is not None:
            self.fail(held)

    @property
    def holds_end(self) -> bool:
        """Whether the peer's close or violation waits for `release_end()`: `hold_end`."""
        return self._hold_end

    @property
    def control_frames(self) -> int:
        """How many control frames have come."""
        return self.traffic.control_received

    @property
    def incoming(self) -> Defragmenter:
        """The message that is coming in, for an owner that takes it in parts."""
        return self._defragmenter

    # ---- what a subclass may override --------------------------------------------------------

    def on_ping(self, frame: PingFrame) -> None:
        """Answer a ping: queue a pong with the same payload (RFC 6455 section 5.5.2)."""
        self._sender.add_frame(PongFrame(frame.payload))

    def on_pong(self, frame: PongFrame) -> None:
        """Take a pong: a pong for any ping of ours sets the ping counter to zero.

        `unrecognized_pong` says what happens at a pong for none of them.
        """
        if self._pings.remove(frame.payload):
            self._beats = 0
        elif self._closes_on_unrecognized_pong:
            self.close(CloseCode.PROTOCOL_ERROR, "unrecognized pong")

    def on_close(self, frame: CloseFrame) -> None:
        """Take the peer's Close frame; called once.

        An override may `close()` with a code of its own.  Otherwise the peer is answered with its
        own code and reason, unless we have closed already.
        """

    # ---- sending -----------------------------------------------------------------------------

    def send_message(
        self, data: str | Buffer | Message | SharedMessage, *, compress: bool = True
    ) -> None:
        """Queue a message: `str` goes as text, bytes as binary, a `Message` in its frames.

        A `SharedMessage` may be given to many endpoints, which then share its frames if they can.
        A message larger than `limits.fragment_size` is cut into fragments.  With `compress=False`
        it goes uncompressed, whatever was negotiated.  Raises `EndpointClosed`, `TypeError`, and
        `UnicodeEncodeError` (a `ValueError`) for a `str` with lone surrogates; then nothing was
        queued.
        """
        self._check_open()
        if isinstance(data, Message):
            self._sender.relay_message(data, compress=compress)
        else:
            self._sender.add_message(data, compress=compress)

    def send_at_once(
        self, data: str | Buffer | SharedMessage, *, compress: bool = True
    ) -> bytes | None:
        """Send a message as `send_message()` does; return its bytes if it can leave at once.

        If it returns None, the message was queued: other frames wait, or it is cut, or so large
        that a copy is not worth it, or a subclass has a `send_message` of its own.
        """
        if self._sends_by_itself:
            self.send_message(data, compress=compress)
            return None
        if not self.closing.is_open:
            self._check_open()
        return self._sender.add_message(data, compress=compress, at_once=True)

    def begin_message(self, type: str, *, compress: bool = True) -> None:
        """Begin a message, "text" or "binary", whose chunks `send_chunk` sends.

        No other message can be sent before it has ended.  Raises `EndpointClosed`, `LocalError`
        if a message has begun already, and `ValueError` for another type.
        """
        self._check_open()
        self._sender.begin_message(type, compress=compress)

    def send_chunk(self, data: str | Buffer, *, final: bool = False) -> None:
        """Queue the next chunk of the message that has begun; `final` ends the message.

        Raises `EndpointClosed`, `LocalError` if no message has begun, and `TypeError` for a chunk
        that is not `str` in a text, or not bytes in a binary message.
        """
        self._check_open()
        self._sender.add_chunk(data, final=final)

    def cancel_message(self) -> bool:
        """Forget the message that has begun; return False if it must end: a part is queued."""
        return self._sender.cancel_message()

    @property
    def is_between_messages(self) -> bool:
        """Whether a new message may be sent: the last one that began has ended."""
        return self._sender.is_between_messages

    def send_frame(self, frame: Frame) -> None:
        """Queue one frame, a `Streamer`'s or a control frame, with the mask that this role needs.

        Raises `EndpointClosed`, and `LocalError` for a data frame out of sequence.
        """
        self._check_open()
        if isinstance(frame, CloseFrame):
            self.close(frame.code, frame.reason)
        else:
            self._sender.add_frame(frame)

    def create_message(self, type: str, payload: Buffer | str = b"") -> Message:
        """Return a message in one frame, with the mask that this role needs, without sending it.

        `type` is "text", "binary", or that of a data frame registered on the parser.
        """
        for frame_type in self.parser.frame_types.values():
            if frame_type.type == type and issubclass(frame_type, DataFrame):
                return Message([frame_type(payload, mask=self._sender.make_mask())])
        raise ValueError(f"no data frame of the type {type!r} is known")

    def ping(self) -> bytes:
        """Queue a ping with a payload of its own, 8 bytes, and return that payload."""
        self._check_open()
        payload = self._pings.add()
        self.has_asked = True
        self._sender.add_frame(PingFrame(payload))
        return payload

    def check_heartbeat(self) -> None:
        """Send a ping, or at `max_pings` unanswered ones close with PROTOCOL_ERROR instead.

        The owner calls it whenever the peer has sent nothing for a while.  Raises `EndpointClosed`.
        """
        self._check_open()
        if self._beats >= self.max_pings:
            self.closing.is_given_up = True
            self.close(CloseCode.PROTOCOL_ERROR, f"Unanswered ping(s): {self._beats}")
        else:
            self._beats += 1
            self.ping()

    def reset_heartbeat(self) -> None:
        """Count every ping as answered: the owner has seen that the peer lives."""
        self._pings.clear()
        self._beats = 0
        self.has_asked = False

    def close(self, code: int | None = CloseCode.SUCCESS, reason: str = "") -> None:
        """Queue our Close frame, behind all that is queued; nothing can follow it.

        `code` None sends an empty frame.  Raises `EndpointClosed` if we have closed already, and
        `InvalidCloseCode` for a code or a reason that must not be sent.
        """
        frame = CloseFrame(code, reason)
        if self.closing.sent is not None or self.closing.state is not State.CLOSE_RECEIVED:
            self.closing.move(Event.WE_CLOSE)
            self._receiver.discard()
        self._send_close(frame)
        self.release_end()

    def fail(self, error: PeerError) -> None:
        """Fail the connection for `error`: queue a Close frame with its code, if none was sent.

        RFC 6455 section 7.1.7.  What was received and not yet returned is dropped.
        """
        was_open = self.is_open
        lost = error.close_code == CloseCode.ABNORMAL_CLOSURE
        if self.closing.move(Event.BYTES_END if lost else Event.WE_FAIL):
            self.closing.error = error
        self.held = None
        self._receiver.discard()
        if was_open and not lost:
            self._send_close(CloseFrame(error.close_code, _cut_reason(str(error))))

    def _send_close(self, frame: CloseFrame) -> None:
        self.closing.sent = frame
        self._sender.add_frame(frame)

    def _check_open(self) -> None:
        if not self.closing.is_open:
            raise EndpointClosed(self.closing.explain())

    # ---- the write queue ---------------------------------------------------------------------

    def shift_write_queue(self, *, copy: bool = True) -> Frame | None:
        """Take out the next frame to write, or None; after a close too, until that has left.

        With `copy=False` the payload of a fragment may be a `memoryview` of the message that it
        was cut from: enough for a caller that makes bytes of the frame at once.  Raises
        `LocalError` while `flush_write_queue()` has a frame half written.
        """
        return self._sender.shift(copy=copy)

    def flush_write_queue(self) -> bool:
        """Write one queued frame to `out`, or the rest of one; return whether all is written.

        Raises `LocalError` without an `out`; an `OSError` of `out` ends the connection.
        """
        return self._sender.flush()

    def get_write_queue_size(self) -> int:
        """Return how many frames wait to be written, a partly written one included."""
        return self._sender.frames

    @property
    def write_queue_bytes(self) -> int:
        """Bytes that wait to be shifted."""
        return self._sender.size

    @property
    def message_bytes_waiting(self) -> int:
        """Of `write_queue_bytes`, those of messages: payloads and their longest headers."""
        return self._sender.message_bytes

    @property
    def has_frames(self) -> bool:
        """Whether frames wait to be shifted.

        That is what `get_write_queue_size()` counts, except a frame that `flush_write_queue()` has
        written in part and one that `before_send_frame` has raised for.  A connection asks for each
        message, and this takes 60 ns, where counting takes 210.
        """
        return self._queue.size > 0

    @property
    def is_pong_waiting(self) -> bool:
        """Whether a pong waits to be shifted, which the answer to a further ping would replace."""
        return self._sender.has_pong

    # ---- the state ---------------------------------------------------------------------------

    def is_closed(self) -> bool:
        """Whether no more messages can be sent: a Close frame went either way, or we failed.

        The peer's Close frame may still be outstanding: `get_peer_close()` reads on for it, and
        `state` tells.
        """
        return not self.is_open

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways."""
        return self.closing.is_open

    @property
    def state(self) -> State:
        """How far the closing handshake has come."""
        return self.closing.state

    def __repr__(self) -> str:
        waiting = self.get_write_queue_size()
        frames = f", {waiting} frame{'s'[: waiting != 1]} to write" if waiting else ""
        return f"<{type(self).__name__} {self.state.value}{frames}>"


def _cut_reason(text: str) -> str:
    """Cut a reason to the bytes that fit, between two characters."""
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


class ServerEndpoint(Endpoint):
    """The server's side: receives masked frames, sends unmasked ones (RFC 6455 section 5.1)."""

    masks = False


class ClientEndpoint(Endpoint):
    """The client's side: receives unmasked frames, masks what it sends (RFC 6455 section 5.1)."""

    masks = True
