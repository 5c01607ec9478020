"""A whole message, and the frames that it came in.

A message is held as one payload, however many frames it came in.  `get_frames()` makes the frames
again from the payload and from nine bytes a fragment.
"""

from __future__ import annotations

import builtins
import struct
from collections.abc import Iterable

from trio_wsendpoint.errors import InvalidFrame
from trio_wsendpoint.protocol.frames import ContinuationFrame, DataFrame

__all__ = ["Cuts", "Message"]

_CUT = struct.Struct("!IB4s")


class Cuts:
    """Where a joined payload was cut into frames: size, RSV bits and mask of each fragment."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed = bytearray()

    def add(self, size: int, rsv: int, mask: bytes) -> None:
        """Note the next fragment: its payload's bytes, its RSV bits, its mask or `b""`."""
        self._packed += _CUT.pack(size, rsv | bool(mask) << 3, mask or bytes(4))

    def __len__(self) -> int:
        return len(self._packed) // _CUT.size

    @property
    def held_size(self) -> int:
        """Bytes that are held."""
        return len(self._packed)

    def frames(self, first: DataFrame, payload: bytes) -> list[DataFrame]:
        """Return the frames that `payload` came in, `first` giving the type of the first."""
        frames: list[DataFrame] = []
        start = 0
        for size, flags, mask in _CUT.iter_unpack(self._packed):
            frame_type = ContinuationFrame if frames else type(first)
            frame = frame_type.received(False, flags & 7, mask if flags & 8 else b"")
            frame.payload = payload[start : start + size]
            frames.append(frame)
            start += size
        frames[-1].fin = True
        return frames


class Message:
    """A message: `type` ("text", "binary" or an extension's), `payload` (str for text, or bytes).

    It is made from its data frames: the first has the type, the others are continuations, and the
    last has `fin`.  Raises `InvalidFrame` for any other sequence.  The payload of a text that is
    not UTF-8 raises `UnicodeDecodeError` (a `ValueError`) when it is asked for.
    """

    __slots__ = ("_cuts", "_first", "_payload", "_text", "_wire")

    def __init__(self, frames: Iterable[DataFrame]) -> None:
        frames = tuple(frames)
        _check_sequence(frames)
        self._first = frames[0]
        self._payload = b"".join(frame.payload for frame in frames)
        self._text: str | None = None
        self._wire: bytes | None = None
        self._cuts: Cuts | None = None
        if len(frames) > 1:
            self._cuts = Cuts()
            for frame in frames:
                self._cuts.add(len(frame.payload), frame.rsv, frame.mask)

    @classmethod
    def received(
        cls,
        first: DataFrame,
        payload: bytes,
        cuts: Cuts | None,
        *,
        wire: bytes | None = None,
        text: str | None = None,
    ) -> Message:
        """Make a message from parts that have been checked.

        `wire` is the payload as the frames carried it, if an extension had encoded it.
        """
        message = cls.__new__(cls)
        message._first = first
        message._payload = payload
        message._cuts = cuts
        message._wire = wire
        message._text = text
        return message

    @property
    def type(self) -> str:
        """The seed's word for what the message is: "text", "binary", or an extension's own."""
        return self._first.type

    @property
    def kind(self) -> builtins.type[DataFrame]:
        """The class of its first frame."""
        return type(self._first)

    @property
    def size(self) -> int:
        """Bytes of payload (for a text, of UTF-8)."""
        return len(self._payload)

    @property
    def held_size(self) -> int:
        """Bytes that the message holds: payload, wire form if an extension encoded it, and cuts."""
        size = len(self._payload)
        if self._wire is not None:
            size += len(self._wire)
        if self._cuts is not None:
            size += self._cuts.held_size
        return size

    @property
    def is_encoded(self) -> bool:
        """Whether an extension had encoded the payload; `get_frames()` has it as it came."""
        return self._wire is not None

    @property
    def raw(self) -> bytes:
        """The payload as bytes, of a text too."""
        return self._payload

    @property
    def payload(self) -> str | bytes:
        """The payload: `str` for a text message, `bytes` for any other."""
        if self._first.type != "text":
            return self._payload
        if self._text is None:
            self._text = self._payload.decode()
        return self._text

    def get_frames(self) -> tuple[DataFrame, ...]:
        """Return the frames that the message came in, with their RSV bits and payloads then."""
        wire = self._payload if self._wire is None else self._wire
        if self._cuts is not None:
            return tuple(self._cuts.frames(self._first, wire))
        frame = self._first.received(True, self._first.rsv, self._first.mask)
        frame.payload = wire
        return (frame,)

    def to_bytes(self) -> bytes:
        """Return the message as it goes on the wire."""
        return b"".join(frame.to_bytes() for frame in self.get_frames())

    def __repr__(self) -> str:
        return f"<Message {self.type}, {self.size} B in {len(self._cuts or '.')} frame(s)>"


def _check_sequence(frames: tuple[DataFrame, ...]) -> None:
    if not frames:
        raise InvalidFrame("a message has at least one frame")
    for place, frame in enumerate(frames):
        if not isinstance(frame, DataFrame):
            raise InvalidFrame(f"a message is made of data frames, not of {frame!r}")
        if isinstance(frame, ContinuationFrame) is (place == 0):
            raise InvalidFrame(f"frame {place + 1} of a message cannot be a {frame.type} frame")
        if frame.fin is not (place == len(frames) - 1):
            raise InvalidFrame(f"fin is {frame.fin} in frame {place + 1} of {len(frames)}")
