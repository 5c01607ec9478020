"""Which frames may come: the rules of RFC 6455 section 5.2 for a header, byte by byte.

Each check raises `ProtocolError` or `MessageTooBig` for a fault in its part of the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trio_wsendpoint.errors import MessageTooBig, ProtocolError
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
from trio_wsendpoint.protocol.opcodes import MAX_CONTROL_PAYLOAD

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


#: The data frames that are a whole message, by their first byte: FIN, and no reserved bit.
_WHOLE: dict[int, type[DataFrame]] = {0x80 | kind.opcode: kind for kind in (TextFrame, BinaryFrame)}


def _check_handler(owner: type, frame_type: type[Frame]) -> None:
    name = f"on_{frame_type.type}"
    if frame_type.is_control and not callable(getattr(owner, name, None)):
        raise TypeError(
            f"the parser knows {frame_type.__name__}, but {owner.__name__} has no {name} method"
        )


class HeaderRules:
    """Decides which headers a parser accepts; its options are `Parser`'s."""

    __slots__ = (
        "_in_message",
        "_owners",
        "_whole_types",
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
        self.masked = masked
        self.rsv = rsv
        #: Reserved bits allowed on the first frame of a message only (RFC 7692 section 6).
        self.first_rsv = 0
        self.max_frame_size = max_frame_size
        #: The frame classes that are known, by opcode.
        self.frame_types: Mapping[int, type[Frame]] = STANDARD
        self._owners: tuple[type, ...] = ()  # the classes of the endpoints that it serves
        self._whole_types = _WHOLE
        self._in_message = False
        for frame_type in frame_types:
            self.register(frame_type)

    def serve(
        self, owner: type, *, masked: bool, first_rsv: int, max_frame_size: int | None
    ) -> None:
        """Follow the role of an endpoint of the class `owner`, which handles the frames.

        `max_frame_size` counts if there is no limit yet.  Raises `TypeError` if the class has no
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
        if issubclass(frame_type, DataFrame):
            self._whole_types = {**self._whole_types, 0x80 | opcode: frame_type}

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
            if continues is not self._in_message:
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
