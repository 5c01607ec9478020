"""Which frames may come: the rules of RFC 6455 section 5.2 for a header, byte by byte.

Each check raises `ProtocolError` or `MessageTooBig` for a fault in its part of the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from trio_wsendpoint.errors import MessageTooBig, ProtocolError, UnexpectedEOF
from trio_wsendpoint.protocol.coding import FrameReader
from trio_wsendpoint.protocol.frames import (
    BinaryFrame,
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
from trio_wsendpoint.protocol.opcodes import MAX_CONTROL_PAYLOAD
from trio_wsendpoint.protocol.traffic import Traffic

__all__ = ["STANDARD", "HeaderRules"]

#: The frames of RFC 6455, by opcode.
STANDARD: Mapping[int, type[Frame]] = {
    frame_type.opcode: frame_type
    for frame_type in (
        ContinuationFrame,
        TextFrame,
        BinaryFrame,
        CloseFrame,
        PingFrame,
        PongFrame,
    )
}


def _plain(
    frame_types: Mapping[int, type[Frame]], masked: bool | None
) -> dict[int, type[DataFrame]]:
    """Return the frames that are a whole message, as `FrameReader.allow` takes them."""
    bits = [0, 0x100] if masked is None else [0x100 * masked]
    return {
        bit | 0x80 | opcode: frame_type  # FIN, no reserved bit
        for opcode, frame_type in frame_types.items()
        if issubclass(frame_type, DataFrame) and frame_type is not ContinuationFrame
        for bit in bits
    }


#: One table for all connections, by whether frames are masked.
_STANDARD_PLAIN = {masked: _plain(STANDARD, masked) for masked in (None, False, True)}


def _check_handler(owner: type, frame_type: type[Frame]) -> None:
    name = f"on_{frame_type.type}"
    if frame_type.is_control and not callable(getattr(owner, name, None)):
        raise TypeError(
            f"the parser knows {frame_type.__name__}, but {owner.__name__} has no {name} method"
        )


class HeaderRules(FrameReader):
    """Decides which headers a parser accepts; its options are `Parser`'s."""

    __slots__ = (
        "_owners",
        "first_rsv",
        "frame_types",
        "masked",
        "max_frame_size",
        "rsv",
    )

    def __init__(
        self,
        *,
        masked: bool | None,
        rsv: int,
        frame_types: Iterable[type[Frame]],
        max_frame_size: int | None,
    ) -> None:
        super().__init__()
        self.masked = masked
        self.rsv = rsv
        #: Reserved bits allowed on the first frame of a message only (RFC 7692 section 6).
        self.first_rsv = 0
        self.max_frame_size = max_frame_size
        #: The frame classes that are known, by opcode.
        self.frame_types: Mapping[int, type[Frame]] = STANDARD
        self._owners: tuple[type, ...] = ()  # the classes of the endpoints that it serves
        self._allow()
        for frame_type in frame_types:
            self.register(frame_type)

    if TYPE_CHECKING:  # what the reader makes of the classes that it is told

        def begin_frame(self) -> Frame | None: ...  # noqa: D102
        def read_next(self, most: int) -> Message | Frame | None: ...  # noqa: D102

    def _allow(self) -> None:
        """Tell the reader which frames keep all the rules, if they are outside of a message."""
        if self.max_frame_size is not None:
            self.allow({})
        elif self.frame_types is STANDARD:
            self.allow(_STANDARD_PLAIN[self.masked])
        else:
            self.allow(_plain(self.frame_types, self.masked))

    def serve(
        self,
        owner: type,
        *,
        masked: bool,
        first_rsv: int,
        max_frame_size: int | None,
        traffic: Traffic,
    ) -> None:
        """Follow the role of an endpoint of the class `owner`, which handles the frames.

        `max_frame_size` counts if there is no limit yet; messages that are one frame alone are
        counted in `traffic`.  Raises `TypeError` if the class has no
        `on_TYPE` method for a control type that is known; from now on `register` does.
        """
        if self.frame_types is not STANDARD:  # which every endpoint has handlers for
            for frame_type in self.frame_types.values():
                _check_handler(owner, frame_type)
        self._owners += (owner,)
        self.masked = masked
        self.first_rsv = first_rsv
        if self.max_frame_size is None:
            self.max_frame_size = max_frame_size
        self.make(Message, traffic)
        self._allow()

    def register(self, frame_type: type[Frame]) -> None:
        """Accept frames of a further type: data opcodes 3-7, control opcodes 11-15.

        Raises `TypeError` or `ValueError` for a class that cannot stand for such an opcode, or
        whose `type` another opcode has, and `TypeError` for a control type that an endpoint with
        this parser has no `on_TYPE` method for.
        """
        opcode, word = getattr(frame_type, "opcode", None), getattr(frame_type, "type", None)
        if not isinstance(opcode, int) or not isinstance(word, str) or not word:
            raise TypeError(f"{frame_type!r} needs an opcode and a type of its own")
        if issubclass(frame_type, ControlFrame):
            kind, allowed = "control", range(11, 16)
        elif issubclass(frame_type, DataFrame):
            kind, allowed = "data", range(3, 8)
        else:
            raise TypeError(f"{frame_type!r} is neither a DataFrame nor a ControlFrame")
        if opcode not in allowed:
            raise ValueError(
                f"a {kind} frame of an extension has opcode {allowed[0]} to {allowed[-1]}, "
                f"not {opcode}"
            )
        for known, other in self.frame_types.items():
            if other.type == word and known != opcode:
                raise ValueError(f"{word!r} is the type of opcode {known} already")
        for owner in self._owners:
            _check_handler(owner, frame_type)
        self.frame_types = {**self.frame_types, opcode: frame_type}
        self._allow()

    def check_header(self, first: int, is_masked: bool, length: int) -> type[Frame]:
        """Return the class of the frame that a header announces, or raise `PeerError`."""
        frame_type = self._check_first(first)
        self._check_second(frame_type, is_masked, length)
        self._check_size(length)
        return frame_type

    def check_part(self, header: bytes) -> None:
        """Check what has come of a header that is not whole, or that breaks a rule."""
        frame_type = self._check_first(header[0])
        if len(header) > 1:
            length = header[1] & 0x7F
            self._check_second(frame_type, header[1] > 0x7F, length)
            end = 2 if length < 126 else 4 if length == 126 else 10
            if length >= 126:
                length = self._check_length(length, header[2:end])
            if len(header) >= end:
                self._check_size(length)
        if self.is_eof:
            raise UnexpectedEOF(
                f"the bytes ended inside a frame's header, after {len(header)} bytes"
            )

    def _check_size(self, length: int) -> None:
        """Check the length that a header declares."""
        if self.max_frame_size is not None and length > self.max_frame_size:
            raise MessageTooBig(
                f"a frame of {length} bytes, "
                f"the limit is {self.max_frame_size} bytes (max_frame_size)"
            )

    def _check_first(self, first: int) -> type[Frame]:
        """Check FIN, RSV and opcode, which the first byte holds."""
        frame_type = self.frame_types.get(first & 15)
        if frame_type is None:
            raise ProtocolError(f"unknown opcode {first & 15}")
        if frame_type.is_control:
            if first < 0x80:
                raise ProtocolError(f"a fragmented {frame_type.type} frame")
            allowed = 0
        else:
            continues = frame_type is ContinuationFrame
            if continues is not self.in_message:
                # RFC 6455 section 5.4: the fragments of one message follow one another.
                if continues:
                    raise ProtocolError("a continuation frame outside of a message")
                raise ProtocolError(f"a {frame_type.type} frame inside a fragmented message")
            allowed = self.rsv if continues else self.rsv | self.first_rsv
        if first >> 4 & 7 & ~allowed:
            # "MUST be 0 unless an extension is negotiated that defines meanings": section 5.2
            raise ProtocolError(
                f"reserved bits {first >> 4 & 7:03b} on a {frame_type.type} frame, "
                f"{allowed:03b} may be set"
            )
        return frame_type

    def _check_second(self, frame_type: type[Frame], masked: bool, length: int) -> None:
        """Check mask direction and the length of control frames, which the second byte holds."""
        if self.masked is not None and masked != self.masked:
            # RFC 6455 section 5.1: a client masks all frames, a server none.
            raise ProtocolError(
                "an unmasked frame from a client" if self.masked else "a masked frame from a server"
            )
        if frame_type.is_control:
            if length > MAX_CONTROL_PAYLOAD:
                raise ProtocolError(f"a {frame_type.type} frame of more than 125 bytes")
            if length == 1 and frame_type is CloseFrame:
                raise ProtocolError("a close frame of 1 byte: a close code has 2")

    def _check_length(self, code: int, extended: bytes) -> int:
        """Check what has come of an extended length; return its value so far."""
        value = int.from_bytes(extended, "big")
        if code == 126:
            wasteful = len(extended) == 2 and value < 126
        else:
            if extended and extended[0] >= 0x80:
                raise ProtocolError("a 64-bit length with its most significant bit set")
            # Six zero bytes leave two: it would have fitted the 16-bit form.
            wasteful = len(extended) >= 6 and not any(extended[:6])
        if wasteful:
            # "the minimal number of bytes MUST be used to encode the length": section 5.2
            raise ProtocolError("a payload length that is not in its shortest form")
        return value
