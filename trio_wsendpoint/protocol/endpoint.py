"""One side of a conversation: Net::WebSocket::Endpoint, without any I/O of its own.

Bytes come in through the parser, messages come out of `get_next_message()`, and what the
endpoint owes to the peer (pongs, the answer to a close, heartbeats, our messages) goes into the
write queue, from which the owner of the socket takes it.

Rule 1: nothing waits, and nothing is written unless `out` was given.
Rule 2: one frame's worth of effects a step, in the order of the bytes.
Rule 3: after our Close frame nothing follows, whoever asks for it, and however often.
Rule 4: a violation is told to the peer by a Close frame with the code of the error, then raised.

An endpoint belongs to one thread or task at a time.  Imported by everything that talks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from trio_wsendpoint.errors import (
    EndpointClosed,
    InvalidPayload,
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
    TextFrame,
)
from trio_wsendpoint.protocol.header_rules import STANDARD
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

_OPEN = State.OPEN  # to look a member up costs more than to call a function


class Endpoint:
    """The base of `ServerEndpoint` and `ClientEndpoint`; nothing is done when it is made.

    `parser`: where frames come from; a new one, to be pushed to, if none is given.
    `out`: what frames are written to: a blocking one at once, a non-blocking one by
    `flush_write_queue()`; None if you `shift_write_queue()`.
    `max_pings`: unanswered pings after which `check_heartbeat()` closes instead.
    `on_data_frame(frame)`: called for each data frame; a frame that it returns takes its place.
    `before_send_frame(frame)`: called before each ping, pong and close that goes out.
    `unrecognized_pong`: "close" (the seed's way) or "ignore" (RFC 6455 section 5.5.3 allows
    pongs that nobody asked for).
    `limits`: of its fields `message_size`, `fragments` and `fragment_size` count here.
    `extension`: what the handshake has negotiated.
    `hold_end`: keep the peer's close or violation, in its place in the stream, until
    `release_end()`, for an owner who queues messages between this endpoint and the application.
    `random_bytes(n)`: where masks and ping payloads come from.
    """

    #: Whether this side masks what it sends: the client does (RFC 6455 section 5.1).
    masks: ClassVar[bool]
    #: Frame classes that a subclass knows beside the standard ones, for a parser of its own.
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
        parser = parser or Parser(frame_types=self.frame_types)
        if parser.frame_types is not STANDARD:  # which every endpoint has handlers for
            self._check_handlers(parser)
        parser.masked = not self.masks
        parser.first_rsv = extension.rsv if extension is not None else 0
        if on_data_frame is not None and parser.max_frame_size is None:
            # Frames are then collected whole, before the limit on messages sees them.
            parser.max_frame_size = limits.message_size
        self.parser = parser
        self.max_pings = max_pings
        self.extension = extension
        self.closing = Closing()
        #: The peer's close or violation that waits for `release_end()`.
        self.held: CloseFrame | PeerError | None = None
        #: What has gone either way, in numbers.
        self.traffic = Traffic()
        self._pong_listener: Callable[[PongFrame], object] | None = None
        #: A ping has gone out since the peer was last known to live.
        self.has_asked = False
        self._hold_end = hold_end
        self._closes_on_unrecognized_pong = unrecognized_pong == "close"
        self._defragmenter = Defragmenter(limits, extension, self.traffic)
        self._receiver = Receiver(
            self.closing, parser, self._defragmenter, on_data_frame, self.traffic
        )
        self._is_plain = self._receiver.is_plain
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
        """Have these called from now on, each in the middle of what it tells of; None for none.

        `frame_*(frame, size)`: a frame leaves, or has come whole; `size` is the bytes of its
        payload on the wire, which a data frame that came does not have in itself.
        `message_*(type, size)`: a message was queued by `send_message()` or its last chunk, or is
        complete; `size` is the bytes of its payload, not compressed.

        They must neither raise nor call this endpoint.
        """
        self._sender.frame_listener = frame_sent
        self._sender.message_listener = message_sent
        self._receiver.frame_listener = frame_received
        self._defragmenter.message_listener = message_received
        self._is_plain = self._receiver.is_plain

    def listen_to_pongs(self, listener: Callable[[PongFrame], object] | None) -> None:
        """Call `listener` with each pong before `on_pong`, for an owner that measures round trips.

        It must neither raise nor call this endpoint.
        """
        self._pong_listener = listener

    def _check_handlers(self, parser: Parser) -> None:
        for frame_type in parser.frame_types.values():
            if frame_type.is_control and not hasattr(self, f"on_{frame_type.type}"):
                raise TypeError(
                    f"the parser knows {frame_type.__name__}, "
                    f"but {type(self).__name__} has no on_{frame_type.type}"
                )

    # ---- receiving ---------------------------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        """Push the next bytes from the peer; those behind its close or violation are dropped."""
        if self.held is None and (self.closing.state is State.OPEN or self.closing.expects_frames):
            self.parser.receive_data(data)

    def get_room(self) -> memoryview | None:
        """Return a place that the next bytes from the peer may be written to, or None.

        There is one while a large binary message comes in and all that came is handled; what is
        put there is copied no more.  `receive_in_room` tells how many bytes were, if any.  There
        is none in a subclass that has a `receive_data` of its own, which wants to see them all.
        """
        if self.held is not None or type(self).receive_data is not Endpoint.receive_data:
            return None
        return self._receiver.get_room()

    def receive_in_room(self, size: int) -> None:
        """Take the next bytes from the peer: the first `size` of the room, which was released."""
        self._receiver.fill(size)

    def receive_eof(self) -> None:
        """Take note that the peer's bytes have ended."""
        self.parser.receive_eof()

    def get_next_message(self) -> Message | None:
        """Return the next message if it is complete, else None.

        Control frames met on the way are handled.  What is buffered is drained; the parser's
        source, if it has one, is read at most once a call.  After a close of either side it
        returns None, and `is_closed()` is true; from the next call on it raises `EndpointClosed`.
        Raises `PeerError` for a violation, when the Close frame that tells it is queued, and
        `UnexpectedEOF` (one of them) when the bytes end.
        """
        self._check_open()
        has_pulled = False
        while self.closing.state is State.OPEN:
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
        """After our close: read on until the peer's Close frame; return it, or None if not yet.

        The peer's messages and pings are passed over, as RFC 6455 section 1.4 allows.  The
        parser's source, if it has one, is read at most once a call.  Raises `LocalError` while
        the endpoint is open, and `PeerError` if the peer violates the protocol instead, or its
        bytes end.
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

    # One function and no object for the message: nearly every one passes here.
    def take_payload(self, data: bytes | None = None) -> str | bytes | None:
        """Return what the next message says if it is one plain frame that has come whole.

        A shorter way, for owners who want no more of it; else None, and `step()` handles whatever
        is next.  `data` (not empty) has come now: it is taken if it is that message and there is
        nothing before it; if None is returned, it is to be pushed with `receive_data()`, unless
        the endpoint has closed, or holds the end.
        """
        receiver = self._receiver
        if (
            not self._is_plain
            or self.held is not None
            or self.closing.state is not _OPEN
            or receiver.frame is not None
        ):
            return None
        found = (
            self.parser.read_message(receiver.most)
            if data is None
            else self.parser.read_only_message(data, receiver.most)
        )
        if found is None:
            return None
        frame_type, payload, _ = found
        text: str | None = None
        if frame_type is TextFrame:
            try:
                text = payload.decode()
            except UnicodeDecodeError as error:
                self.refuse(InvalidPayload(f"text is not UTF-8: {error.reason}"))
                return None
        traffic = self.traffic
        traffic.frames_received += 1
        traffic.wire_received += len(payload)
        return payload if text is None else text

    def step(self) -> Message | Progress:
        """Handle one frame, or a part of one, of what has come; return what came of it.

        After our close the peer's frames are passed over until its own.  Raises as
        `get_next_message()` does, and whatever a callback raises: the frame is then handled.
        """
        if self.held is not None:
            return Progress.HELD
        if self.closing.state is not State.OPEN and not self.closing.expects_frames:
            return Progress.ENDED
        try:
            outcome = self._receiver.step()
            return self._act_on(outcome) if isinstance(outcome, ControlFrame) else outcome
        except PeerError as error:
            if self.refuse(error):
                return Progress.HELD
            raise

    def refuse(self, error: PeerError) -> bool:
        """Fail the connection for `error` in this place of the stream; return whether it is held.

        As `step()` does for what it finds, for an owner who has rules of its own.  Behind an end
        that is held already nothing counts.
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
            # After our close the peer's pings and pongs are passed over: nothing may follow it.
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
            # Whatever an override does, or fails to do, the peer is answered.
            if self.closing.sent is None and not self.closing.is_over:
                self._send_close(answer)

    def release_end(self) -> None:
        """Let the peer's close or violation that is `held` take effect; nothing if none is.

        Nor anything if `out` has failed meanwhile: that came first.
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
        """The message that is coming in, for those who do not wait until it is complete."""
        return self._defragmenter

    # ---- what a subclass may override --------------------------------------------------------

    def on_ping(self, frame: PingFrame) -> None:
        """Answer a ping: queue a pong with the same payload (RFC 6455 section 5.5.2)."""
        self._sender.add_frame(PongFrame(frame.payload))

    def on_pong(self, frame: PongFrame) -> None:
        """Take a pong: one for any ping of ours sets the ping counter to zero.

        For one that we never asked for, `unrecognized_pong` says what happens.
        """
        if self._pings.remove(frame.payload):
            self._beats = 0
        elif self._closes_on_unrecognized_pong:
            self.close(CloseCode.PROTOCOL_ERROR, "unrecognized pong")

    def on_close(self, frame: CloseFrame) -> None:
        """Take the peer's Close frame; called once.

        An override may `close()` with a code of its own; else the peer is answered with its own
        code and reason, if a close of ours is not under way already.
        """

    # ---- sending -----------------------------------------------------------------------------

    def send_message(
        self, data: str | Buffer | Message | SharedMessage, *, compress: bool = True
    ) -> None:
        """Queue a message: `str` goes as text, bytes as binary, a `Message` in its frames.

        A `SharedMessage` may be given to many endpoints, which then share its frames if they can.
        One larger than `limits.fragment_size` is cut into fragments.  `compress=False` keeps a
        negotiated compression away from this message.  Raises `EndpointClosed`, `TypeError`,
        `UnicodeEncodeError` (a `ValueError`) for a `str` with lone surrogates; then nothing was
        queued.
        """
        self._check_open()
        if isinstance(data, Message):
            self._sender.relay_message(data, compress=compress)
        elif isinstance(data, SharedMessage):
            self._sender.add_shared(data, compress=compress)
        else:
            self._sender.add_message(data, compress=compress)

    def encode_message(
        self, data: str | Buffer | SharedMessage, *, compress: bool = True
    ) -> bytes | None:
        """Return the bytes of a message that need not be queued, for the owner to write at once.

        None if it has to be queued, with `send_message()`: because other frames wait, it would be
        compressed, or cut, or another message has begun.  Else it raises as `send_message()` does.
        """
        if self.closing.state is not _OPEN:
            self._check_open()
        if self._queue.size:
            return None
        return self._sender.encode_message(data, compress=compress)

    def begin_message(self, type: str, *, compress: bool = True) -> None:
        """Begin a message, "text" or "binary", that is sent by `send_chunk`, piece by piece.

        No other message can be sent before it has ended.  Raises `EndpointClosed`, `LocalError`
        if one has begun already, and `ValueError` for another type.
        """
        self._check_open()
        self._sender.begin_message(type, compress=compress)

    def send_chunk(self, data: str | Buffer, *, final: bool = False) -> None:
        """Queue the next chunk of the message that has begun; `final` ends the message.

        Raises `EndpointClosed`, `LocalError` if none has begun, and `TypeError` for a chunk that
        is not `str` in a text, or not bytes in a binary message.
        """
        self._check_open()
        self._sender.add_chunk(data, final=final)

    def cancel_message(self) -> bool:
        """Forget the message that has begun; False if some of it is queued and it must end."""
        return self._sender.cancel_message()

    @property
    def is_between_messages(self) -> bool:
        """Whether a new message could be sent: none has begun that has not ended."""
        return self._sender.is_between_messages

    def send_frame(self, frame: Frame) -> None:
        """Queue one frame, masked as this role has to: a `Streamer`'s, or a control frame.

        Raises `EndpointClosed`, and `LocalError` for a data frame out of sequence.
        """
        self._check_open()
        if isinstance(frame, CloseFrame):
            self.close(frame.code, frame.reason)
        else:
            self._sender.add_frame(frame)

    def create_message(self, type: str, payload: Buffer | str = b"") -> Message:
        """Return a message in one frame, masked as this role has to, without sending it.

        `type` is "text", "binary", or that of a data frame registered on the parser.
        """
        for frame_type in self.parser.frame_types.values():
            if frame_type.type == type and issubclass(frame_type, DataFrame):
                return Message([frame_type(payload, mask=self._sender.make_mask())])
        raise ValueError(f"no data frame of the type {type!r} is known")

    def ping(self) -> bytes:
        """Queue a ping with a payload of its own, and return that payload."""
        self._check_open()
        payload = self._pings.add()
        self.has_asked = True
        self._sender.add_frame(PingFrame(payload))
        return payload

    def check_heartbeat(self) -> None:
        """Send a ping, or at `max_pings` unanswered ones close with PROTOCOL_ERROR instead.

        For the owner to call whenever it has waited in vain for something to read.  Raises
        `EndpointClosed`.
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
        """Queue our Close frame: behind all that is queued, and nothing after it.

        `code` None sends an empty frame.  Raises `EndpointClosed` if one was sent already, and
        `InvalidCloseCode` for what must not be sent.
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
        if self.closing.state is not State.OPEN:
            raise EndpointClosed(self.closing.explain())

    # ---- the write queue ---------------------------------------------------------------------

    def shift_write_queue(self, *, copy: bool = True) -> Frame | None:
        """Take out the next frame to write, or None; after a close too, until that has left.

        `copy=False` is for who wants its bytes alone: the payload of a fragment may then be a
        `memoryview` of the message that it was cut from.  Raises `LocalError` while
        `flush_write_queue()` has a frame half written.
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
        """Whether frames wait to be shifted: `get_write_queue_size()`, for those who ask often."""
        return self._queue.size > 0

    @property
    def is_pong_waiting(self) -> bool:
        """Whether a pong waits to be shifted: the answer to a further ping would replace it."""
        return self._sender.has_pong

    # ---- the state ---------------------------------------------------------------------------

    def is_closed(self) -> bool:
        """Whether we have tried to send a Close frame (or failed): no more messages can be sent.

        The peer's close may still be outstanding: `get_peer_close()` awaits it, `state` tells.
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


def _cut_reason(text: str) -> str:
    """Cut a reason to the bytes that fit, between two characters."""
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


class ServerEndpoint(Endpoint):
    """The server's side: receives masked frames, sends unmasked ones (RFC 6455 section 5.1)."""

    masks = False


class ClientEndpoint(Endpoint):
    """The client's side: receives unmasked frames, masks what it sends (RFC 6455 section 5.1)."""

    masks = True
