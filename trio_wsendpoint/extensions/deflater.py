"""The outgoing half: payloads to DEFLATE, message by message (RFC 7692 section 7.2.1).

`Deflater.encode` returns the wire payload of the next piece of a message, perhaps empty; it
raises `MemoryError` at most.

**Send all that `encode` returns, in order**, because the next message may refer back to it.  So
finish a message that was begun, if need be with `encode(b"", final=True)`; or, if nothing of it has
been sent, call `abandon`.

The compressor is made at first use and can be dropped between any two messages, even where our
context is kept: a new stream refers to nothing before it, so a peer that kept its window can read
it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_wsendpoint.extensions.engine import Compressor, Engine

__all__ = ["Deflater"]

#: Bytes given to the compressor in one call, so that Ctrl-C need not wait for a large message.
_SLICE = 256 * 1024

#: How every flush ends; section 7.2.1 removes it from the end of a message.
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

        With `flush` the peer can decode all that it got so far, at the price of about 5 bytes;
        without, a piece may stay in the compressor until a later call.
        """
        try:
            encoded = self._compress(data)
            if final:
                encoded += self._flush()
                # zlib returns nothing for a second flush without data between (an empty message,
                # or `flush` before an empty last piece): then we write the block.
                ended = encoded.endswith(_TAIL)
                encoded = encoded[: -len(_TAIL)] if ended else encoded + _EMPTY
            elif flush:
                encoded += self._flush()
        except BaseException:
            # The output is lost, so nothing may refer back to it.  If this was the first piece, the
            # next message starts a new stream; otherwise the peer holds half a message that cannot
            # be finished, and the caller must fail the connection.
            self.abandon()
            raise
        self.bytes_out += len(encoded)
        if final:
            self._begun = False
            if not self._context_takeover:
                self._compressor = None
        return encoded

    def abandon(self) -> None:
        """Forget a message of which nothing has been sent; the next one starts a new stream."""
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
