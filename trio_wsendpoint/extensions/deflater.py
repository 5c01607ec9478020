"""The outgoing half: payloads to DEFLATE, message by message (RFC 7692 section 7.2.1).

`Deflater.encode` returns the wire payload of the next piece of a message, perhaps empty; it
raises only what running out of memory raises.

**What `encode` has returned belongs on the wire, whole and in order**, because the next message
may refer back to it.  A message that was begun is therefore finished, if need be with
`encode(b"", final=True)`.  If nothing of it has left, `abandon` is the other way out.

The compressor is made at first use and can be dropped between any two messages, even where our
context is kept: a stream that starts afresh refers to nothing before it, so a peer that kept its
window reads it like any other.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_wsendpoint.extensions.engine import Compressor, Engine

__all__ = ["Deflater"]

#: Bytes given to the compressor in one call: short enough for Ctrl-C to get in between.
_SLICE = 256 * 1024

#: How every flush ends; section 7.2.1 takes it off the end of a message.
_TAIL = b"\x00\x00\xff\xff"

#: Section 7.2.3.6: an empty message is the header of an empty stored block.
_EMPTY = b"\x00"


class Deflater:
    """Compresses one direction of one connection."""

    __slots__ = (
        "_begun",
        "_compressor",
        "_context_takeover",
        "_engine",
        "_level",
        "_memory_level",
        "_window_bits",
        "bytes_in",
        "bytes_out",
    )

    def __init__(
        self,
        engine: Engine,
        *,
        level: int,
        window_bits: int,
        memory_level: int,
        context_takeover: bool,
    ) -> None:
        self._engine = engine
        self._level = level
        self._window_bits = window_bits
        self._memory_level = memory_level
        self._context_takeover = context_takeover
        self._compressor: Compressor | None = None
        # Whether the compressor has taken bytes of a message that is not finished.
        self._begun = False
        self.bytes_in = 0
        self.bytes_out = 0

    def encode(
        self, data: bytes | bytearray | memoryview, *, final: bool, flush: bool = False
    ) -> bytes:
        """Encode the next piece of a message; `final` ends the message.

        `flush` lets the peer decode all that it got so far, at the price of 5 bytes or so; without
        it a piece may stay in the compressor until a later one.
        """
        try:
            encoded = self._compress(data)
            if final:
                encoded += self._flush()
                # zlib returns nothing for a second flush with nothing between (an empty message,
                # or `flush` before an empty last piece): the block is ours to write.
                ended = encoded.endswith(_TAIL)
                encoded = encoded[: -len(_TAIL)] if ended else encoded + _EMPTY
            elif flush:
                encoded += self._flush()
        except BaseException:
            # What the compressor made is lost, so nothing may refer back to it.  If this was the
            # first piece, the next message is as good as ever; otherwise the peer holds half a
            # message that cannot be finished, and the connection has to be failed.
            self.abandon()
            raise
        self.bytes_out += len(encoded)
        if final:
            self._begun = False
            if not self._context_takeover:
                self._compressor = None
        return encoded

    def abandon(self) -> None:
        """Forget a message of which nothing has left; the next one starts a stream afresh."""
        self._compressor = None
        self._begun = False

    def release(self) -> None:
        """Drop the compressor, unless a message is half encoded."""
        if not self._begun:
            self._compressor = None

    def _compress(self, data: bytes | bytearray | memoryview) -> bytes:
        with memoryview(data) as view:
            size = view.nbytes
            if not size:
                return b""
            if self._compressor is None:
                self._compressor = self._engine.compressor(
                    self._level, self._window_bits, self._memory_level
                )
            self._begun = True
            self.bytes_in += size
            if size <= _SLICE:
                return self._compressor.compress(view)
            with view.cast("B") as octets:
                return b"".join(
                    self._compressor.compress(octets[start : start + _SLICE])
                    for start in range(0, size, _SLICE)
                )

    def _flush(self) -> bytes:
        if self._compressor is None or not self._begun:
            return b""
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)
