"""Reads the opening handshake's HTTP/1.1 (RFC 9112); `writing.py`, also found here, writes it.

`RequestReader` returns a `Request` or raises `BadRequest`; `ResponseReader` returns a `Response`
or raises `BadResponse`; `None` means "more, please".  No other error leaves them, whatever the
peer sends, and how its bytes were cut makes no difference.  What follows a complete head is never
looked at here: it waits in `trailing`, for it may be WebSocket frames.

h11 sees a head when it is whole, within its limits, and free of everything on which HTTP readers
differ (`head.py`); and not at all if it is that of a usual request (`usual_head.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import h11

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.handshake.abnf import is_token
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.body import BodyReader
from trio_wsendpoint.handshake.head import BadHead, HeadReader
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import (
    check_method,
    check_version,
    refuse,
    refuse_head,
)
from trio_wsendpoint.handshake.secrecy import hide_in_line, hide_in_url
from trio_wsendpoint.handshake.strangers import is_tls
from trio_wsendpoint.handshake.usual_head import read_usual
from trio_wsendpoint.handshake.writing import serialize_request, serialize_response
from trio_wsendpoint.options import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_wsendpoint.handshake.errors import BadRequest

__all__ = [
    "RequestReader",
    "ResponseReader",
    "serialize_request",
    "serialize_response",
]

_DEFAULT_LIMITS = Limits()
# RFC 9110 section 15.2: a client must be able to parse interim responses; not an endless row.
_MAX_INTERIM = 8


class RequestReader:
    """Reads one request, which has no body (RFC 6455 section 4.1: a GET).

    `limits`: `head_size`, `header_count` and `pipelined` hold here.  `trailing` has the bytes
    that came behind the request: RFC 6455 section 4.1 tells a client to wait for the answer, so
    they are not to be acted on before the 101 is written.
    """

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._head = HeadReader(limits)
        #: The header fields of the request, by name in lower case; empty until it is complete.
        self.fields: dict[str, list[str]] = {}

    @property
    def trailing(self) -> bytes:
        """What has come behind the request."""
        return self._head.trailing

    def receive_data(self, data: bytes) -> Request | None:
        """Return the request once it is complete; `None` before and after that.

        Raises `BadRequest`, whose `response` is the answer to write before closing: 400, 405,
        414, 431 or 505 for the request; 400 for more than `limits.pipelined` bytes behind it.
        """
        if self._head.complete:
            self._check_pipelined(len(data))
        try:
            head = self._head.receive_data(data)
        except BadHead as error:
            raise refuse_head(error) from None
        if head is None:
            return None
        request, self.fields = parse_request(head)
        self._check_pipelined(0)
        return request

    def _check_pipelined(self, more: int) -> None:
        if len(self._head.trailing) + more > self._limits.pipelined:
            size = self._limits.pipelined
            raise refuse(400, f"more than {size} bytes behind the request (Limits.pipelined)")


def parse_request(head: bytes) -> tuple[Request, dict[str, list[str]]]:
    """Return the request of a whole `head`, and its fields by their names in lower case.

    Raises `BadRequest` for what is no GET in HTTP/1.1 without a body.
    """
    # Version and method come first: they decide by what rules the rest is to be read, and a POST
    # is told that it is a POST rather than what its body lacks.
    line = head[: head.index(b"\r\n")]
    if not (line.startswith(b"GET ") and line.endswith(b" HTTP/1.1") and line.count(b" ") == 2):
        _check_line(line)
    usual = read_usual(head)
    if usual is None:
        target, headers = _read_by_h11(head, line)
        fields = headers.values_by_name()
    else:
        target, headers, fields = usual
    # RFC 9110 section 9.3.1: content in a GET has no meaning, and might get a request refused as
    # a smuggling attack.  Here it would be parsed as frames, so that is what it gets.
    if "transfer-encoding" in fields or fields.get("content-length", ["0"]) != ["0"]:
        raise _malformed("a GET with a body")
    request = Request.of_checked(target, headers)
    _check_target(request, fields["host"][0])
    return request, fields


def _read_by_h11(head: bytes, line: bytes) -> tuple[str, Headers]:
    """Return the target and the headers; raises `BadRequest` for what is no good HTTP."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    try:
        # Never NEED_DATA: a whole head is a request, or is none.
        event = cast("h11.Request", connection.next_event())
    except h11.RemoteProtocolError as error:
        raise _malformed(text_of(error, line)) from None
    # h11 has checked that the target is visible ASCII, and not empty.
    return event.target.decode("ascii"), _decode(event.headers.raw_items())


