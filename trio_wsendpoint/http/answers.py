"""Writes an answer (RFC 9112): its head, its body as it comes, its end.

What the head promises is kept: a body is as long as its Content-Length, and what must have no
body has none.  The app's own framing and hop-by-hop headers never reach the wire, nor does a
reason phrase of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias

from trio_wsendpoint.handshake.abnf import OWS
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import upgrade_required
from trio_wsendpoint.http.errors import BodyMismatch

__all__ = [
    "NO_TRAILERS",
    "Answer",
    "Buffer",
    "HttpDate",
    "answer_without_handler",
    "check_answer",
    "check_trailers",
    "early_hints",
    "has_body",
]

Buffer: TypeAlias = "bytes | bytearray | memoryview"

# RFC 9110 section 7.6.1: what is between us and the next hop is ours to say.
_OURS = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-connection", "trailer"}
    | {"transfer-encoding"}
)


# RFC 9110 section 6.5.1: what must be known before the body, or is for the next hop alone.
_NOT_TRAILERS = _OURS | {
    *("authorization", "cache-control", "content-encoding", "content-range", "content-type"),
    *("date", "expires", "host", "location", "set-cookie", "te", "upgrade", "vary"),
    *("www-authenticate",),
}
#: Behind nearly every body.
NO_TRAILERS = Headers()
# Of a Content-Length: any size.
_MAX_DIGITS = 18
_STATUS_LINES = {int(one): f"HTTP/1.1 {one:d} {one.phrase}" for one in HTTPStatus}


class HttpDate:
    """The time as a Date header has it (RFC 9110 section 6.6.1), made once a second.

    `clock` returns seconds since 1970; one object serves a whole server.
    """

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def __str__(self) -> str:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text


class Answer:
    """One final answer on its way.

    `status` is 200 to 599.  `headers` may have a Content-Length, which the body must keep, a Date,
    and `Connection: close`.  `length`: bytes of the body if they are known.  `method` and
    `version` are the request's.  `close`: whether the connection ends with this answer; it also
    does if only its end can end the body, or the headers say so.

    Raises `ValueError` (`TypeError`) for a status or headers that may not go on the wire, and
    `BodyMismatch` if `length` is another than the headers declare.
    """

    __slots__ = ("_has_body", "_left", "closes", "head", "is_chunked")

    def __init__(
        self,
        status: int,
        headers: HeaderItems = (),
        *,
        length: int | None = None,
        method: str = "GET",
        version: str = "1.1",
        close: bool = False,
        date: object = None,
    ) -> None:
        fields = check_answer(status, headers)
        lines, ours, is_dated = _sort(fields)
        declared = _declared_length(ours) if ours else None
        self._has_body = has_body(status, method)
        if declared is not None:
            if self._has_body and length not in {None, declared}:
                raise BodyMismatch(f"a body of {length} bytes, declared as {declared}")
            length = declared
        elif status == 304:
            length = None  # of what the client has in its cache, which the app has not told
        if status == 205:
            length = 0
        self._left = length
        #: Whether the body leaves in chunks; or would, to another method than HEAD.
        self.is_chunked = length is None and version != "1.0" and status not in {204, 304}
        options = _options(ours) if ours else []
        #: Whether the connection ends with this answer.
        self.closes = (
            close
            or "close" in map(str.lower, options)
            or (self._has_body and length is None and not self.is_chunked)
        )
        if date is not None and not is_dated:
            lines.append(f"Date: {date}")
        # RFC 9110 section 8.6: no Content-Length in a 204.
        if length is not None and status != 204:
            lines.append(f"Content-Length: {length}")
        elif self.is_chunked:
            lines.append("Transfer-Encoding: chunked")
        if options or self.closes:
            lines += _connection(options, closes=self.closes)
        first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown"
        #: The bytes of the head.
        self.head = "\r\n".join([first, *lines, "", ""]).encode("iso-8859-1")

    def write(self, data: Buffer) -> bytes:
        """Return `data` as it goes on the wire; nothing if the answer has no body.

        Raises `BodyMismatch` for more than was declared, `TypeError` for what is no bytes.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"the body of an answer is bytes, not {type(data).__name__}")
        # An empty chunk would be the last one.
        if not self._has_body or not (piece := bytes(data)):
            return b""
        if self.is_chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._left is not None:
            if len(piece) > self._left:
                raise BodyMismatch(f"{len(piece) - self._left} bytes more than declared")
            self._left -= len(piece)
        return piece

    def finish(self, trailers: Headers = NO_TRAILERS) -> bytes:
        """Return the end of the body, and `trailers`, which only a body in chunks can have.

        Raises `BodyMismatch` if the body is shorter than declared.
        """
        if not self._has_body:
            return b""
        if self._left:
            raise BodyMismatch(f"{self._left} bytes fewer than declared")
        if not self.is_chunked:
            return b""
        lines = [f"{name}: {value}\r\n" for name, value in trailers.items()]
        return "".join(["0\r\n", *lines, "\r\n"]).encode("iso-8859-1")


