"""Writes the opening handshake's HTTP/1.1 (RFC 9112): a request or a response, as bytes.

The bytes depend on the arguments alone, of which one is the time of day, and they cannot fail to
be one message: `Request` and `Response` have checked all they hold.  Found as
`http1.serialize_request` too.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.headers import Headers

if TYPE_CHECKING:
    from trio_wsendpoint.handshake.http import Request, Response

__all__ = ["serialize_request", "serialize_response"]

# What frames a message is decided by the one who writes it.
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
_HAS_DATE = re.compile(rb"^date:", re.IGNORECASE | re.MULTILINE)


def serialize_request(request: Request) -> bytes:
    """Return the request as it goes on the wire."""
    line = f"{request.method} {request.target} HTTP/{request.http_version}"
    return _serialize(line, request.headers)


def serialize_response(
    response: Response, request: Request | None = None, *, now: float | None = None
) -> bytes:
    """Return the response as it goes on the wire, framed so that nothing can follow it.

    A 101 is its head alone.  Any other response gets `Connection: close` and a Content-Length in
    place of whatever framing its own headers claim: a proxy that sees a failed upgrade may keep
    the connection as a tunnel.  `request`: what is answered; an answer to HEAD has no body.
    `now`: the time of day, in seconds since the epoch, for a Date header (RFC 9110 section 6.6.1)
    unless the response has its own; None adds none.
    """
    line = f"HTTP/1.1 {response.status} {response.reason_phrase}"
    if response.status == 101:
        return _serialize(line, response.headers, now)
    items = [item for item in response.headers.items() if item[0].lower() not in _FRAMING]
    # The other options that Connection lists stay, as the Upgrade of a 426; only whether the
    # connection persists is decided here.
    options = ",".join(response.headers.get_all("Connection")).split(",")
    kept = [option.strip() for option in options]
    kept = [option for option in kept if option.lower() not in {"", "close", "keep-alive"}]
    items.append(("Connection", ", ".join([*kept, "close"])))
    body = response.body
    # RFC 9110 section 8.6: no Content-Length in a 1xx or 204, which have no content either.
    if response.status >= 200 and response.status != 204:
        items.append(("Content-Length", str(len(body))))
    else:
        body = b""
    if response.status == 304 or (request is not None and request.method == "HEAD"):
        body = b""
    return _serialize(line, Headers.of_checked(items), now) + body


# To write a date takes 25 us, a tenth of an opening: once a second is enough.
@lru_cache(maxsize=2)
def _date_of(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")


def _serialize(line: str, headers: Headers, now: float | None = None) -> bytes:
    """Return a head; with a Date of `now` unless that is None, or the headers have one."""
    lines = headers.lines()
    parts = [line.encode("iso-8859-1"), *([lines] if lines else [])]
    if now is not None and not _HAS_DATE.search(lines):
        parts.append(b"Date: " + _date_of(int(now)))
    return b"\r\n".join([*parts, b"", b""])
