"""Reads a chunked body, strictly (RFC 9112 section 7.1).

Only CRLF ends a line, nothing stands around a size, an extension follows its grammar, and what
is not data is bounded: a line, all extensions together, the trailers, and the framing as a whole.
Trailers are checked as the headers of a head are, then dropped: RFC 9110 section 6.5.1 allows
that, and a Host or an Authorization among them never counts.
"""

from __future__ import annotations

import re

from trio_wsendpoint.handshake.abnf import TOKEN
from trio_wsendpoint.handshake.head import BadHead, HeadReader
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import refuse
from trio_wsendpoint.http.errors import BodyTooLarge
from trio_wsendpoint.options import Limits

__all__ = ["ChunkReader"]

KIB = 1024
#: Bytes of the extensions of one chunk, and of one body.
MAX_EXTENSION = 256
MAX_EXTENSIONS = 4 * KIB
#: Bytes of the trailers.
MAX_TRAILERS = 4 * KIB
#: Bytes of framing that need no data; and how many more each byte of data allows.
FREE_FRAMING = 64 * KIB
FRAMING_PER_BYTE = 2
#: Chunks that one call takes: so many cost about a millisecond.
MAX_CHUNKS = 64

_DIGITS = 16
_MAX_LINE = _DIGITS + MAX_EXTENSION
_LINE_BYTES = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TOKEN = b"[" + re.escape("".join(sorted(TOKEN)).encode()) + b"]++"
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
# RFC 9112 section 7.1.1 tells a recipient to take these blanks.  Those before a semicolon, which it
# names too, are refused: there readers differ.  No quantifier gives back what it has taken.
_EXTENSION = rb";[\t ]*+" + _TOKEN + rb"(?:[\t ]*+=[\t ]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?+"
_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:" + _EXTENSION + rb")*+)")
# Trailers are what a head has behind its first line; this one stands in for it.
_STAND_IN = b"GET / HTTP/1.1\r\n"


class ChunkReader:
    """Takes chunks from the front of a buffer, until the empty line behind the last one.

    `limit`: bytes of data, None for any.  `header_count`: trailers.
    """

    __slots__ = (
        "_after_data",
        "_extensions",
        "_framing",
        "_header_count",
        "_left",
        "_limit",
        "_trailers",
        "announced",
        "complete",
    )

    def __init__(self, *, limit: int | None, header_count: int) -> None:
        self._limit = limit
        self._header_count = header_count
        #: Whether the body is at its end.
        self.complete = False
        #: Bytes of data in the chunks whose sizes have come.
        self.announced = 0
        self._left = 0  # of the chunk that is coming in
        self._after_data = False  # the CRLF behind a chunk's data comes next
        self._trailers: HeadReader | None = None  # once the last chunk has come
        self._framing = 0
        self._extensions = 0

    def read(self, buffer: bytearray) -> bytes:
        """Return the data at the front of `buffer`, and remove what was read.

        Empty if there is none yet, or `complete`.  A call takes at most 64 chunks: call again
        while it returns data.  Raises `BadRequest`: 400 for what is malformed or nearly all
        framing, 413 for data over the limit, 431 for trailers over theirs.
        """
        pieces: list[bytes] = []
        sizes = 0
        while buffer and not self.complete:
            if self._left:
                pieces.append(self._take(buffer))
            elif self._after_data:
                if not self._take_line_end(buffer):
                    break
            elif self._trailers is not None:
                self._take_trailers(buffer, self._trailers)
            elif sizes == MAX_CHUNKS or not self._take_size(buffer):
                break
            else:
                sizes += 1
        return b"".join(pieces)

    def _take(self, buffer: bytearray) -> bytes:
        with memoryview(buffer) as view:
            piece = bytes(view[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        self._after_data = self._left == 0
        return piece

    def _take_line_end(self, buffer: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise refuse(400, "bad request: a chunk's data is longer than its size")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._count(2)
        self._after_data = False
        return True

    def _take_size(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r", 0, _MAX_LINE + 1)
        line = bytes(buffer[: _MAX_LINE + 1 if end < 0 else end])
        if foreign := line.translate(None, _LINE_BYTES):
            raise refuse(400, f"bad request: the byte {quoted(foreign[:1])} in a chunk line")
        if end < 0:
            if len(line) > _MAX_LINE:
                raise refuse(400, f"bad request: a chunk line of more than {_MAX_LINE} bytes")
            return False
        if len(buffer) == end + 1:
            return False
        if buffer[end + 1] != ord("\n"):
            raise refuse(400, "bad request: a bare CR in a chunk line")
        del buffer[: end + 2]
        self._begin_chunk(line)
        return True

    def _begin_chunk(self, line: bytes) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise refuse(400, f"bad request: the chunk line {quoted(line)}")
        self._extensions += len(match[2])
        if len(match[2]) > MAX_EXTENSION or self._extensions > MAX_EXTENSIONS:
            raise refuse(400, "bad request: too many bytes of chunk extensions")
        size = int(match[1], 16)
        if self._limit is not None and self.announced + size > self._limit:
            raise BodyTooLarge(self._limit)
        self.announced += size
        self._count(len(line) + 2)
        self._left = size
        if size == 0:
            limits = Limits(
                head_size=MAX_TRAILERS + len(_STAND_IN), header_count=self._header_count
            )
            self._trailers = HeadReader(limits)
            self._trailers.receive_data(_STAND_IN)

    def _take_trailers(self, buffer: bytearray, trailers: HeadReader) -> None:
        data = bytes(buffer)
        buffer.clear()
        try:
            self.complete = trailers.receive_data(data) is not None
        except BadHead as error:
            message = f"bad trailers: {error}" if error.status == 400 else "too large trailers"
            raise refuse(error.status, message) from None
        buffer += trailers.trailing

    def _count(self, size: int) -> None:
        self._framing += size
        if self._framing > FREE_FRAMING + FRAMING_PER_BYTE * self.announced:
            raise refuse(400, "bad request: the chunks are nearly all framing")