def _check_line(line: bytes) -> None:
    parts = line.decode("ascii").split(" ")
    if len(parts) == 3:
        name, _, version = parts[2].partition("/")
        if name == "HTTP" and version.replace(".", "", 1).isdigit():
            check_version(version)
        if is_token(parts[0]):
            check_method(parts[0])
    raise _malformed(f"the request line {hide_in_line(line)} is not like 'GET / HTTP/1.1'")


def text_of(error: Exception, line: bytes) -> str:
    """Say what h11 found wrong, without the bytes that it shows for it."""
    text, shows_bytes, _ = str(error).partition(": bytearray(")
    return f"{text} {hide_in_line(line)}" if shows_bytes else text


def _check_target(request: Request, host: str) -> None:
    try:
        # There is exactly one: that has been checked (RFC 9112 section 3.2).
        parse_authority(host)
        # The same for the authority of an absolute target, which goes before the header's.
        if not request.target.startswith("/"):
            parse_authority(request.host or "")
    except ValueError as error:
        raise _malformed(str(error)) from None
    # RFC 9112 section 3.2: `*` is for OPTIONS and `host:port` for CONNECT.
    absolute = ("http://", "https://", "ws://", "wss://")
    is_one = request.target.startswith("/") or request.target.lower().startswith(absolute)
    if not is_one or "#" in request.target:
        target = quoted(hide_in_url(request.target))
        raise _malformed(f"the target {target} is neither a path nor a URL")


def _malformed(message: str) -> BadRequest:
    return refuse(400, f"bad request: {message[:200]}")


