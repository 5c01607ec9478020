"""Frames: the units of RFC 6455 section 5, as objects made with four keywords.

The constructors check what they are given (`InvalidFrame`), so a frame that exists may be sent.  A
frame owns its payload: a caller's buffer is copied, and never masked in place.  `to_bytes()` alone
makes bytes, when a frame leaves.  The parser has checked its bytes already, and makes frames with
`Frame.received`.

New kinds are subclasses of `DataFrame` (opcodes 3-7) or `ControlFrame` (11-15) with an `opcode`
and a `type`, registered on the `Parser`.
"""

from __future__ import annotations

from typing import ClassVar, Self

from trio_wsendpoint.errors import InvalidCloseCode, InvalidFrame, InvalidPayload, ProtocolError
from trio_wsendpoint.protocol.coding import build_frame, build_header
from trio_wsendpoint.protocol.opcodes import (
    MAX_CONTROL_PAYLOAD,
    MAX_REASON,
    Opcode,
    describe_code,
    is_wire_code,
)

__all__ = [
    "BinaryFrame",
    "Buffer",
    "CloseFrame",
    "ContinuationFrame",
    "ControlFrame",
    "DataFrame",
    "Frame",
    "PingFrame",
    "PongFrame",
    "TextFrame",
]

#: What may be given as binary data.
Buffer = bytes | bytearray | memoryview

#: Bytes of a frame's header at most: two, an 8-byte length, a 4-byte mask.
MAX_HEADER = 14


class Frame:
    """One frame: `payload` (bytes, unmasked), `fin`, `rsv` (0-7, RSV1 is 0b100), `mask`.

    `mask` is the 4 bytes that the payload is masked with on the wire, or `b""` for none.
    """

    __slots__ = ("fin", "mask", "payload", "rsv")

    #: The opcode, 0-15, and the seed's word for it ("text", "ping", ...).
    opcode: ClassVar[int]
    type: ClassVar[str]
    is_control: ClassVar[bool] = False

    payload: bytes
    fin: bool
    rsv: int
    mask: bytes

    def __init__(
        self, payload: Buffer | str = b"", *, fin: bool = True, rsv: int = 0, mask: Buffer = b""
    ) -> None:
        if not hasattr(type(self), "opcode"):
            raise TypeError(f"{type(self).__name__} has no opcode: make one of its subclasses")
        if isinstance(payload, str):
            if self.opcode != Opcode.TEXT:
                raise TypeError(f"the payload of a {self.type} frame must be bytes, not str")
            payload = payload.encode()
        elif not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"a payload must be bytes, not {type(payload).__name__}")
        if not isinstance(rsv, int) or not 0 <= rsv <= 7:
            raise InvalidFrame(f"rsv must be three bits (0 to 7), not {rsv!r}")
        if len(mask) not in {0, 4}:
            raise InvalidFrame(f"a mask has 4 bytes, or none, not {len(mask)}")
        self.payload = bytes(payload)
        self.fin = bool(fin)
        self.rsv = rsv
        self.mask = bytes(mask)

    @classmethod
    def received(cls, fin: bool, rsv: int, mask: bytes) -> Self:
        """Make the frame that a checked header announces; its payload is set later."""
        frame = cls.__new__(cls)
        frame.payload = b""
        frame.fin = fin
        frame.rsv = rsv
        frame.mask = mask
        return frame

    def check_received(self) -> None:
        """Check the whole payload of a received frame; raises `PeerError`."""

    def to_bytes(self) -> bytes:
        """Return the frame as it goes on the wire, its length in the fewest bytes that hold it."""
        first = self.opcode | self.rsv << 4 | (0x80 if self.fin else 0)
        return build_frame(first, self.payload, self.mask)

    def to_buffers(self) -> tuple[bytes | memoryview, ...]:
        """Return what `to_bytes` returns, in pieces: an unmasked payload is not copied."""
        if self.mask:
            return (self.to_bytes(),)
        first = self.opcode | self.rsv << 4 | (0x80 if self.fin else 0)
        return build_header(first, len(self.payload), b""), self.payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in Frame.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and its fields can be set

    def __repr__(self) -> str:
        shown = repr(self.payload[:40]) + ("..." if len(self.payload) > 40 else "")
        facts = [f"{len(self.payload)} B {shown}"]
        if not self.fin:
            facts.append("fin=False")
        if self.rsv:
            facts.append(f"rsv={self.rsv:03b}")
        if self.mask:
            facts.append(f"mask={self.mask.hex()}")
        return f"<{type(self).__name__} {', '.join(facts)}>"


