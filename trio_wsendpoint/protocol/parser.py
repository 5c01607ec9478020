"""Bytes into frames, strictly (RFC 6455 section 5.2), resumable at every byte.

Bytes are pushed (`receive_data`, `receive_eof`) or pulled from a `source` with `.read(n)`.  Then

* `get_next_frame()` returns a whole `Frame`, or None while more bytes are needed;
* `begin_frame()` returns a frame as soon as its header has come, with an empty payload, or None.
  Then `read_payload()` returns what has come of the payload, unmasked, and `remaining` says how
  many bytes are to come; or `finish_frame()` collects the payload.  This form holds nothing back.
  Use one form or the other: `get_next_frame` is made of the second.

Each raises `PeerError` at the earliest byte that shows a violation, after the frames before it.
The parser is then finished: it raises the same error at every call and keeps no more bytes.
Only the payload of a close frame, 125 bytes at most, is judged when it is whole.  A declared
length is checked, but room is made only for bytes that have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from trio_wsendpoint.errors import PeerError, UnexpectedEOF
from trio_wsendpoint.protocol.coding import mask_slice, parse_frame, rotate_mask
from trio_wsendpoint.protocol.frames import Buffer, DataFrame, Frame
from trio_wsendpoint.protocol.header_rules import HeaderRules
from trio_wsendpoint.protocol.joiner import Joiner

__all__ = ["Parser", "Source"]


#: What `parse_frame` finds where no frame is to be taken whole.
_NOT_WHOLE = (0, 0, b"", None, 0)
#: Bytes that were parsed, and are worth copying what follows them to be rid of them.
_WORTH_A_COPY = 4096


class Source(Protocol):
    """Where a parser pulls from: raw I/O, as `socket.makefile("rb", buffering=0)`."""

    def read(self, size: int, /) -> bytes | None:
        """Return 1 to `size` bytes, `b""` at the end, or None when there is nothing yet."""
        ...


class Parser(HeaderRules):
    """Reads frames.

    `source`: what `pull()` reads from, at most `read_size` bytes a call; None to push.  A
    buffered reader is read through its `read1`, because its `read(n)` waits for all of `n`; it
    has to block, because one that does not tells "nothing yet" and "the end" alike.
    `masked`: whether frames must (True) or must not (False) be masked; None accepts both.  An
    `Endpoint` sets it by its role.
    `rsv`: the reserved bits (three bits, RSV1 is 0b100) that data frames may carry.
    `frame_types`: frame classes of extensions, as for `register`.
    `max_frame_size`: bytes of payload that one frame may declare; None for no limit of its own.
    """

    __slots__ = (
        "_chunk",
        "_eof",
        "_error",
        "_frame",
        "_later",
        "_mask",
        "_payload",
        "_position",
        "_read",
        "_read_size",
        "remaining",
    )

    def __init__(
        self,
        source: Source | None = None,
        *,
        masked: bool | None = None,
        rsv: int = 0,
        frame_types: Iterable[type[Frame]] = (),
        max_frame_size: int | None = None,
        read_size: int = 65536,
    ) -> None:
        if source is not None and not callable(getattr(source, "read", None)):
            raise TypeError(f"a parser's source needs a read method, {source!r} has none")
        super().__init__(
            masked=masked, rsv=rsv, frame_types=frame_types, max_frame_size=max_frame_size
        )
        self._read = getattr(source, "read1", None) or getattr(source, "read", None)
        self._read_size = read_size
        # What has come is one chunk, a place in it, and the chunks behind it.  Chunks are joined
        # only where a header is cut, so the time is linear however the bytes are cut.
        self._chunk = b""
        self._position: int = 0
        self._later: deque[bytes] | tuple[()] = ()
        self._eof = False
        self._error: PeerError | None = None
        self._mask = b""
        #: Bytes of the current frame's payload that have not been read.
        self.remaining = 0
        self._frame: Frame | None = None  # the one that get_next_frame() is collecting
        self._payload: Joiner | None = None  # what finish_frame() has of the current one

    # ---- bytes in ----------------------------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        """Take the next bytes of the stream; `b""` is no bytes, not its end."""
        if self._eof:
            raise ValueError("no data can follow the end of the data")
        chunk = bytes(data)
        if not chunk or self._error is not None:
            return  # no bytes, or bytes behind the error, which are not parsed
        if self._position == len(self._chunk) and not self._later:
            self._chunk, self._position = chunk, 0
        else:
            if isinstance(self._later, tuple):
                self._later = deque()
            self._later.append(chunk)

    def receive_eof(self) -> None:
        """Note that the stream has ended."""
        self._eof = True

    def pull(self) -> bool:
        """Read once from the source; return whether anything came, the end included.

        False without a source, and when a non-blocking source has nothing yet.
        """
        if self._read is None or self._eof:
            return False
        try:
            data = self._read(self._read_size)
        except BlockingIOError:
            return False
        if data is None:
            return False
        if data:
            self.receive_data(data)
        else:
            self.receive_eof()
        return True

    @property
    def buffered(self) -> int:
        """Bytes that have come and have not been parsed."""
        return len(self._chunk) - self._position + sum(map(len, self._later))

    @property
    def is_drained(self) -> bool:
        """Whether all that came is handled: only more bytes can bring a frame."""
        return not (self._chunk or self._later or self._eof)

    @property
    def at_eof(self) -> bool:
        """Whether the stream has ended and all of it has been parsed."""
        return self._eof and not self.buffered and not self.remaining

    # ---- frames out --------------------------------------------------------------------------

    def get_next_frame(self) -> Frame | None:
        """Return the next frame whole, or None; reads from the source at most once a call.

        Raises `PeerError`; `UnexpectedEOF` if the stream ended inside a frame.
        """
        frame = self._collect()
        if frame is None and self.pull():
            frame = self._collect()
        return frame

    def _collect(self) -> Frame | None:
        frame = self._frame
        if frame is None:
            frame = self._frame = self.begin_frame()
        if frame is None or not self.finish_frame(frame):
            return None
        self._frame = None
        return frame

    def finish_frame(self, frame: Frame) -> bool:
        """Collect the payload of the frame that has begun; return whether it is whole, and set.

        Raises as `get_next_frame`, also for a fault that shows in the whole payload only.
        """
        if self._error is not None:
            raise self._error
        piece = self.read_payload() if self._payload is None else b""
        while self.remaining:
            if self._payload is None:
                if not piece:
                    return False
                self._payload = Joiner(is_last=True)
                self._payload.add(piece, announced=self.remaining)
            if not self.read_payload_into(self._payload):
                return False
        if self._payload is not None:
            piece = self._payload.take()
            self._payload = None
        frame.payload = piece
        try:
            frame.check_received()
        except PeerError as error:
            self._end(error)
            raise
        return True

    def begin_frame(self) -> Frame | None:
        """Return the frame that the next header announces, without its payload, or None.

        The payload of the frame before must have been read.  Raises as `get_next_frame`.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._read_header()
        except PeerError as error:
            self._end(error)
            raise

    def _end(self, error: PeerError) -> None:
        """Note the error that ends all parsing, and drop the bytes behind it."""
        self._error = error
        self._chunk, self._position = b"", 0
        self._later = ()

    def read_payload(self) -> bytes:
        """Return the bytes of the current frame's payload that have come, unmasked.

        `b""` when none have, and when `remaining` is 0.  Raises `UnexpectedEOF` if the stream
        ended before the frame did.
        """
        size = self._find_payload()
        if not size:
            return b""
        chunk, start, mask = self._chunk, self._position, self._mask
        end = start + size
        self._step_to(end)
        self._step_in_payload(size)
        return mask_slice(chunk, start, end, mask) if mask else chunk[start:end]

    def read_payload_into(self, joiner: Joiner) -> int:
        """Put into `joiner` what `read_payload` would return; return how many bytes that is."""
        size = self._find_payload()
        if size:
            chunk, start, mask = self._chunk, self._position, self._mask
            self._step_to(start + size)
            self._step_in_payload(size)
            with memoryview(chunk) as view, view[start : start + size] as piece:
                joiner.add(piece, mask, announced=self.remaining)
        return size

    def fill(self, joiner: Joiner, size: int) -> None:
        """Note that `size` bytes of the payload have come straight into the room of `joiner`.

        Before, the parser must have been drained (`is_drained`), and `remaining` at least `size`.
        """
        joiner.fill(size, self._mask)
        self._step_in_payload(size)

    def _find_payload(self) -> int:
        """Return how many bytes of the current payload begin at the place in the chunk."""
        if not self.remaining:
            return 0
        if self._position == len(self._chunk) and self._later:
            self._chunk, self._position = self._later.popleft(), 0
        size = min(self.remaining, len(self._chunk) - self._position)
        if not size:
            if self._error is not None:
                raise self._error
            if self._eof:
                self._error = UnexpectedEOF(
                    f"the bytes ended inside a frame, {self.remaining} bytes before its end"
                )
                raise self._error
        return size

    def _step_in_payload(self, size: int) -> None:
        self.remaining -= size
        if self.remaining and self._mask and size & 3:
            self._mask = rotate_mask(self._mask, size)

    def trim(self) -> None:
        """Drop what has been parsed: the owner will not parse for a while."""
        if self._position >= _WORTH_A_COPY:
            self._chunk, self._position = self._chunk[self._position :], 0

    def skip_frame(self, frame: Frame) -> bool:
        """Pass over what has come of the payload of `frame`; return whether it is over."""
        self._payload = None
        self.read_payload()
        return not self.remaining

    def read_message(
        self, most: int, data: bytes = b""
    ) -> tuple[type[DataFrame], bytes, bytes] | None:
        """Take `data`, the next bytes, and return type, payload and mask of the next message.

        It is a shorter way for the most frequent case: a data frame with FIN and no reserved bits,
        outside of a fragmented message, of at most `most` bytes, that breaks no rule and has come
        in one chunk or two.  For any other frame, and between `begin_frame` and the end of a
        payload, it takes `data` as `receive_data` does, and returns None.
        """
        is_next = data and not (self._chunk or self._later or self._eof or self._error)
        if is_next:
            chunk, position = data, 0
        else:
            if data:
                self.receive_data(data)
            if self._later and len(self._later) == 1 and 0 < self.lacking <= len(self._later[0]):
                self._chunk = self._chunk[self._position :] + self._later.popleft()
                self._position = 0
            chunk, position = self._chunk, self._position
            if position == len(chunk):
                return None
        found = None
        frame_type = self._whole_types.get(chunk[position])
        if not (self._in_message or self.remaining) and self.max_frame_size is None:
            found = parse_frame(chunk, position, most)
        _, _, mask, payload, end = found or _NOT_WHOLE
        if (
            frame_type is None
            or payload is None
            or (bool(mask) is not self.masked and self.masked is not None)
        ):
            if is_next:
                self._chunk, self._position = data, 0
            return None
        if end < len(chunk):
            self._chunk, self._position = chunk, end
        elif not is_next:
            self._chunk, self._position = b"", 0
        return frame_type, payload, mask

    @property
    def lacking(self) -> int:
        """How many bytes are missing of the next frame; 0 if `read_message` cannot take it."""
        chunk, position = self._chunk, self._position
        if position == len(chunk) or self._in_message or self.remaining:
            return 0
        header = parse_frame(chunk, position, -1)
        if header is None or chunk[position] not in self._whole_types:
            return 0
        return max(0, header[4] + header[1] - len(chunk))

    def _step_to(self, position: int) -> None:
        """Continue at `position`, and drop a chunk that is done: the next may come much later."""
        if position == len(self._chunk):
            self._chunk, self._position = b"", 0
        else:
            self._position = position

    # ---- the header --------------------------------------------------------------------------

    def _read_header(self) -> Frame | None:
        """Read a header and step behind it, or leave everything as it is and return None.

        When more has come, a header is read from its first byte again.  It has 14 bytes at most, so
        that is cheap, and nothing is remembered between two calls.
        """
        start = self._position
        chunk = self._chunk
        while len(chunk) - start < 14 and self._later:
            self._chunk = chunk = chunk[start:] + self._later.popleft()
            self._position = start = 0
        header = parse_frame(chunk, start, -1)
        if header is None:
            self._check_part(chunk[start : start + 14])
            return None
        first, length, mask, _, end = header
        frame_type = self._check_first(first)
        self._check_second(frame_type, bool(mask), length)
        self._check_size(length)
        fin = first >= 0x80
        if not frame_type.is_control:
            self._in_message = not fin
        self._position = end
        self._mask = mask
        self.remaining = length
        return frame_type.received(fin, first >> 4 & 7, mask)

    def _check_part(self, header: bytes) -> None:
        """Check what has come of a header that is not whole, or that breaks a rule."""
        if not header:
            return
        frame_type = self._check_first(header[0])
        if len(header) > 1:
            length = header[1] & 0x7F
            self._check_second(frame_type, header[1] > 0x7F, length)
            end = 2 if length < 126 else 4 if length == 126 else 10
            if length >= 126:
                length = self._check_length(length, header[2:end])
            if len(header) >= end:
                self._check_size(length)
        if self._eof:
            raise UnexpectedEOF(
                f"the bytes ended inside a frame's header, after {len(header)} bytes"
            )
