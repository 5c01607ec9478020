"""Checks the head of any request, and reads from it what decides about its connection.

`HeadReader` has delivered the head: whole, within its limits, and free of everything on which
HTTP readers differ byte by byte.  Here follows what they differ on as a whole, for every request
of a connection.  h11 sees only the heads that have no Host, or several: it takes 30 us for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import h11

from trio_wsendpoint.handshake.abnf import OWS, TooManyItems, is_token, parse_tokens
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.http import Request
from trio_wsendpoint.handshake.http1 import text_of
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import refuse
from trio_wsendpoint.handshake.secrecy import hide_in_line, hide_in_url
from trio_wsendpoint.http.framing import Framing, framing_of

__all__ = [
    "ALLOWED_METHODS",
    "RequestHead",
    "check_opening",
    "malformed",
    "parse_head",
]

#: What an Allow header lists where only CONNECT and TRACE are refused.
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

# RFC 9110 sections 9.3.6 and 9.3.8: a tunnel is no business of an origin server, and an echo of
# the request shows its cookies to scripts.
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
_NO_OPTIONS: frozenset[str] = frozenset()
_SCHEMES = ("http://", "https://", "ws://", "wss://")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request as its head tells of it.

    `fields`: the values of each header, by its name in lower case.  `framing`: of its body.
    `options`: the tokens of Connection, in lower case.  `expects_continue`: the client waits for
    100 before it sends the body (RFC 9110 section 10.1.1).
    """

    request: Request
    fields: dict[str, list[str]]
    framing: Framing
    options: frozenset[str]
    expects_continue: bool

    @property
    def keeps_alive(self) -> bool:
        """Whether the client allows a further request (RFC 9112 section 9.3).

        HTTP/1.0 always closes, `keep-alive` or not.  `close` wins over any other option.  So does
        an Upgrade header: a proxy that saw an upgrade fail may take the connection for a tunnel
        (RFC 9110 section 7.8).
        """
        is_current = self.request.http_version == "1.1"
        return is_current and "close" not in self.options and "upgrade" not in self.fields

    @property
    def takes_trailers(self) -> bool:
        """Whether the client reads what follows a body in chunks (RFC 9110 section 10.1.4)."""
        values = self.fields.get("te", ())
        return any("trailers" in value.lower().replace(" ", "").split(",") for value in values)

    @property
    def is_opening(self) -> bool:
        """Whether this means to open a WebSocket: a GET that says so, correctly or not.

        With another method it is an ordinary request, whose Upgrade may be ignored.
        """
        fields = self.fields
        if "upgrade" not in fields and "sec-websocket-key" not in fields:
            return False
        return self.request.method == "GET" and self.request.is_upgrade


def parse_head(head: bytes, *, body_limit: int | None, list_limit: int) -> RequestHead:
    """Return what the bytes of a whole `head` say.

    `body_limit`: bytes of a body, None for any; `list_limit`: items in Connection.  Raises
    `BadRequest`: 400 (malformed, ambiguous), 405 (CONNECT, TRACE), 413 (Content-Length), 417
    (another expectation than 100-continue), 431 (Connection), 501 (Transfer-Encoding) or 505.
    """
    # ISO-8859-1 maps each byte to one character and cannot fail.
    first, *lines = head[:-4].decode("iso-8859-1").split("\r\n")
    method, target, version = _check_line(first)
    _check_target(target, method)
    items: list[tuple[str, str]] = []
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        value = value.strip(OWS)
        items.append((name, value))
        fields.setdefault(name.lower(), []).append(value)
    framing = framing_of(fields, version, body_limit)
    if len(fields.get("host", ())) == 1:
        # What h11 looks at has been checked, here and by `HeadReader`.
        request = Request.of_checked(target, Headers.of_checked(items), method, version)
    else:
        request = _parse(head)
    _check_hosts(request, fields)
    options, expects = fields.get("connection"), fields.get("expect")
    return RequestHead(
        request,
        fields,
        framing,
        _options(options, list_limit) if options else _NO_OPTIONS,
        expects is not None and _expects_continue(expects, version),
    )


