"""Reads the body of a refusal, up to a limit: delimited by length, chunks or EOF.

`BodyReader.receive_data` returns whether the body is at its end; it never raises.  A body whose
framing is broken ends where it breaks: the status before it is what the caller needs to see.
h11 could do this, but its pattern for a chunk's extensions takes quadratic time on hostile ones.
"""

from __future__ import annotations

from string import hexdigits

__all__ = ["BodyReader"]

_HEXDIGITS = hexdigits.encode("ascii")
# Enough for any size and the extensions that nobody uses; without an end to it, a server could
# send extensions for ever and never a byte of body.
_MAX_LINE = 256


class BodyReader:
    """Collects at most `limit` bytes of a body (RFC 9112 section 6.3).

    `length`: the Content-Length, None if there is none; `chunked` goes before it.
    """

    def __init__(self, *, chunked: bool, length: int | None, limit: int) -> None:
        self._body = bytearray()
        self._room = limit if length is None or chunked else min(length, limit)
        self._chunked = chunked
        self._chunk_left = 0
        self._line = bytearray()
        self._after_chunk = False
        self.complete = self._room == 0

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return bytes(self._body)

    def receive_data(self, data: bytes) -> bool:
        """Take the next bytes; return whether the body is complete, or as long as wanted."""
        if self._chunked:
            self._dechunk(data)
        else:
            self._take(data)
        return self.complete

    def _take(self, data: bytes) -> None:
        piece = data[: self._room]
        self._body += piece
        self._room -= len(piece)
        if self._room == 0:
            self.complete = True

    def _dechunk(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.complete:
            if self._chunk_left:
                piece = data[at : at + self._chunk_left]
                self._take(piece)
                self._chunk_left -= len(piece)
                self._after_chunk = self._chunk_left == 0
                at += len(piece)
                continue
            # Never past the longest line, so that no chunk of input is copied or searched twice.
            found = data.find(b"\n", at, at + _MAX_LINE)
            until = min(at + _MAX_LINE, len(data)) if found < 0 else found + 1
            self._line += data[at:until]
            at = until
            if found >= 0 or len(self._line) > _MAX_LINE:
                self._end_line()

    def _end_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._after_chunk:
            # RFC 9112 section 7.1: each chunk's data is followed by CRLF.
            self._after_chunk = False
            self.complete = line != b"\r\n"
            return
        size = line.partition(b";")[0].strip(b" \t\r\n")
        # `int` alone would take "+5", "0x5" and "5_0".  The chunk of size 0 is the last one, and
        # the trailer behind it is nobody's: the connection ends here.
        legal = len(line) <= _MAX_LINE and line.endswith(b"\r\n") and not size.strip(_HEXDIGITS)
        self._chunk_left = int(size, 16) if legal and size else 0
        self.complete = self._chunk_left == 0
