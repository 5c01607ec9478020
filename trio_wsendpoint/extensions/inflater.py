"""The incoming half: DEFLATE to payloads, pulled by the reader (RFC 7692 section 7.2.2).

`feed` takes a piece of wire payload and decodes nothing.  `read(size)` then has three outcomes:

* 1 to `size` bytes: there may be more;
* `b""`: all that was fed has been read; after the last piece this also means that the message
  was whole;
* `InvalidPayload`: the data is not DEFLATE, refers further back than there is, or ends inside a
  block.  It comes in place of what the same step had decoded before the fault.  There is nothing
  to resume: every later call raises the same.

No call makes more than `size` bytes, so a bomb costs what the caller is ready to take.  The
inflater is made at first use.  Where the peer agreed to forget its context it is dropped at the
end of each message; where the peer keeps its context, so must we, idle or not.

Where implementations differ, this one does as follows:

* **Blocks with BFINAL=1** (section 7.2.3.4) end a DEFLATE stream, not the message.  Section 7.2.1
  lets a sender mix both kinds ("the next DEFLATE block follows the padded data if any"), so
  what comes after is read as a new stream with an empty window, and refused if it is not DEFLATE.
* **A message without payload** where `00` should be (section 7.2.3.6) is an empty message: that
  is what a sender writes whose zlib had nothing to flush.  For the same reason a payload may end
  with its final block, without the empty block after it.
* **A message cut short** is refused.  zlib does not tell where it stands, so the end is probed:
  after the four octets of section 7.2.2 come empty blocks, which change nothing at a block's
  boundary and come out as output or as an error anywhere else.  (No cut in 300 000 got through
  with zlib.  ISA-L checks Huffman tables less; with it a few do, and are in step again.)
* **A peer that refers back past its agreed window** is refused as far as zlib notices: it lets
  pass what is still in its output buffer.  One that keeps its context contrary to the agreement
  is refused when it first refers back; one that forgets it without having to is welcome.

Only the modules of `extensions/` import this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.errors import InvalidPayload

if TYPE_CHECKING:
    from trio_wsendpoint.extensions.engine import Decompressor, Engine

__all__ = ["Inflater"]

#: Bytes of output in one step, however much is asked for: it bounds what one call can take.
_STEP = 64 * 1024

#: Bytes of input in one step.  The library copies what it has not consumed out of every step,
#: so large steps would make a stream of tiny final blocks quadratic.
_SLICE = 8 * 1024

#: Section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload".
_TAIL = b"\x00\x00\xff\xff"

#: Empty stored blocks.  64 of them are 2560 bits, more than the longest Huffman table header
#: (14 + 19 * 3 + 316 * 7 bits), so that even a stream that ends inside one shows itself.
_PROBE = b"\x00\x00\x00\xff\xff" * 64


class Inflater:
    """Decompresses one direction of one connection."""

    __slots__ = (
        "_context_takeover",
        "_engine",
        "_failed",
        "_fed",
        "_final",
        "_full",
        "_inside",
        "_left",
        "_position",
        "_stream",
        "_window_bits",
        "bytes_in",
        "bytes_out",
    )

    def __init__(self, engine: Engine, *, window_bits: int, context_takeover: bool) -> None:
        self._engine = engine
        self._window_bits = window_bits
        self._context_takeover = context_takeover
        self._stream: Decompressor | None = None
        self._failed = ""
        # Input goes from _fed[_position:] in slices to the library, and what this does not take
        # at once waits in _left.
        self._fed = b""
        self._position = 0
        self._left = b""
        self._full = False  # the last step filled its output: the library may hold more
        self._inside = False  # bytes were taken since the message, or a new stream in it, began
        self._final = False  # the last piece was fed, and its end has not been checked
        self.bytes_in = 0
        self.bytes_out = 0

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take the next piece of a message; `final` ends it.  The one before must be read."""
        if self._failed:
            raise InvalidPayload(self._failed)
        if self._final or self._next() is not None:
            raise RuntimeError("feed() before read() has returned b'' for the piece before")
        self._fed = data
        self._position = 0
        self._final = final
        self.bytes_in += len(data)

    def read(self, size: int) -> bytes:
        """Return at most `size` decoded bytes; `b""` when all that was fed has been read."""
        if size < 1:
            # zlib takes 0 for "without limit".
            raise ValueError(f"size must be at least 1, not {size}")
        if self._failed:
            raise InvalidPayload(self._failed)
        size = min(size, _STEP)
        while (piece := self._next()) is not None:
            decoded = self._inflate(piece, size)
            if decoded:
                self.bytes_out += len(decoded)
                return decoded
        if self._final:
            self._finish()
        return b""

    def _next(self) -> bytes | None:
        """Return the input of the next step, which may be empty; None when there is no step."""
        if self._left or self._full:
            return self._left
        if self._position == len(self._fed):
            return None
        return self._fed[self._position : self._position + _SLICE]

    def _inflate(self, piece: bytes, size: int) -> bytes:
        if not (self._left or self._full):
            self._position += len(piece)
            if self._position == len(self._fed):
                self._fed, self._position = b"", 0
        stream = self._stream
        if stream is None:
            stream = self._stream = self._engine.decompressor(self._window_bits)
        try:
            decoded = stream.decompress(piece, size)
        except self._engine.error as error:
            raise self._fail(f"the message does not inflate: {error}") from error
        if stream.eof:
            self._stream = None
            self._left = stream.unused_data
            self._full = self._inside = False
        else:
            self._left = stream.unconsumed_tail
            self._full = len(decoded) == size
            self._inside = True
        return decoded

    def _finish(self) -> None:
        """Check that the message ends between two blocks."""
        self._final = False
        stream = self._stream
        if self._inside and stream is not None:
            try:
                surplus = stream.decompress(_TAIL + _PROBE, 1)
            except self._engine.error as error:
                raise self._fail("the compressed message is cut short") from error
            if stream.eof:
                # The empty block that the four octets complete may itself have BFINAL=1.
                self._stream = None
            if surplus or stream.unused_data != (_PROBE if stream.eof else b""):
                raise self._fail("the compressed message is cut short")
        self._inside = False
        if not self._context_takeover:
            self._stream = None

    def _fail(self, reason: str) -> InvalidPayload:
        self._stream = None
        self._fed = self._left = b""
        self._failed = reason
        return InvalidPayload(reason)
