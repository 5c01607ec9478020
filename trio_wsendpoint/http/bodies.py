"""Reads the body of a request, strictly: by its length or by chunks (RFC 9112 section 6).

The reader takes bytes from the front of the connection's buffer, and not one that belongs to
the next request.  However they were cut, the outcome is the same.
"""

from __future__ import annotations

from trio_wsendpoint.http.chunks import ChunkReader
from trio_wsendpoint.http.errors import BodyCutShort
from trio_wsendpoint.http.framing import Framing

__all__ = ["RequestBody"]


class RequestBody:
    """The body of one request, as it comes in.

    `framing`: what the head said.  `limit`: bytes, None for any; `header_count`: trailers.
    """

    __slots__ = ("_chunks", "_left", "size")

    def __init__(self, framing: Framing, *, limit: int | None, header_count: int) -> None:
        self._left = framing.length
        self._chunks = (
            ChunkReader(limit=limit, header_count=header_count) if framing.chunked else None
        )
        #: Bytes of it that have been read.
        self.size = 0

    @property
    def complete(self) -> bool:
        """Whether all of it has been read."""
        return self._left == 0 if self._chunks is None else self._chunks.complete

    @property
    def left(self) -> int | None:
        """How many bytes are still to come; None if that is not known."""
        return self._left if self._chunks is None or self._chunks.complete else None

    def read(self, buffer: bytearray) -> bytes:
        """Return what the front of `buffer` has of the body, and remove it there.

        Empty if there is nothing yet, or `complete`.  Raises as `ChunkReader.read`.
        """
        if self._chunks is not None:
            data = self._chunks.read(buffer)
        else:
            with memoryview(buffer) as view:
                data = bytes(view[: self._left])
            del buffer[: len(data)]
            self._left -= len(data)
        self.size += len(data)
        return data

    def end(self) -> None:
        """Take the end of the stream: raises `BodyCutShort` unless the body is complete."""
        if not self.complete:
            raise BodyCutShort(self.size)
