"""A request and a response, as plain data that checks itself when it is made.

Both are immutable and hold nothing that may not go on the wire: making one raises `ValueError`
(`TypeError` for a wrong type) instead.  What they tell of the peer's headers never raises, and
their `repr` hides credentials.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from trio_wsendpoint.handshake.abnf import is_token, parse_protocols, parse_tokens
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.query import Query, parse_cookies
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import hide_in_url

__all__ = ["HeaderItems", "Headers", "Request", "Response"]

_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))
_NO_HEADERS = Headers()
_set = object.__setattr__  # to make what does not change afterwards


@dataclass(frozen=True, slots=True, init=False)
class Request:
    """The head of a request (RFC 9112 section 3).

    `target` is as on the request line: `/chat?room=1`, or in absolute form.  `headers` takes
    whatever `Headers` does.  Raises `ValueError` for a target that is empty or has anything but
    visible ASCII in it, for a method that is not a token, for a version that is not `1.1`-like.

    >>> request = Request("/rooms/a%20b?name=ann", {"Host": "example.com"})
    >>> request.path, request.query["name"]
    ('/rooms/a b', 'ann')
    """

    target: str
    headers: Headers
    method: str
    http_version: str

    def __init__(
        self,
        target: str,
        headers: HeaderItems = _NO_HEADERS,
        method: str = "GET",
        http_version: str = "1.1",
    ) -> None:
        # A blank in the target would end it early, and a line break the whole line.
        if not target or not _VISIBLE.issuperset(target):
            raise ValueError(f"request target {quoted(hide_in_url(target))} is not visible ASCII")
        if method != "GET" and not is_token(method):
            raise ValueError(f"method {quoted(method)} is not a token")
        if not _VISIBLE.issuperset(http_version):
            raise ValueError(f"HTTP version {quoted(http_version)} is not visible ASCII")
        _set(self, "target", target)
        _set(self, "headers", Headers(headers))
        _set(self, "method", method)
        _set(self, "http_version", http_version)

    @classmethod
    def of_checked(
        cls, target: str, headers: Headers, method: str = "GET", http_version: str = "1.1"
    ) -> Request:
        """Return a request of parts that the caller knows to be fit; nothing is checked."""
        request = cls.__new__(cls)
        _set(request, "target", target)
        _set(request, "headers", headers)
        _set(request, "method", method)
        _set(request, "http_version", http_version)
        return request

    def __repr__(self) -> str:
        return (
            f"Request({hide_in_url(self.target)!a}, {self.headers!r}, "
            f"method={self.method!a}, http_version={self.http_version!a})"
        )

    @property
    def path(self) -> str:
        """The path, percent-decoded as UTF-8; of an absolute target, the path in it.

        `%2F` becomes a slash, and what is not UTF-8 becomes U+FFFD: see `raw_path`.
        """
        path = self.raw_path
        return unquote(path) if "%" in path else path

    @property
    def raw_path(self) -> str:
        """The path as it came."""
        return _split_target(self.target)[1].partition("?")[0] or "/"

    @property
    def query(self) -> Query:
        """What follows the first `?` of the target, parsed; `query.raw` is the text."""
        return Query(_split_target(self.target)[1].partition("?")[2])

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name; of several with one name the first."""
        return parse_cookies(self.headers.get_all("Cookie"))

    @property
    def host(self) -> str | None:
        """Which host was asked for, with its port if it was given one.

        RFC 9112 section 3.2.2: of a target in absolute form, the authority in it, and the Host
        header is ignored; else the Host header, and None without one.
        """
        authority = _split_target(self.target)[0]
        return self.headers.get("Host") if authority is None else authority

    @property
    def origin(self) -> str | None:
        """The Origin header, None without one; several come joined, and so match no origin."""
        return self.headers.get("Origin")

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols on offer, preferred one first; none if the header is malformed."""
        try:
            # No limit: the head was bounded already, and the parser is linear.
            values = self.headers.get_all("Sec-WebSocket-Protocol")
            return tuple(parse_tokens(values, limit=sys.maxsize))
        except ValueError:
            return ()

    @property
    def is_upgrade(self) -> bool:
        """Whether this means to open a WebSocket, correctly or not.

        True for an Upgrade header that lists `websocket`, and for any Sec-WebSocket-Key: a
        botched attempt wants the handshake's own answer, not a web page.
        """
        upgrade = self.headers.get_all("Upgrade")
        if upgrade == ("websocket",):  # as nearly every client has it
            return True
        try:
            protocols = parse_protocols(upgrade, limit=sys.maxsize)
        except ValueError:
            protocols = []
        asked = any(protocol.lower() == "websocket" for protocol in protocols)
        return asked or "Sec-WebSocket-Key" in self.headers


@dataclass(frozen=True, slots=True, init=False)
class Response:
    """A response (RFC 9112 section 4).

    `status` is 100 to 599; of a response that was read, 0 to 999, of which RFC 9110 section 15
    takes what is no status for one of 5xx.  `headers` takes what `Headers` does.  `body` may be a
    `str`, which becomes UTF-8 and, unless the headers say otherwise, `text/plain; charset=utf-8`.
    `serialize_response` adds the framing (Content-Length, Connection).
    """

    status: int
    headers: Headers
    body: bytes

    def __init__(
        self,
        status: int,
        headers: HeaderItems = _NO_HEADERS,
        body: str | bytes = b"",
    ) -> None:
        # An `HTTPStatus` is an int and welcome; a bool is one only by accident of history.
        if isinstance(status, bool) or not isinstance(status, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"status must be an int, not {status!r}")
        if not 100 <= status <= 599:
            raise ValueError(f"status must be 100 to 599, not {status}")
        fields = Headers(headers)
        if isinstance(body, str):
            body = body.encode()
            if "Content-Type" not in fields:
                fields = Headers([*fields.items(), ("Content-Type", "text/plain; charset=utf-8")])
        if not isinstance(body, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"body must be str or bytes, not {type(body).__name__}")
        _set(self, "status", int(status))
        _set(self, "headers", fields)
        _set(self, "body", body)

    @classmethod
    def of_checked(cls, status: int, headers: Headers, body: bytes = b"") -> Response:
        """Return a response of parts that the caller knows to be fit; nothing is checked.

        `status` may be any number of three digits.
        """
        response = cls.__new__(cls)
        _set(response, "status", status)
        _set(response, "headers", headers)
        _set(response, "body", body)
        return response

    def __repr__(self) -> str:
        # A body may repeat what was asked for, credentials and all.
        return f"Response({self.status}, {self.headers!r}, <{len(self.body)} bytes>)"

    @property
    def reason_phrase(self) -> str:
        """The registered phrase for the status, as `Not Found`; `Unknown` if it has none."""
        if self.status == 101:
            return "Switching Protocols"
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return "Unknown"


def _split_target(target: str) -> tuple[str | None, str]:
    """Return the authority (None in origin form) and the rest, path and query."""
    scheme, found, rest = target.partition("://")
    # `/redirect?to=http://elsewhere` has "://" in it too; only before any "/" is it a scheme's.
    if not found or not scheme.isalpha():
        return None, target
    end = min((at for at in map(rest.find, "/?") if at >= 0), default=len(rest))
    return rest[:end], rest[end:]