class DataFrame(Frame):
    """A frame that carries a message or a part of one."""

    __slots__ = ()


class TextFrame(DataFrame):
    """The first frame of a text message; its payload may be given as `str`."""

    __slots__ = ()
    opcode = Opcode.TEXT.value
    type = "text"


class BinaryFrame(DataFrame):
    """The first frame of a binary message."""

    __slots__ = ()
    opcode = Opcode.BINARY.value
    type = "binary"


class ContinuationFrame(DataFrame):
    """A frame of a message after its first."""

    __slots__ = ()
    opcode = Opcode.CONTINUATION.value
    type = "continuation"


class ControlFrame(Frame):
    """A frame about the connection: never fragmented, at most 125 bytes (RFC 6455 section 5.5)."""

    __slots__ = ()
    is_control = True

    def __init__(
        self, payload: Buffer = b"", *, fin: bool = True, rsv: int = 0, mask: Buffer = b""
    ) -> None:
        super().__init__(payload, fin=fin, rsv=rsv, mask=mask)
        if not fin:
            raise InvalidFrame(f"a {self.type} frame cannot be a fragment")
        if len(self.payload) > MAX_CONTROL_PAYLOAD:
            raise InvalidFrame(
                f"the payload of a {self.type} frame is {len(self.payload)} bytes; "
                f"{MAX_CONTROL_PAYLOAD} is the most"
            )


class PingFrame(ControlFrame):
    """Asks the peer for a pong with the same payload (RFC 6455 section 5.5.2)."""

    __slots__ = ()
    opcode = Opcode.PING.value
    type = "ping"


class PongFrame(ControlFrame):
    """Answers a ping, or comes unasked (RFC 6455 section 5.5.3)."""

    __slots__ = ()
    opcode = Opcode.PONG.value
    type = "pong"


class CloseFrame(ControlFrame):
    """Ends the conversation: `code` (None in an empty one) and `reason` (RFC 6455 section 5.5.1).

    Raises `InvalidCloseCode` for a code that must not travel, a reason without a code, or a
    reason of more than 123 bytes of UTF-8.

    >>> CloseFrame(1001, "bye").to_bytes().hex(" ")
    '88 05 03 e9 62 79 65'
    """

    __slots__ = ()
    opcode = Opcode.CLOSE.value
    type = "close"

    def __init__(
        self, code: int | None = None, reason: str = "", *, rsv: int = 0, mask: Buffer = b""
    ) -> None:
        super().__init__(_close_payload(code, reason), rsv=rsv, mask=mask)

    @property
    def code(self) -> int | None:
        """The close code, or None when the frame is empty (1005 in RFC 6455's terms)."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self) -> str:
        """The reason, which is meant for debugging; `""` when there is none."""
        return self.payload[2:].decode()

    def check_received(self) -> None:
        """Check code and reason; raises `ProtocolError` (1002) or `InvalidPayload` (1007)."""
        if not self.payload:
            return
        if len(self.payload) == 1:
            raise ProtocolError("a close frame of 1 byte: a close code has 2")
        code = int.from_bytes(self.payload[:2], "big")
        if not is_wire_code(code):
            raise ProtocolError(f"close code {code} must not be sent")
        try:
            self.payload[2:].decode()
        except UnicodeDecodeError:
            raise InvalidPayload("the reason of a close frame is not UTF-8") from None

    def __str__(self) -> str:
        code, reason = self.code, self.reason
        told = "no code" if code is None else describe_code(code)
        return f"{told} {reason!r}" if reason else told


def _close_payload(code: int | None, reason: str) -> bytes:
    if code is None:
        if reason:
            raise InvalidCloseCode(f"a reason ({reason[:40]!r}) needs a close code before it")
        return b""
    if not isinstance(code, int):
        raise TypeError(f"a close code is an int, as CloseCode.SUCCESS, not {code!r}")
    if not is_wire_code(code):
        raise InvalidCloseCode(
            f"close code {code} must not be sent: 1000-1003, 1007-1014 and 3000-4999 may be"
        )
    encoded = reason.encode()
    if len(encoded) > MAX_REASON:
        raise InvalidCloseCode(
            f"a close reason of {len(encoded)} bytes of UTF-8; {MAX_REASON} is the most"
        )
    return int(code).to_bytes(2, "big") + encoded
