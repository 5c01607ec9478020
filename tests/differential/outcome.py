"""What goes into a comparison, and what comes out of each implementation.

`Case.heads` reads the headers of a stream without judging them, so that a divergence can say of
which frame it speaks.  It shares no code with the library.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["EMPTY_CLOSE", "FRAGMENTS", "MESSAGE_SIZE", "NEVER", "Case", "Head", "Outcome", "Run"]

#: What all that have such limits are set to.
MESSAGE_SIZE = 600
FRAGMENTS = 64

#: Stands for the code of a Close frame without one.
EMPTY_CLOSE = 1005

#: An offset that no stream reaches.
NEVER = 1 << 80


@dataclass(frozen=True)
class Outcome:
    """What one implementation made of a stream.

    `offset` is the bytes that it had read when it wrote its Close frame, and `sent` the code in
    it; both are None if the stream ended before.  `received` is the peer's Close frame.
    """

    messages: tuple[str | bytes, ...] = ()
    pongs: tuple[bytes, ...] = ()
    received: tuple[int, str] | None = None
    sent: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Head:
    """The header of one frame, as far as the stream has it, and where it stands.

    `message_size` is the bytes, as they were on the wire, of the message before this frame.
    """

    start: int
    first: int
    second: int | None
    length: int | None
    length_end: int
    header_end: int
    end: int
    in_message: bool
    is_encoded: bool
    is_text: bool
    message_size: int

    @property
    def fin(self) -> bool:
        return self.first >= 0x80

    @property
    def rsv(self) -> int:
        return self.first >> 4 & 7

    @property
    def opcode(self) -> int:
        return self.first & 15

    @property
    def is_control(self) -> bool:
        return self.opcode >= 8

    @property
    def is_known(self) -> bool:
        return self.opcode in {0, 1, 2, 8, 9, 10}

    @property
    def is_out_of_sequence(self) -> bool:
        return not self.is_control and (self.opcode == 0) is not self.in_message

    @property
    def is_masked(self) -> bool:
        return self.second is not None and self.second >= 0x80

    @property
    def form(self) -> int:
        """The 7 bits of the length."""
        return 0 if self.second is None else self.second & 0x7F

    @property
    def is_wasteful(self) -> bool:
        """Whether the length is not in its shortest form, or may turn out not to be."""
        if self.length is None:
            return self.form == 127
        return (self.form == 126 and self.length < 126) or (
            self.form == 127 and self.length < 65536
        )


@dataclass(frozen=True)
class Case:
    """A stream, and who reads it.

    `is_server`: the reader is a server, so the stream comes from a client and has to be masked.
    `deflate`: permessage-deflate was negotiated; `takeover`: with the sender's context kept.
    """

    stream: bytes
    is_server: bool = True
    deflate: bool = False
    takeover: bool = True
    heads: list[Head] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", scan(self.stream))

    def head_at(self, offset: int | None) -> Head | None:
        """Return the frame whose bytes end, or go on, at `offset`."""
        if offset is not None:
            for head in self.heads:
                if head.start < offset <= max(head.end, head.header_end):
                    return head
        return None

    @cached_property
    def first_control_in_encoded(self) -> int:
        """Where the first control frame inside an encoded message ends."""
        ends = (
            head.start for head in self.heads if head.is_control and head.is_encoded and head.fin
        )
        return next(ends, NEVER) if self.deflate else NEVER

    def payload(self, head: Head) -> bytes:
        """Return what the stream has of a frame's payload, unmasked."""
        data = self.stream[head.header_end : head.end]
        if not head.is_masked:
            return data
        key = self.stream[head.header_end - 4 : head.header_end]
        return bytes(byte ^ key[place % 4] for place, byte in enumerate(data))

    @cached_property
    def first_final_block(self) -> int:
        """Where the frame begins that first ends a DEFLATE stream (a block with BFINAL=1)."""
        if not self.deflate:
            return NEVER
        inflater = zlib.decompressobj(-15)
        for head in self.heads:
            if head.is_control or not head.is_encoded:
                continue
            if not head.in_message and not self.takeover:
                inflater = zlib.decompressobj(-15)
            try:
                inflater.decompress(self.payload(head))
                if head.fin:
                    inflater.decompress(b"\x00\x00\xff\xff")
            except zlib.error:
                return NEVER
            if inflater.eof:
                return head.start
        return NEVER

    @cached_property
    def first_empty_message(self) -> int:
        """Where the last frame begins of the first compressed message without any payload."""
        starts = (
            head.start
            for head in self.heads
            if head.is_encoded and not head.is_control and head.fin
            if head.message_size == 0 and head.length == 0
        )
        return next(starts, NEVER) if self.deflate else NEVER


def scan(stream: bytes) -> list[Head]:
    """Read the headers of `stream`, whether they are allowed or not."""
    heads: list[Head] = []
    start, in_message, is_encoded, is_text, size = 0, False, False, False, 0
    while start < len(stream):
        first = stream[start]
        second = stream[start + 1] if start + 1 < len(stream) else None
        form = 0 if second is None else second & 0x7F
        length_end = start + 2 + {126: 2, 127: 8}.get(form, 0)
        length: int | None = None
        if second is not None and length_end <= len(stream):
            length = int.from_bytes(stream[start + 2 : length_end], "big") if form > 125 else form
        header_end = length_end + (4 if second is not None and second >= 0x80 else 0)
        end = NEVER if length is None else header_end + length
        opens = first & 15 in {1, 2}
        if opens:
            is_encoded, is_text, size = bool(first & 0x40), first & 15 == 1, 0
        heads.append(
            Head(
                start,
                first,
                second,
                length,
                length_end,
                header_end,
                end,
                in_message,
                is_encoded if in_message or opens else False,
                is_text if in_message or opens else False,
                size,
            )
        )
        if first & 15 < 8:
            in_message = first < 0x80
            size = size + (length or 0) if in_message else 0
        start = end
    return heads


#: Reads a case, in the given pieces, with one implementation.
Run = Callable[[Case, Iterable[bytes]], Outcome]