def check_opening(head: RequestHead) -> None:
    """Check what `ServerHandshake` takes for granted of an opening.

    Raises `BadRequest`: 505 for HTTP/1.0, where Upgrade is ignored (RFC 9110 section 7.8), and
    400 for a body, which would be parsed as frames.
    """
    if head.request.http_version != "1.1":
        raise refuse(505, "a WebSocket is opened in HTTP/1.1, not in 1.0")
    if not head.framing.is_empty:
        raise malformed("a GET with a body opens no WebSocket")


def malformed(message: str) -> BadRequest:
    """Return the 400 for a request that is no good HTTP."""
    return refuse(400, f"bad request: {message[:200]}")


def _check_line(line: str) -> tuple[str, str, str]:
    """Return method, target and version; those that are refused whatever follows raise."""
    parts = line.split(" ")
    if len(parts) != 3 or not parts[1]:
        raise malformed(f"the request line {hide_in_line(line.encode())}")
    method, target, protocol = parts
    if method == "GET" and protocol == "HTTP/1.1":
        return method, target, "1.1"  # as nearly every request
    name, _, version = protocol.partition("/")
    if name != "HTTP" or not version.replace(".", "", 1).isdigit() or not is_token(method):
        raise malformed(f"the request line {hide_in_line(line.encode())}")
    if version not in {"1.0", "1.1"}:
        raise refuse(505, f"only HTTP/1.0 and 1.1 are served, not {quoted(version)}")
    if method in _REFUSED_METHODS:
        raise refuse(405, f"{method} is not served", {"Allow": ALLOWED_METHODS})
    return method, target, version


def _check_target(target: str, method: str) -> None:
    # RFC 9112 section 3.2: the origin form, the absolute form, and `*` for OPTIONS alone.
    if target[0] == "/" and "#" not in target:
        return
    is_one = target.startswith("/") or target.lower().startswith(_SCHEMES)
    if (not is_one and (target, method) != ("*", "OPTIONS")) or "#" in target:
        raise malformed(f"the target {quoted(hide_in_url(target))} is neither a path nor a URL")


def _parse(head: bytes) -> Request:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    try:
        # Never NEED_DATA: a whole head is a request, or is none.
        event = cast("h11.Request", connection.next_event())
    except h11.RemoteProtocolError as error:
        raise malformed(text_of(error, head[: head.index(b"\r\n")])) from None
    headers = Headers(
        (name.decode("ascii"), value.decode("iso-8859-1"))
        for name, value in event.headers.raw_items()
    )
    return Request(
        event.target.decode("ascii"),
        headers,
        event.method.decode("ascii"),
        event.http_version.decode("ascii"),
    )


def _check_hosts(request: Request, fields: dict[str, list[str]]) -> None:
    # There is one, or in HTTP/1.0 none.
    hosts = fields.get("host", [])
    if not request.target.startswith(("/", "*")):
        hosts = [*hosts, request.host or ""]  # of the target, which goes before the header's
    try:
        for host in hosts:
            parse_authority(host)
    except ValueError as error:
        raise malformed(str(error)) from None


def _options(values: Sequence[str], limit: int) -> frozenset[str]:
    try:
        return frozenset(option.lower() for option in parse_tokens(values, limit=limit))
    except TooManyItems as error:
        raise refuse(431, f"Connection: {error}") from None
    except ValueError as error:
        raise malformed(f"Connection: {error}") from None


def _expects_continue(values: Sequence[str], version: str) -> bool:
    expectations = [part.strip(OWS) for value in values for part in value.split(",")]
    for expectation in filter(None, expectations):
        if expectation.lower() != "100-continue":
            raise refuse(417, f"the expectation {quoted(expectation)} is not met")
    # RFC 9110 section 10.1.1: in HTTP/1.0 it MUST be ignored.
    return any(expectations) and version == "1.1"
