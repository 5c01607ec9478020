"""The outgoing half of an endpoint: messages into frames, frames into the queue, and out of it.

Frames in the queue are valid and in order.  `before_send_frame` sees each control frame once,
before it leaves.  When the Close frame leaves, the closing table is told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trio_wsendpoint.errors import LocalError
from trio_wsendpoint.protocol.closing import Closing, Event
from trio_wsendpoint.protocol.coding import build_frame
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.protocol.frames import (
    MAX_HEADER,
    BinaryFrame,
    Buffer,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
)
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.output import Output
from trio_wsendpoint.protocol.shared import SharedFrame, SharedMessage, payload_of
from trio_wsendpoint.protocol.traffic import Traffic
from trio_wsendpoint.protocol.write_queue import WriteQueue

__all__ = ["Sender"]

_KINDS: dict[str, type[DataFrame]] = {"text": TextFrame, "binary": BinaryFrame}

#: How many masks are drawn at once: a call of os.urandom costs more than the masking of a
#: short message.
_MASKS_DRAWN = 32
#: The most bytes of an unmasked message that are copied behind their header: up to here that is
#: cheaper than to queue the message and to write header and payload apart.
_MOST_COPIED = 131072


class Sender:
    """The write queue, what fills it and what empties it.

    `frame_listener(frame, size)` is called for each frame that leaves, `message_listener(type,
    size)` for each message that is queued; `size` is the bytes of payload, of a message before it
    was encoded.
    """

    __slots__ = (
        "_before_send_frame",
        "_chunk_encoder",
        "_chunk_size",
        "_chunk_type",
        "_closing",
        "_extension",
        "_fragment_size",
        "_in_message",
        "_mask_pool",
        "_masks",
        "_most_at_once",
        "_next",
        "_output",
        "_queue",
        "_random_bytes",
        "_traffic",
        "frame_listener",
        "message_listener",
    )

    def __init__(
        self,
        closing: Closing,
        *,
        masks: bool,
        out: Any,  # any object with `send` or `write`
        before_send_frame: Callable[[ControlFrame], object] | None,
        fragment_size: int,
        extension: MessageExtension | None,
        random_bytes: Callable[[int], bytes],
        traffic: Traffic | None = None,
        queue: WriteQueue | None = None,
    ) -> None:
        self._closing = closing
        self._traffic = traffic or Traffic()
        self._masks = masks
        self._output = None if out is None else Output(out)
        self._before_send_frame = before_send_frame
        self._fragment_size = fragment_size
        self._most_at_once = 0  # bytes of a message that may leave at once; -1 if none may
        self.listen()
        self._extension = extension
        self._random_bytes = random_bytes
        self._mask_pool = b""
        self._queue = WriteQueue() if queue is None else queue
        self._next: Frame | None = None  # taken out of the queue, but not handed over yet
        self._in_message = False
        self._chunk_type: type[DataFrame] | None = None  # of the message whose chunks follow
        self._chunk_encoder: MessageExtension | None = None
        self._chunk_size = 0  # bytes of the chunks so far

    def listen(
        self,
        frame: Callable[[Frame, int], object] | None = None,
        message: Callable[[str, int], object] | None = None,
    ) -> None:
        """Set the listeners."""
        self.frame_listener = frame
        self.message_listener = message
        if frame is not None or message is not None or self._output is not None:
            self._most_at_once = -1  # a listener is told, or the frame goes to `out`
        else:
            most = self._fragment_size
            self._most_at_once = most if self._masks else min(most, _MOST_COPIED)

    # ---- in ----------------------------------------------------------------------------------

    def make_mask(self) -> bytes:
        """Return the mask for one frame: 4 unpredictable bytes, or `b""` for a server.

        RFC 6455 section 5.3: it "MUST be chosen at random for each frame".
        """
        if not self._masks:
            return b""
        if not self._mask_pool:
            self._mask_pool = self._random_bytes(4 * _MASKS_DRAWN)
        mask, self._mask_pool = self._mask_pool[:4], self._mask_pool[4:]
        return mask

    def add_message(
        self, data: str | Buffer | Message | SharedMessage, *, compress: bool, at_once: bool = False
    ) -> bytes | None:
        """Queue a whole message: a text for `str`, a binary one for bytes.

        With `at_once`, if nothing is before the message and it is one frame that is worth a copy,
        return the bytes of that frame instead.
        """
        if self._chunk_type is not None or self._in_message:
            self._check_between_messages()
        kind: type[DataFrame]
        payload: Buffer
        kind, payload = payload_of(data)
        size, first = len(payload), 0x80
        frames: Sequence[SharedFrame] = ()
        if isinstance(data, SharedMessage):
            frames = self._share(data, compress=compress)
        if compress and self._extension is not None and not frames:
            payload, rsv = self._encode(kind, payload)
            first |= rsv << 4
        traffic = self._traffic
        traffic.payload_sent += size
        if (
            at_once
            and not self._queue.size
            and len(payload) <= self._most_at_once
            and self._next is None
            and (not frames or len(frames) == 1)
        ):
            traffic.frames_sent += 1
            if frames:
                return frames[0].wire
            mask = self.make_mask() if self._masks else b""
            return build_frame(kind.opcode | first, payload, mask)
        if self.message_listener is not None:
            self.message_listener(kind.type, size)
        for frame in frames or self._cut(kind, payload, first >> 4 & 7):
            self._queue.add(frame)
        self._write_if_blocking()
        return None

    def relay_message(self, message: Message, *, compress: bool) -> None:
        """Queue a message in the frames that it came in, or was made of.

        If an extension had encoded the message, it is encoded anew: the form that came was for
        another connection.
        """
        if message.is_encoded:
            self.add_message(message, compress=compress)
            return
        self._check_between_messages()
        for frame in message.get_frames():
            self.add_frame(frame)
        if self.message_listener is not None:
            self.message_listener(message.type, message.size)

    def _encode(self, kind: type[DataFrame], payload: Buffer) -> tuple[Buffer, int]:
        """Return a payload as the extension encodes it, with its RSV bits, or else as it is."""
        extension, size = self._extension, len(payload)
        if extension is None or not extension.wants(kind.type, size):
            return payload, 0
        encoded = extension.encode(payload, final=True)
        self._note_encoded(size, len(encoded))
        return encoded, extension.rsv

    def _note_encoded(self, size: int, encoded: int) -> None:
        self._traffic.plain_sent += size
        self._traffic.encoded_sent += encoded

    def _share(self, message: SharedMessage, *, compress: bool) -> Sequence[SharedFrame]:
        """Return the shared frames of `message`, made now if there are none; none if we cannot."""
        extension, kind, size = self._extension, message.kind, len(message.payload)
        is_encoded = compress and extension is not None and extension.wants(kind.type, size)
        sharing = getattr(extension, "sharing_key", None) if is_encoded else "plain"
        if self._masks or sharing is None:
            return ()
        key = sharing, self._fragment_size
        frames = message.get(key)
        if frames is None:
            payload, rsv = message.payload, 0
            if is_encoded and extension is not None:
                payload, rsv = extension.encode(payload, final=True), extension.rsv
            frames = message.keep(key, self._cut(kind, payload, rsv))
        if is_encoded:
            self._note_encoded(size, sum([len(frame.payload) for frame in frames]))
        return frames

    def begin_message(self, kind: str, *, compress: bool) -> None:
        """Begin a "text" or "binary" message whose chunks follow; nothing is queued yet."""
        if kind not in _KINDS:
            raise ValueError(f'a message is "text" or "binary", not {kind!r}')
        self._check_between_messages()
        self._chunk_type = _KINDS[kind]
        extension = self._extension
        wanted = compress and extension is not None and extension.wants(kind, sys.maxsize)
        self._chunk_encoder = extension if wanted else None
        self._chunk_size = 0

    def add_chunk(self, data: str | Buffer, *, final: bool) -> None:
        """Queue the next chunk of the message that was begun; `final` ends it."""
        first = self._chunk_type
        if first is None:
            raise LocalError("no message was begun: begin_message() first")
        if not isinstance(data, str if first is TextFrame else (bytes, bytearray, memoryview)):
            raise TypeError(f"a chunk of a {first.type} message cannot be {type(data).__name__}")
        _, payload = payload_of(data)
        rsv = 0
        size = len(payload)
        self._chunk_size += size
        self._traffic.payload_sent += size
        if self._chunk_encoder is not None:
            payload = self._chunk_encoder.encode(payload, final=final, flush=not final)
            self._note_encoded(size, len(payload))
            rsv = 0 if self._in_message else self._chunk_encoder.rsv
        if final or len(payload):  # an empty chunk would be a frame for nothing
            kind = ContinuationFrame if self._in_message else first
            for frame in list(self._cut(kind, payload, rsv, final=final)):
                self._queue.add(frame)
            self._in_message = not final
        if final:
            self._chunk_type = None
            if self.message_listener is not None:
                self.message_listener(first.type, self._chunk_size)
        self._write_if_blocking()

    def cancel_message(self) -> bool:
        """Forget the message that was begun; return False if a part of it is queued already."""
        if self._in_message:
            return False
        self._chunk_type = None
        return True

    @property
    def is_between_messages(self) -> bool:
        """Whether the last message that began has ended."""
        return self._chunk_type is None and not self._in_message

    def _check_between_messages(self) -> None:
        if self._chunk_type is not None or self._in_message:
            raise LocalError("a message is being sent in fragments: end it first")

    def _cut(
        self, first: type[DataFrame], payload: Buffer, rsv: int, *, final: bool = True
    ) -> Iterator[DataFrame]:
        """Cut a payload into fragments, between which control frames can pass.

        If there are several, they are views of the payload, which is copied if it could change.
        """
        if len(payload) <= self._fragment_size:
            frame = first.received(final, rsv, self.make_mask())
            frame.payload = bytes(payload)
            yield frame
            return
        view = memoryview(payload if type(payload) is bytes else bytes(payload))
        end = len(view)
        for start in range(0, end, self._fragment_size):
            stop = start + self._fragment_size
            frame = (ContinuationFrame if start else first).received(
                final and stop >= end, 0 if start else rsv, self.make_mask()
            )
            # `_take` makes bytes of it.
            frame.payload = view[start:stop]  # type: ignore[assignment]
            yield frame

    def add_frame(self, frame: Frame) -> None:
        """Queue `frame` with the mask that this role needs; data frames must make up messages."""
        if not isinstance(frame, ControlFrame):
            if self._chunk_type is not None:
                raise LocalError("a message is being sent in fragments: end it first")
            if isinstance(frame, ContinuationFrame) is not self._in_message:
                raise LocalError(
                    f"a {frame.type} frame cannot be sent "
                    + ("inside" if self._in_message else "outside of")
                    + " a fragmented message"
                )
            self._in_message = not frame.fin
            self._traffic.payload_sent += len(frame.payload)
        own = frame.received(frame.fin, frame.rsv, self.make_mask())
        own.payload = frame.payload
        self._queue.add(own)
        self._write_if_blocking()

    # ---- out ---------------------------------------------------------------------------------

    @property
    def frames(self) -> int:
        """Frames that wait, a partly written one included."""
        partial = self._output is not None and self._output.is_partial
        return len(self._queue) + (self._next is not None) + partial

    @property
    def size(self) -> int:
        """Bytes that wait, each frame with its payload and the longest header."""
        held = 0 if self._next is None else len(self._next.payload) + MAX_HEADER
        return self._queue.size + held

    @property
    def message_bytes(self) -> int:
        """Of `size`, the bytes of data frames; a frame that was taken out already is none."""
        return self._queue.message_bytes

    @property
    def has_pong(self) -> bool:
        """Whether a pong waits, which the next pong would replace."""
        return self._queue.has_pong

    def shift(self, *, copy: bool = True) -> Frame | None:
        """Take out the next frame, or None; the caller writes it.

        Without `copy` its payload may be a view of the message that it was cut from.
        """
        if self._output is not None and self._output.is_partial:
            raise LocalError("a frame is written in part: flush_write_queue() must finish it")
        frame = self._take(copy=copy)
        if isinstance(frame, CloseFrame):
            self._closing.move(Event.ANSWER_LEAVES)
        return frame

    def _take(self, *, copy: bool) -> Frame | None:
        if self._next is None:
            self._next = self._queue.shift()
            if self._before_send_frame is not None and isinstance(
                self._next, (PingFrame, PongFrame, CloseFrame)
            ):
                # If it raises, the frame stays the next one, and is not shown a second time.
                self._before_send_frame(self._next)
        frame, self._next = self._next, None
        if frame is not None:
            self._traffic.frames_sent += 1
            if frame.is_control:
                self._traffic.note_control_sent(frame.type)
            elif copy or self.frame_listener is not None:
                frame.payload = bytes(frame.payload)
            if self.frame_listener is not None:
                self.frame_listener(frame, len(frame.payload))
        return frame

    def flush(self) -> bool:
        """Write one frame, or the rest of one; return whether all is written."""
        if self._output is None:
            raise LocalError("there is no out to write to: shift_write_queue() instead")
        try:
            if self._output.is_partial:
                self._output.resume()
            elif (frame := self._take(copy=False)) is not None:
                self._output.write(frame.to_bytes())
        except OSError as error:
            if self._closing.move(Event.BYTES_END):
                self._closing.error = error
            self.clear()
            raise
        is_all_written = not self.frames
        if is_all_written and self._queue.is_ended:
            # The Close frame is the last, and only now is it certain that it has left.
            self._closing.move(Event.ANSWER_LEAVES)
        return is_all_written

    def clear(self) -> None:
        """Drop all frames, and take no more: nothing can be written any longer."""
        self._queue.clear()
        self._next = None
        if self._output is not None:
            self._output.clear()

    def _write_if_blocking(self) -> None:
        if self._output is not None and self._output.is_blocking:
            while not self.flush():
                pass
