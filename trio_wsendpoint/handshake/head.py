"""Reads the head of an HTTP/1.x message, byte by byte if need be, before h11 sees any of it.

Outcomes of `HeadReader.receive_data`: the whole head, once; `None`, for "not yet"; or `BadHead`,
at the first byte that shows that no good head can follow.  What it promises:

1. The outcome depends on the bytes, never on how they were cut.
2. Each byte is looked at a fixed number of times: no line is searched from its start again.
3. It holds at most `limits.head_size` bytes and what lies behind the head in the last chunk.
4. Nothing lenient passes: RFC 9112 lets a recipient take a bare LF for a line end (section 2.2)
   and a folded line for a value (section 5.2); what two readers can read in two ways is how
   requests are smuggled, so here both are errors, like a bare CR, a control character, a blank
   before a colon, and a name that is not a token.
5. Another protocol, as TLS or SSH, is called what it is once its first bytes say so; until then
   nothing is refused that its next bytes may still explain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from trio_wsendpoint.handshake.abnf import TOKEN
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.strangers import TO_CLIENTS, TO_SERVERS, may_become, recognize

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_wsendpoint.options import Limits

__all__ = ["BadHead", "HeadReader", "whole_request"]

_CR, _LF = b"\r\n"
_NAME_BYTES = "".join(sorted(TOKEN)).encode("ascii")
# A request line is visible ASCII and blanks; a reason phrase may have HTAB and obs-text as well
# (RFC 9112 section 4), and so may a field value (RFC 9110 section 5.5).
_REQUEST_BYTES = bytes(range(0x20, 0x7F))
_TEXT_BYTES = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
# HTTP/0.9 had no status line and HTTP/2 has none; whatever 1.x may bring has this.
_STATUS_LINE = b"HTTP/1."
# A whole request head that the states below would let pass, except for how long it is: nearly
# every head comes at once and is one.  What it does not match they look at.  No quantifier of it
# gives back what it has taken, so that time is linear.
_NAME_CLASS = b"[" + re.escape(_NAME_BYTES) + b"]"
_WHOLE_REQUEST = re.compile(
    rb"(?!PROXY )"
    + _NAME_CLASS
    + rb"[\x20-\x7e]*+\r\n(?:"
    + _NAME_CLASS
    + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)


class BadHead(Exception):
    """No good head; `status` is the answer if it was a request's.

    `is_proxy`: it is a PROXY header.  It never leaves the library: `refuse_head` translates it.
    """

    def __init__(self, status: int, message: str, *, is_proxy: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_proxy = is_proxy


class HeadReader:
    """Collects one head, through its blank line; what came behind it is in `trailing`.

    `start`: which kind of message.  Of a request, one CRLF before the request line is skipped,
    as RFC 9112 section 2.2 says.  `limits.head_size` holds for the whole head, and half of it
    for a request line, so that 414 can be told from 431; `limits.header_count` for the fields.
    """

    def __init__(
        self, limits: Limits, *, start: Literal["request", "response"] = "request"
    ) -> None:
        self.trailing: bytes = b""
        self.complete = False
        self._limits = limits
        self._head = bytearray()
        self._room = limits.head_size
        self._headers_left = limits.header_count
        self._is_request = start == "request"
        # Which other protocols it may still be, and the first bytes, which do not tell yet.
        self._strangers = TO_SERVERS if self._is_request else TO_CLIENTS
        self._untold = b""
        self._line_room = limits.head_size // 2 if self._is_request else limits.head_size
        self._line_size = 0
        # The state is the function that takes the next bytes: it consumes some of data[at:end],
        # perhaps chooses the next state, and returns where it stopped.
        self._step: Callable[[HeadReader, bytes, int, int], int]
        self._step = HeadReader._first if self._is_request else HeadReader._start_line

    @property
    def held(self) -> bytes:
        """What has come of the head, unless it is complete."""
        return bytes(self._head) + self._untold

    def receive_data(self, data: bytes) -> bytes | None:
        """Return the whole head once `data` completes it, `None` before and after that.

        Raises `BadHead`: 400 for what is malformed, 414 and 431 for what is too long.
        """
        if self.complete:
            self.trailing += data
            return None
        if self._strangers:
            data = self._untold + data
            self._untold = b""
            if self._is_request and (size := whole_request(data, self._limits)):
                self.complete = True
                self.trailing = data[size:]
                return data[:size]
            if not self._is_told(data):
                self._untold = data
                return None
        return self._advance(data)

    def _is_told(self, start: bytes) -> bool:
        """Tell whether `start` is to be read as HTTP; raises `BadHead` for another protocol."""
        stranger = recognize(start, self._strangers)
        if stranger is not None:
            self._head += start[: self._room]
            raise BadHead(stranger.status, stranger.name, is_proxy=stranger.is_proxy)
        if may_become(start, self._strangers):
            return False
        self._strangers = ()
        return True

    def _advance(self, data: bytes) -> bytes | None:
        at = 0
        end = min(len(data), self._room)
        try:
            while at < end and not self.complete:
                at = self._step(self, data, at, end)
        finally:
            # Also when it is refused: `held` tells what came.
            self._head += data[: at if self.complete else end]
        self._room -= at
        if self.complete:
            self.trailing = data[at:]
            return bytes(self._head.removeprefix(b"\r\n"))
        if self._room == 0:
            size = self._limits.head_size
            raise BadHead(431, f"a head of more than {size} bytes (Limits.head_size)")
        return None

    # ---- the states, in the order in which a head passes through them --------------------------

    def _first(self, data: bytes, at: int, _end: int) -> int:
        if data[at] == _CR:
            self._step = HeadReader._first_lf
            return at + 1
        self._step = HeadReader._start_line
        return at

    def _first_lf(self, data: bytes, at: int, _end: int) -> int:
        _expect_lf(data[at])
        self._step = HeadReader._start_line
        return at + 1

    def _start_line(self, data: bytes, at: int, end: int) -> int:
        stop = min(end, at + self._line_room)
        found = data.find(b"\r", at, stop)
        until = stop if found < 0 else found
        self._check_start(data[at:until])
        self._line_size += until - at
        self._line_room -= until - at
        if found < 0:
            if self._line_room == 0 and self._is_request:
                size = self._line_size
                raise BadHead(
                    414, f"a request line of {size} bytes or more (half of Limits.head_size)"
                )
            return until
        if self._line_size == 0:
            raise BadHead(400, "an empty line where the message should start")
        self._step = HeadReader._line_lf
        return found + 1

    def _check_start(self, piece: bytes) -> None:
        if self._is_request:
            # The method is a token: a blank, for one, is refused at its first byte.
            if self._line_size == 0 and piece[:1].strip(_NAME_BYTES):
                raise BadHead(400, _what_is_wrong(piece[0], "the request line"))
            _check_bytes(piece, _REQUEST_BYTES, "the request line")
            return
        expected = _STATUS_LINE[self._line_size :]
        if not piece.startswith(expected[: len(piece)]):
            raise BadHead(400, "it does not start with HTTP/1")
        _check_bytes(piece, _TEXT_BYTES, "the status line")

    def _line_lf(self, data: bytes, at: int, _end: int) -> int:
        _expect_lf(data[at])
        self._step = HeadReader._line
        return at + 1

    def _line(self, data: bytes, at: int, _end: int) -> int:
        byte = data[at]
        if byte == _CR:
            self._step = HeadReader._last_lf
            return at + 1
        if byte in b" \t":
            raise BadHead(400, "a folded header line")
        if self._headers_left == 0:
            count = self._limits.header_count
            raise BadHead(431, f"more than {count} headers (Limits.header_count)")
        self._headers_left -= 1
        if byte == ord(":"):
            raise BadHead(400, "a header without a name")
        self._step = HeadReader._name
        return at

    def _name(self, data: bytes, at: int, end: int) -> int:
        colon = data.find(b":", at, end)
        until = end if colon < 0 else colon
        _check_bytes(data[at:until], _NAME_BYTES, "the name of a header")
        if colon < 0:
            return until
        self._step = HeadReader._value
        return colon + 1

    def _value(self, data: bytes, at: int, end: int) -> int:
        found = data.find(b"\r", at, end)
        until = end if found < 0 else found
        _check_bytes(data[at:until], _TEXT_BYTES, "the value of a header")
        if found < 0:
            return until
        self._step = HeadReader._line_lf
        return found + 1

    def _last_lf(self, data: bytes, at: int, _end: int) -> int:
        _expect_lf(data[at])
        self.complete = True
        return at + 1


def whole_request(data: bytes, limits: Limits) -> int:
    """Return the size of a good head of a request at the start of `data`.

    0 for what `HeadReader` has to look at more closely: it may be good, bad, or not whole.
    """
    match = _WHOLE_REQUEST.match(data, 0, limits.head_size)
    if match is None:
        return 0
    size = match.end()
    # Two of the line ends are those of the request line and of the empty line.
    is_within = (
        data.index(b"\r") < limits.head_size // 2
        and data.count(b"\r\n", 0, size) - 2 <= limits.header_count
    )
    return size if is_within else 0


def _expect_lf(byte: int) -> None:
    if byte != _LF:
        raise BadHead(400, "a bare CR")


def _check_bytes(piece: bytes, allowed: bytes, where: str) -> None:
    # One pass in C; only a refused head is looked at more closely.
    if foreign := piece.translate(None, allowed):
        raise BadHead(400, _what_is_wrong(foreign[0], where))


def _what_is_wrong(byte: int, where: str) -> str:
    if byte == _LF:
        return f"a bare LF in {where}"
    return f"the byte {quoted(bytes([byte]))} in {where}"
