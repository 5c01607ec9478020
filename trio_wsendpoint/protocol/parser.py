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

from collections.abc import Iterable
from typing import Protocol

from trio_wsendpoint.errors import PeerError
from trio_wsendpoint.protocol.frames import Frame
from trio_wsendpoint.protocol.header_rules import HeaderRules
from trio_wsendpoint.protocol.joiner import Joiner

__all__ = ["Parser", "Source"]


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

    __slots__ = ("_frame", "_payload", "_read", "_read_size")

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
        self._frame: Frame | None = None  # the one that get_next_frame() is collecting
        self._payload: Joiner | None = None  # what finish_frame() has of the current one

    def pull(self) -> bool:
        """Read once from the source; return whether anything came, the end included.

        False without a source, and when a non-blocking source has nothing yet.
        """
        if self._read is None or self.is_eof:
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
            self.end(error)
            raise
        return True

    def skip_frame(self, frame: Frame) -> bool:
        """Pass over what has come of the payload of `frame`; return whether it is over."""
        self._payload = None
        self.read_payload()
        return not self.remaining
