"""Frames into messages: the payloads of one message are joined as they come.

For each data frame call `begin` with its header, `feed` with each piece of its payload (at least
once, with `b""` if it is empty) and after each `feed` `inflate` until that returns False, then
`end`, which returns the `Message` that the frame completes, or None.  `add` does all of it for a
whole frame.

Each raises `PeerError` at the first byte that breaks a rule or a limit; call `discard` then.
Memory is the payload and nine bytes a fragment, and the wire form of a message that an extension
has encoded.
"""

from __future__ import annotations

from collections.abc import Callable

from trio_wsendpoint.errors import MessageTooBig, PolicyViolation, ProtocolError
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.protocol.frames import ContinuationFrame, DataFrame
from trio_wsendpoint.protocol.joiner import Joiner
from trio_wsendpoint.protocol.message import Cuts, Form, Message
from trio_wsendpoint.protocol.traffic import Traffic
from trio_wsendpoint.protocol.utf8 import Utf8Validator, incomplete_tail

__all__ = ["Defragmenter"]

#: Bytes that are decoded at a time, so that the caller can do something else in between.
_INFLATE_STEP = 65536


_NO_FRAME = ContinuationFrame()


class Defragmenter:
    """Joins the frames of one direction, within `limits`.

    `message_listener(type, size)`, if there is one, is called for each message that is complete.
    """

    __slots__ = (
        "_count",
        "_cuts",
        "_decoder",
        "_extension",
        "_first",
        "_frame",
        "_frame_start",
        "_is_partial",
        "_is_skipped",
        "_joiner",
        "_limits",
        "_received",
        "_replaced",
        "_size",
        "_taken",
        "_traffic",
        "_utf8",
        "_whole",
        "_wire",
        "inflated",
        "message_listener",
    )

    def __init__(
        self,
        limits: Limits | None = None,
        extension: MessageExtension | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._extension = extension
        self._traffic = traffic or Traffic()
        self.message_listener: Callable[[str, int], object] | None = None
        #: What decoding has cost so far, for an owner that shares its time: the bytes that came
        #: out of the extension, and 64 KiB for each step in which nothing came out.
        self.inflated = 0
        self.discard()

    def discard(self) -> None:
        """Forget the message that has begun."""
        self._first: DataFrame | None = None
        self._frame: DataFrame = _NO_FRAME  # the frame whose payload is coming in
        self._frame_start = 0  # bytes of the message before that frame
        self._size = 0  # bytes of that frame that are still to come
        self._count = 0  # frames of the message so far
        self._received = 0  # bytes of the message so far, as they were on the wire
        self._replaced = 0  # bytes that came and are not held: a callback gave smaller frames
        self._cuts: Cuts | None = None
        self._whole: bytes | None = None  # the payload, while it is one piece
        self._joiner: Joiner | None = None  # the payload, when it is several
        self._decoder: MessageExtension | None = None  # if the message is encoded
        self._wire: bytearray | None = None  # what was fed, of an encoded message
        self._utf8: Utf8Validator | None = None
        self._taken = 0  # bytes of the payload that take_part() has handed out, or skip() dropped
        self._is_partial = False  # take_part() has been called for this message
        self._is_skipped = False  # skip() has been called for this message

    @property
    def message_size(self) -> int:
        """The most bytes of payload that a message may have."""
        return self._limits.most_in_message

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._first is not None

    @property
    def partial_type(self) -> str | None:
        """The type of the message that has begun and not ended, or None."""
        return None if self._first is None or self._is_skipped else self._first.type

    @property
    def partial_size(self) -> int:
        """Bytes of that message that wait for its end, or for `take_part`."""
        if self._joiner is not None:
            return self._joiner.size
        return len(self._whole or b"")

    @property
    def frame_size(self) -> int:
        """Bytes of payload of the frame that is coming in, as far as they have come."""
        return self._received - self._frame_start

    @property
    def held_size(self) -> int:
        """Bytes that are held for that message, its wire form and its cuts included."""
        cuts = 0 if self._cuts is None else self._cuts.held_size
        return self.partial_size + len(self._wire or b"") + cuts

    @property
    def has_part(self) -> bool:
        """Whether `take_part` would return anything."""
        if self._utf8 is None:
            return self.partial_size > 0
        # At most three bytes are an unfinished character.
        data = self._whole or b"" if self._joiner is None else self._joiner.tail(4)
        return len(data) > incomplete_tail(data)

    def take_part(self) -> bytes:
        """Take out what has come of the message that has begun; of a text, whole characters.

        The `Message` that `end` returns later has only the rest, in one frame.
        """
        if self._first is None:
            return b""
        data = self._payload
        kept = incomplete_tail(data) if self._utf8 is not None else 0
        cut = len(data) - kept
        self._joiner, self._whole = None, data[cut:]
        self._taken += cut
        self._is_partial = True
        self._cuts = None
        self._wire = None
        return data[:cut]

    def skip(self) -> None:
        """Drop the message that has begun: `end` will not return it; its limits still hold."""
        if self._first is not None:
            self.take_part()
            self._taken += self.partial_size
            self._whole = None
            self._is_skipped = True

    def add(self, frame: DataFrame, *, came: int = 0) -> Message | None:
        """Take a whole frame; return the message that it completes, or None.

        `came`: bytes of the frame that it takes the place of, if that was larger.
        """
        self.add_whole(frame, came=came)
        while self.inflate():
            pass
        return self.end()

    def add_whole(self, frame: DataFrame, *, came: int) -> None:
        """Begin a whole frame and feed all of it: `inflate` and `end` are left to do."""
        self._replaced += max(0, came - len(frame.payload))
        self.begin(frame, len(frame.payload))
        self.feed(frame.payload)

    def begin(self, frame: DataFrame, size: int) -> None:
        """Take the header of the next frame, which announces `size` bytes of payload."""
        if isinstance(frame, ContinuationFrame) is (self._first is None):
            # The parser refuses it a byte earlier; this is for frames that are added by hand.
            raise ProtocolError(
                "a continuation frame outside of a message"
                if self._first is None
                else f"a {frame.type} frame inside a fragmented message"
            )
        if self._first is None:
            self._first = frame
            if frame.type == "text":
                self._utf8 = Utf8Validator()
            if self._extension is not None and frame.rsv & self._extension.rsv:
                self._decoder = self._extension
        self._frame = frame
        self._frame_start = self._received
        self._size = size
        self._count += 1
        if self._joiner is not None:
            self._joiner.is_last = frame.fin and self._decoder is None
        self._check_limits()

    def _check_limits(self) -> None:
        limits = self._limits
        most = limits.most_in_message
        if self._decoder is not None:
            # Data that does not compress grows: by 4 % with the least memory that zlib takes
            # (memLevel 1; with ours by 5 bytes in 2 KiB), and by up to 10 bytes at each flush,
            # which may be in each frame.  The exact limit is applied to the output; this one
            # bounds the input.
            most += most // 16 + 16 * self._count + 64
        if self._received + self._size > most:
            raise MessageTooBig(
                f"a message of {self._received + self._size} bytes or more, "
                f"the limit is {limits.most_in_message} bytes (Limits.message_size)"
            )
        if self._count > limits.fragments + (self._received + self._replaced) // 32:
            raise PolicyViolation(
                f"a message of {self._received} bytes in {self._count} frames, "
                f"the limit is {limits.fragments} (Limits.fragments)"
            )

    def get_joiner(self) -> Joiner | None:
        """Return where the next piece may be put instead of passing it to `feed`, or None.

        None for texts, which are checked, and for messages that are decoded.  Tell `note_joined`
        afterwards.
        """
        if self._utf8 is not None or self._decoder is not None or self._is_skipped:
            return None
        if self._joiner is None and self._whole:
            return self._begin_joining()
        return self._joiner

    def note_joined(self, size: int) -> None:
        """Count the next `size` bytes of the frame: those in what `get_joiner` returned."""
        self._received += size
        self._size -= size

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the frame's payload, as it was on the wire."""
        self.note_joined(len(piece))
        if self._decoder is None:
            self._append(piece)
        else:
            if not self._is_partial:
                if self._wire is None:
                    self._wire = bytearray()
                self._wire += piece
            self._traffic.encoded_received += len(piece)
            self._decoder.feed(piece, final=self._frame.fin and not self._size)

    def inflate(self) -> bool:
        """Decode a part of what was fed, at most 64 KiB; return whether there may be more."""
        if self._decoder is None:
            return False
        room = self._limits.most_in_message - self._taken - self.partial_size
        # One byte more than there is room for shows that the message is too big: no more of it
        # is decoded.
        piece = self._decoder.read(min(_INFLATE_STEP, room + 1))
        if piece is None:
            return False
        self.inflated += len(piece) or _INFLATE_STEP
        self._traffic.plain_received += len(piece)
        if len(piece) > room:
            raise MessageTooBig(
                f"a message that inflates to more than {self._limits.most_in_message} bytes, "
                "the limit (Limits.message_size)"
            )
        if piece:
            self._append(piece)
        return True

    def end(self) -> Message | None:
        """End the frame; return the message if it was its last."""
        frame = self._frame
        if (self._count > 1 or not frame.fin) and not self._is_partial:
            if self._cuts is None:
                self._cuts = Cuts()
            self._cuts.add(self._received - self._frame_start, frame.rsv, frame.mask)
        if not frame.fin:
            return None
        if self._utf8 is not None:
            self._utf8.feed(b"", final=True)
        if self._is_skipped:
            self.discard()
            return None
        payload = self._payload
        wire = None if self._decoder is None or self._is_partial else bytes(self._wire or b"")
        first = self._first or frame
        form = Form(first.mask, first.rsv, self._cuts, wire)
        message = Message.received(type(first), payload, form)
        if self.message_listener is not None:
            self.message_listener(message.type, self._taken + len(payload))
        self.discard()
        return message

    def _append(self, piece: bytes) -> None:
        if self._utf8 is not None:
            self._utf8.feed(piece)
        if self._is_skipped:
            self._taken += len(piece)
        elif self._joiner is not None:
            self._joiner.add(piece, announced=self._announced)
        elif not self._whole:
            self._whole = piece
        else:
            self._begin_joining().add(piece, announced=self._announced)

    @property
    def _announced(self) -> int:
        """Bytes of the message that are known to follow what has been fed."""
        return self._size if self._decoder is None else 0

    def _begin_joining(self) -> Joiner:
        """Move what there is to a joiner, where more can be added."""
        self._joiner = Joiner(is_last=self._frame.fin and self._decoder is None)
        whole, self._whole = self._whole or b"", None
        self._joiner.add(whole, announced=self._announced)
        return self._joiner

    @property
    def _payload(self) -> bytes:
        """What there is of the message; the joiner, if there is one, is used up."""
        return self._whole or b"" if self._joiner is None else self._joiner.take()
