"""Writes the opening handshake's HTTP/1.1 (RFC 9112): a request or a response, as bytes.

The bytes depend on the arguments alone, of which one is the time of day, and they cannot fail to
be one message: `Request` and `Response` have checked all they hold.  Found as
`http1.serialize_request` too.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_wsendpoint.handshake.http import Request, Response

__all__ = ["serialize_request", "serialize_response"]

# What frames a message is decided by the one who writes it.
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})


def serialize_request(request: Request) -> bytes:
    """Return the request as it goes on the wire."""
    line = f"{request.method} {request.target} HTTP/{request.http_version}"
    return _serialize(line, request.headers.items())


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
        return _serialize(line, [*response.headers.items(), *_date(response, now)])
    items = [item for item in response.headers.items() if item[0].lower() not in _FRAMING]
    items += _date(response, now)
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
    return _serialize(line, items) + body


def _date(response: Response, now: float | None) -> list[tuple[str, str]]:
    if now is None or "Date" in response.headers:
        return []
    return [("Date", _date_of(int(now)))]


# To write a date takes 25 us, a tenth of an opening: once a second is enough.
@lru_cache(maxsize=2)
def _date_of(second: int) -> str:
    return formatdate(second, usegmt=True)


def _serialize(line: str, items: Iterable[tuple[str, str]]) -> bytes:
    lines = [line, *[f"{name}: {value}" for name, value in items], "", ""]
    return "\r\n".join(lines).encode("iso-8859-1")
