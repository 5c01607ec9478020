"""A whole message, and the frames that it came in.

A message is held as one payload, however many frames it came in.  `get_frames()` makes the frames
again from the payload and from nine bytes a fragment.
"""

from __future__ import annotations

import builtins
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from trio_wsendpoint.errors import InvalidFrame
from trio_wsendpoint.protocol.coding import Content
from trio_wsendpoint.protocol.frames import ContinuationFrame, DataFrame

__all__ = ["Cuts", "Form", "Message"]

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

    def frames(self, first: type[DataFrame], payload: bytes) -> list[DataFrame]:
        """Return the frames that `payload` came in, the first of the class `first`."""
        frames: list[DataFrame] = []
        start = 0
        for size, flags, mask in _CUT.iter_unpack(self._packed):
            frame_type = ContinuationFrame if frames else first
            frame = frame_type.received(False, flags & 7, mask if flags & 8 else b"")
            frame.payload = payload[start : start + size]
            frames.append(frame)
            start += size
        frames[-1].fin = True
        return frames


class Form(NamedTuple):
    """The frames that a message came in: mask and RSV bits of the first, cuts if there are several.

    `wire` is the payload as the frames carried it, if an extension had encoded it.
    """

    mask: bytes
    rsv: int = 0
    cuts: Cuts | None = None
    wire: bytes | None = None


class Message(Content):
    """A message: `type` ("text", "binary" or an extension's), `payload` (str for text, or bytes).

    It is made from its data frames: the first has the type, the others are continuations, and the
    last has `fin`.  Raises `InvalidFrame` for any other sequence.  The payload of a text that is
    not UTF-8 raises `UnicodeDecodeError` (a `ValueError`) when it is asked for.
    """

    __slots__ = ()

    def __init__(self, frames: Iterable[DataFrame]) -> None:
        frames = tuple(frames)
        _check_sequence(frames)
        first, *others = frames
        cuts: Cuts | None = None
        if others:
            cuts = Cuts()
            for frame in frames:
                cuts.add(len(frame.payload), frame.rsv, frame.mask)
        payload = b"".join([frame.payload for frame in frames])
        form = Form(first.mask, first.rsv, cuts)
        self.fill(type(first), payload, form, first.type == "text")

    @classmethod
    def received(
        cls, kind: builtins.type[DataFrame], payload: bytes, form: Form | bytes
    ) -> Message:
        """Make a message from parts that have been checked; `form` may be the mask of one frame."""
        message = cls.__new__(cls)
        message.fill(kind, payload, form, kind.type == "text")
        return message

    if TYPE_CHECKING:

        @property
        def kind(self) -> builtins.type[DataFrame]: ...  # noqa: D102
        @property
        def form(self) -> Form | bytes: ...  # noqa: D102

    @property
    def type(self) -> str:
        """The seed's word for what the message is: "text", "binary", or an extension's own."""
        return self.kind.type

    @property
    def held_size(self) -> int:
        """Bytes that the message holds: payload, wire form if an extension encoded it, and cuts."""
        form = self.form
        if isinstance(form, bytes):
            return self.size
        cuts = 0 if form.cuts is None else form.cuts.held_size
        return self.size + len(form.wire or b"") + cuts

    @property
    def is_encoded(self) -> bool:
        """Whether an extension had encoded the payload; `get_frames()` has it as it came."""
        return not isinstance(self.form, bytes) and self.form.wire is not None

    def get_frames(self) -> tuple[DataFrame, ...]:
        """Return the frames that the message came in, with their RSV bits and payloads then."""
        form = Form(self.form) if isinstance(self.form, bytes) else self.form
        wire = self.raw if form.wire is None else form.wire
        if form.cuts is not None:
            return tuple(form.cuts.frames(self.kind, wire))
        frame = self.kind.received(True, form.rsv, form.mask)
        frame.payload = wire
        return (frame,)

    def to_bytes(self) -> bytes:
        """Return the message as it goes on the wire."""
        return b"".join(frame.to_bytes() for frame in self.get_frames())

    def __repr__(self) -> str:
        return f"<Message {self.type}, {self.size} B in {len(self.get_frames())} frame(s)>"


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
