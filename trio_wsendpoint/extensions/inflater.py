"""The incoming half: DEFLATE to payloads, pulled by the reader (RFC 7692 section 7.2.2).

`feed` takes a piece of wire payload and decodes nothing.  `read(size)` then has four outcomes:

* 1 to `size` bytes: there may be more;
* `b""`: nothing came out of this step, and there may be more;
* None: all that was fed has been read; after the last piece this also means that the message was
  whole;
* `InvalidPayload`: the data is not DEFLATE, refers further back than there is, or ends inside a
  block; `PolicyViolation`: the peer's messages inflate more than `Allowance` lets them.  It comes
  in place of what the same step had decoded before the fault.  Nothing can be resumed: every later
  call raises the same.

No call makes more than `size` bytes or takes longer than about a millisecond, whatever the input
makes: large output, or none at all.  The inflater is made at first use.  Where the peer agreed to
forget its context, the inflater is dropped at the end of each message; where the peer keeps its
context, the inflater stays, idle or not.

Where implementations differ, this one does as follows:

* **Blocks with BFINAL=1** (section 7.2.3.4) end a DEFLATE stream, not the message.  Section 7.2.1
  allows both kinds in one message ("the next DEFLATE block follows the padded data if any"), so
  what comes after is read as a new stream with an empty window, and refused if it is not DEFLATE.
* **A message without payload** where `00` should be (section 7.2.3.6) is an empty message: a
  sender writes it whose zlib had nothing to flush.  For the same reason a payload may end with its
  final block, without the empty block after it.
* **A message cut short** is refused.  zlib does not tell where it stands, so the end is probed:
  after the four octets of section 7.2.2 come empty blocks, which change nothing at a block's
  boundary and come out as output or as an error anywhere else.  (No cut in 300 000 got through
  with zlib.  ISA-L checks Huffman tables less: with it a few do, and decode as zlib would from
  there on.)
* **A peer that refers back past its agreed window** is refused as far as zlib notices: zlib
  accepts what is still in its output buffer.  A peer that keeps its context contrary to the
  agreement is refused when it first refers back; a peer that forgets it without having to is
  accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.errors import InvalidPayload, PeerError, PolicyViolation
from trio_wsendpoint.extensions.allowance import BLOCK, Allowance

if TYPE_CHECKING:
    from trio_wsendpoint.extensions.engine import Decompressor, Engine

__all__ = ["Inflater"]

#: Bytes of output in one step, however much is asked for: large output takes no longer.
_STEP = 64 * 1024

#: Bytes of input that the library gets at once, while output comes of it: half a step or so.
_SLICE = 8 * 1024

#: The same at the beginning of a message, and after input without output.  1 KiB of empty blocks
#: takes ISA-L 0.4 ms, and 8 KiB would take it 3.  And the library copies what it has not consumed,
#: so large slices would make a stream of tiny final blocks quadratic.
_SMALL_SLICE = 1024

#: Final blocks in one step: each costs a new stream, 1 to 5 us.
_ENDS = 64

#: Section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload".
_TAIL = b"\x00\x00\xff\xff"

#: Empty stored blocks.  64 of them are 2560 bits, more than the longest Huffman table header
#: (14 + 19 * 3 + 316 * 7 bits), so that even a stream that ends inside one shows itself.
_PROBE = b"\x00\x00\x00\xff\xff" * 64


class Inflater:
    """Decompresses one direction of one connection; `max_ratio` is `Deflate`'s."""

    __slots__ = (
        "_allowance",
        "_block",
        "_context_takeover",
        "_engine",
        "_failure",
        "_fed",
        "_final",
        "_full",
        "_inside",
        "_left",
        "_must_rest",
        "_position",
        "_slice",
        "_stream",
        "_window_bits",
        "bytes_in",
        "bytes_out",
    )

    def __init__(
        self,
        engine: Engine,
        *,
        window_bits: int,
        context_takeover: bool,
        max_ratio: int | None = None,
    ) -> None:
        self._engine = engine
        self._window_bits = window_bits
        self._context_takeover = context_takeover
        self._allowance = None if max_ratio is None else Allowance(max_ratio)
        self._stream: Decompressor | None = None
        self._failure: tuple[type[PeerError], str] | None = None
        # Input goes from _fed[_position:] in slices to the library, and what this does not take
        # at once waits in _left.
        self._fed = b""
        self._position = 0
        self._left = b""
        self._slice = _SMALL_SLICE
        # Bytes of the message's input since a multiple of BLOCK: the allowance is asked there, so
        # that its answer does not depend on how the input was cut into pieces.
        self._block = 0
        self._full = False  # the last step filled its output: the library may hold more
        self._inside = False  # bytes were taken since the message, or a new stream in it, began
        self._must_rest = False  # the last step met as many final blocks as a step may
        self._final = False  # the last piece was fed, and its end has not been checked
        self.bytes_in = 0
        self.bytes_out = 0

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take the next piece of a message; `final` ends it.  The one before must be read."""
        if self._failure is not None:
            kind, reason = self._failure
            raise kind(reason)
        if self._final or self._left or self._full or self._position != len(self._fed):
            raise RuntimeError("feed() before read() has returned None for the piece before")
        self._fed = data
        self._position = 0
        self._final = final
        self.bytes_in += len(data)

    def read(self, size: int) -> bytes | None:
        """Return at most `size` decoded bytes, perhaps none yet; None when all has been read."""
        if size < 1:
            # zlib takes 0 for "without limit".
            raise ValueError(f"size must be at least 1, not {size}")
        if self._failure is not None:
            kind, reason = self._failure
            raise kind(reason)
        if self._must_rest:
            # What the last step returned may be small, though it took as long as a step may.
            self._must_rest = False
            return b""
        return self._decode(min(size, _STEP))

    def renew(self, seconds: float) -> None:
        """Renew what the peer may cost, for `seconds` that have passed."""
        if self._allowance is not None:
            self._allowance.renew(seconds)

    def _decode(self, size: int) -> bytes | None:
        """Return the output of one slice, or of as many final blocks as a step may have."""
        decoded = b""
        ends = 0
        while (piece := self._next()) is not None:
            came = self._inflate(piece, size - len(decoded))
            decoded = decoded + came if decoded else came
            if self._stream is not None:
                if decoded or piece:
                    return decoded
                continue  # the library was asked whether it held more, and did not
            # A stream has ended: most likely it was a short one, and more follow.
            ends += 1
            if ends == _ENDS:
                self._must_rest = bool(decoded)
                return decoded
            if len(decoded) == size:
                return decoded
        if decoded:
            return decoded
        if self._final:
            self._finish()
        return None

    def _next(self) -> bytes | None:
        """Return the input of the next call, which may be empty; None when there is none."""
        if self._left or self._full:
            return self._left
        start = self._position
        if start == len(self._fed):
            return None
        if self._block == BLOCK:
            self._settle(ends=False)
        stop = min(start + min(self._slice, BLOCK - self._block), len(self._fed))
        piece = self._fed[start:stop]
        self._block += len(piece)
        self._position = stop
        if stop == len(self._fed):
            self._fed, self._position = b"", 0
        return piece

    def _inflate(self, piece: bytes, size: int) -> bytes:
        stream = self._stream
        if stream is None:
            stream = self._stream = self._engine.decompressor(self._window_bits)
        try:
            decoded = stream.decompress(piece, size)
        except self._engine.error as error:
            raise self._fail(f"the message does not inflate: {error}") from error
        if self._allowance is not None:
            self._allowance.spend(len(decoded), stream_ends=stream.eof)
        self.bytes_out += len(decoded)
        self._slice = _SLICE if decoded and not stream.eof else _SMALL_SLICE
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
        self._settle(ends=True)
        self._inside = False
        self._slice = _SMALL_SLICE
        if not self._context_takeover:
            self._stream = None

    def _settle(self, *, ends: bool) -> None:
        """Settle the account, when all that came of a block of input was read; or of the last."""
        size, self._block = self._block, 0
        if self._allowance is not None and not self._allowance.settle(size, ends=ends):
            raise self._fail(
                f"compressed messages that inflate more than {self._allowance.ratio} times: "
                "Deflate.max_ratio is the limit",
                PolicyViolation,
            )

    def _fail(self, reason: str, kind: type[PeerError] = InvalidPayload) -> PeerError:
        self._stream = None
        self._fed = self._left = b""
        # Not the error itself: its traceback would refer back to this object.
        self._failure = kind, reason
        return kind(reason)