class ResponseReader:
    """Reads the server's answer to an opening request.

    `limits`: `head_size` and `header_count` hold here.  `body_limit`: bytes of body to collect
    from an answer other than 101.  `is_plain`: the request went over no TLS, so that a server
    that answers nothing, or in TLS, may have expected it.  `trailing` has the bytes that came
    behind a 101.

    `to_connect`: the request was a CONNECT, and the server is a proxy.  Then a 2xx has no body
    either: what follows its head comes through the tunnel (RFC 9110 section 9.3.6).
    """

    def __init__(
        self,
        limits: Limits = _DEFAULT_LIMITS,
        body_limit: int = 64 * 1024,
        *,
        is_plain: bool = False,
        to_connect: bool = False,
    ) -> None:
        self._limits = limits
        self._to_connect = to_connect
        self._peer = "the proxy" if to_connect else "the server"
        hint = "an https:// proxy" if to_connect else "wss://"
        self._hint = f": is it {hint}?" if is_plain else ""
        self._body_limit = body_limit
        self._head = HeadReader(limits, start="response")
        self._interim = 0
        self._size = 0
        self._response: Response | None = None
        self._body: BodyReader | None = None
        self._returned = False

    @property
    def trailing(self) -> bytes:
        """What has come behind a 101, or into a tunnel; empty for other answers."""
        return self._head.trailing if self._body is None else b""

    def receive_data(self, data: bytes) -> Response | None:
        """Return the response once it is complete; `None` before and after that.

        A 101 is complete with its head, whatever length it claims (RFC 9110 section 15.2: it has
        no content); other interim responses are skipped.  Any other response is complete at the
        end of its body or at `body_limit`.  Raises `BadResponse` for what is not HTTP/1.x.
        """
        if self._returned:
            if self._body is None:
                self._head.receive_data(data)  # which adds it to `trailing`
            return None
        if self._response is None:
            data = self._receive_head(data)
            if self._response is None:
                return None
        if self._body is not None and not self._body.receive_data(data):
            return None
        self._returned = True
        return self.partial()

    def receive_eof(self) -> Response | None:
        """Return the response whose body the end of the stream ends, or cuts short.

        `None` if the response has been returned before.  Raises `BadResponse` if the stream
        ended before a whole head.
        """
        if self._response is not None:
            if self._returned:
                return None
            self._returned = True
            return self.partial()
        raise self.cut_short(f"{self._peer} closed the connection")

    def cut_short(self, what: str) -> BadResponse:
        """Return what to raise when `what` happened before there was a whole head."""
        if self._size == 0:
            return BadResponse(f"{what} before answering{self._hint}")
        return BadResponse(
            f"{what} after {self._size} bytes of an answer: {hide_in_line(self._head.held)}"
        )

    def partial(self) -> Response | None:
        """Return what has come of the response, None before its head: for a passed deadline."""
        response, body = self._response, self._body
        if response is None or body is None:
            return response
        return Response.of_checked(response.status, response.headers, body.body)

    def _receive_head(self, data: bytes) -> bytes:
        """Feed the head, and the next one after each interim one; return what lies behind."""
        while True:
            self._size += len(data)
            try:
                head = self._head.receive_data(data)
            except BadHead as error:
                raise BadResponse(self._explain(error)) from None
            if head is None:
                return b""
            data = self._head.trailing
            if self._parse(head):
                return data
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise BadResponse(f"more than {_MAX_INTERIM} interim responses")
            self._head = HeadReader(self._limits, start="response")
            self._size -= len(data)

    def _explain(self, error: BadHead) -> str:
        came = self._head.held
        if is_tls(came):
            told = str(error).replace("the server", self._peer)
            return f"{self._peer}'s answer is not HTTP: {told}{self._hint}"
        return f"{self._peer}'s answer is not good HTTP: {error}: {hide_in_line(came)}"

    def _parse(self, head: bytes) -> bool:
        """Set the response; return False for an interim one, of which nothing is kept."""
        try:
            event, status = _parse_response(head)
        except h11.RemoteProtocolError as error:
            text = text_of(error, head)
            raise BadResponse(f"{self._peer}'s answer is not good HTTP: {text}") from None
        if 100 <= status < 200 and status != 101:
            return False
        headers = _decode(event.headers.raw_items())
        self._response = Response.of_checked(status, headers)
        if self._to_connect and 200 <= status < 300:
            return True
        if status == 101:
            # RFC 9110 section 7.8: there is no Upgrade in HTTP/1.0.
            if event.http_version != b"1.1":
                version = quoted(bytes(event.http_version))
                raise BadResponse(f"the server switched protocols in HTTP version {version}")
            return True
        empty = status in (204, 304)
        length = "0" if empty else headers.get("Content-Length")
        self._body = BodyReader(
            chunked="Transfer-Encoding" in headers and not empty,
            length=None if length is None else int(length),
            limit=self._body_limit,
        )
        return True


def _parse_response(head: bytes) -> tuple[h11.Response | h11.InformationalResponse, int]:
    """Return what h11 reads, and the status; raises `h11.RemoteProtocolError`."""
    # RFC 9110 section 15: a status over 599, or under 100, is to be taken for one of 5xx.  h11
    # takes the former, and the latter for a malformed interim response.
    digits = head[9:12]
    if digits.startswith(b"0") and digits.isdigit():
        head = head[:9] + b"500" + head[12:]
    # h11 reads a response only to a request it knows, and a 101 only if that one asked for it.
    connection = h11.Connection(h11.CLIENT)
    fields = [("Host", "server"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection.send(h11.Request(method="GET", target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    event = cast("h11.Response | h11.InformationalResponse", connection.next_event())
    return event, int(digits)


def _decode(items: Iterable[tuple[bytes, bytes]]) -> Headers:
    # ISO-8859-1 maps each byte to one character and cannot fail; RFC 9110 section 5.5 says to
    # treat what is not ASCII as opaque.  `head.py` has checked what a name and a value may hold,
    # and h11 has taken off the blanks around them.
    return Headers.of_checked(
        [(name.decode("ascii"), value.decode("iso-8859-1")) for name, value in items]
    )
