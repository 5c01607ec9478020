"""How a server says no: a `BadRequest` that carries the answer to write.

`refuse` makes one and returns it, for its caller to raise.  RFC 9110 section 7.8: a proxy that
sees a failed upgrade may keep the connection as a tunnel, so every refusal also closes; that is
`serialize_response`'s promise.  For `http1.py` and `server.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.errors import BadRequest, UnexpectedProxyHeader
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from trio_wsendpoint.handshake.head import BadHead
    from trio_wsendpoint.handshake.headers import HeaderItems

__all__ = ["check_method", "check_version", "refuse", "refuse_head", "upgrade_required"]


def refuse(status: int, message: str, headers: HeaderItems = ()) -> BadRequest:
    """Return the error for an answer of `status` whose body is `message`, as plain text."""
    return BadRequest(message, Response(status, headers, f"{message}\n"))


def refuse_head(error: BadHead) -> BadRequest:
    """Return the error for a request whose head is none, because of `error`."""
    message = f"bad request: {error}"
    made = UnexpectedProxyHeader if error.is_proxy else BadRequest
    return made(message, Response(error.status, body=f"{message}\n"))


def upgrade_required(message: str) -> BadRequest:
    """Return the 426 that tells which protocol, and which version of it, is spoken here.

    RFC 9110 section 15.5.22: it MUST have an Upgrade header; RFC 6455 section 4.4: and the
    versions of the protocol that the server knows.
    """
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    return refuse(426, message, headers)


def check_method(method: str) -> None:
    """Raise the 405 for any method but GET (RFC 6455 section 4.2.1)."""
    if method == "GET":
        return
    error = refuse(405, f"only GET is served, not {quoted(method)}", {"Allow": "GET"})
    if method == "HEAD":
        # RFC 9110 section 9.3.2: an answer to HEAD has no content.
        error.response = Response(405, error.response.headers)
    raise error


def check_version(version: str) -> None:
    """Raise the 505 for any HTTP version but 1.1.

    RFC 9110 section 7.8: a server MUST ignore Upgrade in HTTP/1.0; HTTP/2 opens otherwise.
    """
    if version != "1.1":
        raise refuse(505, f"only HTTP/1.1 is served, not {quoted(version)}")
