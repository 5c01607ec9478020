"""One message for many endpoints: its frames, and their bytes, are made once where possible.

An endpoint that masks cannot share them (RFC 6455 section 5.3: each frame has a mask of its own),
nor can one whose extension encodes a message by the messages before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from trio_wsendpoint.protocol.frames import (
    BinaryFrame,
    Buffer,
    ContinuationFrame,
    DataFrame,
    TextFrame,
)
from trio_wsendpoint.protocol.message import Message

__all__ = ["SharedFrame", "SharedMessage", "payload_of"]


class SharedFrame(DataFrame):
    """A frame with its bytes on the wire, `wire`, which are made once."""

    # No slots: one of these serves many connections.
    wire: bytes

    def to_bytes(self) -> bytes:
        """Return the frame as it goes on the wire."""
        return self.wire

    def to_buffers(self) -> tuple[bytes, ...]:
        """Return the same, in one piece."""
        return (self.wire,)


class _SharedTextFrame(SharedFrame, TextFrame):
    pass


class _SharedBinaryFrame(SharedFrame, BinaryFrame):
    pass


class _SharedContinuationFrame(SharedFrame, ContinuationFrame):
    pass


_SHARED: dict[type[DataFrame], type[SharedFrame]] = {
    TextFrame: _SharedTextFrame,
    BinaryFrame: _SharedBinaryFrame,
    ContinuationFrame: _SharedContinuationFrame,
}


class SharedMessage:
    """A text for `str`, a binary message for bytes, for `Endpoint.send_message` of many endpoints.

    `kind` is the class of its first frame, `payload` its bytes (a buffer's content is copied).
    Raises `TypeError`, and `UnicodeEncodeError` for a `str` with lone surrogates.
    """

    __slots__ = ("_frames", "kind", "payload")

    def __init__(self, data: str | Buffer) -> None:
        kind, payload = payload_of(data)
        self.kind = kind
        self.payload = bytes(payload)
        self._frames: dict[object, tuple[SharedFrame, ...]] = {}

    def get(self, key: object) -> tuple[SharedFrame, ...] | None:
        """Return the frames that were kept under `key`, or None."""
        return self._frames.get(key)

    def keep(self, key: object, frames: Iterable[DataFrame]) -> tuple[SharedFrame, ...]:
        """Keep unmasked frames of the message under `key`; return them in a form for many."""
        kept: list[SharedFrame] = []
        for frame in frames:
            shared = _SHARED[type(frame)].received(frame.fin, frame.rsv, b"")
            shared.payload, shared.wire = bytes(frame.payload), frame.to_bytes()
            kept.append(shared)
        self._frames[key] = tuple(kept)
        return self._frames[key]


_BYTES = bytes, bytearray


def payload_of(
    data: str | Buffer | Message | SharedMessage,
) -> tuple[type[DataFrame], bytes | bytearray]:
    """Return the class of a message's first frame, and its bytes, which are not copied.

    Raises `TypeError` for what is no message, and `UnicodeEncodeError` for lone surrogates.
    """
    if isinstance(data, _BYTES):
        return BinaryFrame, data
    if isinstance(data, str):
        return TextFrame, data.encode()
    if isinstance(data, memoryview):
        return BinaryFrame, data.tobytes()  # it may not be contiguous
    if isinstance(data, SharedMessage):
        return data.kind, data.payload
    if isinstance(data, Message):
        return data.kind, data.raw
    raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