def check_answer(status: int, headers: HeaderItems) -> Headers:
    """Return the headers of a final answer.

    Raises `ValueError` (`TypeError`) for a status or headers that may not go on the wire.
    """
    if type(status) is not int or not isinstance(headers, Headers):
        headers = Response(status, headers).headers
    if not 200 <= status <= 599:
        raise ValueError(f"status {status} is no final one (200 to 599)")
    return headers


def check_trailers(trailers: Headers) -> None:
    """Raise `ValueError` for a header that is no trailer (RFC 9110 section 6.5.1)."""
    for name in trailers:
        if name in _NOT_TRAILERS:
            raise ValueError(f"the header {quoted(name)} may not be a trailer")


def early_hints(links: Iterable[str]) -> bytes:
    """Return a 103 (RFC 8297) with a Link header for each of `links`.

    Raises `ValueError` for what may not go on the wire.
    """
    headers = Headers([("Link", link) for link in links])
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return "".join(["HTTP/1.1 103 Early Hints\r\n", *lines, "\r\n"]).encode("iso-8859-1")


def has_body(status: int, method: str) -> bool:
    """Tell whether an answer of `status` to `method` has a body, be it empty.

    RFC 9110 sections 15.3.5, 15.3.6, 15.4.5 and 9.3.2.
    """
    return status not in {204, 205, 304} and method != "HEAD"


def answer_without_handler(method: str, target: str) -> Response:
    """Return what a server that serves WebSockets alone says to a plain request.

    426 to GET and HEAD, 204 to `OPTIONS *`, 405 to anything else.
    """
    if (method, target) == ("OPTIONS", "*"):
        return Response(204, {"Allow": "GET, HEAD"})
    if method in {"GET", "HEAD"}:
        return upgrade_required("this is a WebSocket endpoint").response
    text = f"{quoted(method)} is not served: this is a WebSocket endpoint\n"
    return Response(405, {"Allow": "GET, HEAD"}, text)


def _sort(headers: Headers) -> tuple[list[str], list[tuple[str, str]], bool]:
    """Return the lines of the app's headers, those that are ours to say, and if there is a Date."""
    lines: list[str] = []
    ours: list[tuple[str, str]] = []
    is_dated = False
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in _OURS:
            ours.append((lowered, value))
        else:
            lines.append(f"{name}: {value}")
            is_dated = is_dated or lowered == "date"
    return lines, ours, is_dated


def _declared_length(ours: list[tuple[str, str]]) -> int | None:
    value, *more = [value for name, value in ours if name == "content-length"] or (None,)
    if value is None:
        return None
    if more or not (value.isascii() and value.isdigit()):
        shown = quoted(", ".join([value, *more]))
        raise ValueError(f"Content-Length must be one number, not {shown}")
    if len(value) > _MAX_DIGITS:
        raise ValueError(f"Content-Length {quoted(value)} is out of range")
    return int(value)


def _options(ours: list[tuple[str, str]]) -> list[str]:
    """Return the options of the app's Connection header."""
    listed = ",".join([value for name, value in ours if name == "connection"]).split(",")
    return [option for part in listed if (option := part.strip(OWS))]


def _connection(options: list[str], *, closes: bool) -> list[str]:
    # The other options stay, as the Upgrade of a 426.
    kept = [option for option in options if option.lower() not in {"close", "keep-alive"}]
    if closes:
        kept.append("close")
    return [f"Connection: {', '.join(kept)}"] if kept else []
