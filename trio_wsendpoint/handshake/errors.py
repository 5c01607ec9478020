"""The errors of the opening handshake that carry an HTTP response."""

from __future__ import annotations

from trio_wsendpoint.errors import BadResponse, HandshakeError
from trio_wsendpoint.handshake.http import Response

__all__ = [
    "BadRequest",
    "BadUpgrade",
    "HandshakeRefused",
    "RequestAnswered",
    "UnexpectedProxyHeader",
]


class BadRequest(HandshakeError):
    """A request that the server refuses; `response` is the answer to write before closing."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class UnexpectedProxyHeader(BadRequest):
    """A PROXY header where none is read: the proxy and this server are not set up alike."""


class BadUpgrade(BadResponse):
    """The server answered 101, but not to our request (RFC 6455 section 4.1); `response` is that.

    A wrong `Sec-WebSocket-Accept`, for one, or a subprotocol or an extension that was not offered.
    The same server answers the next request in the same way.
    """

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class HandshakeRefused(HandshakeError):
    """The server answered with something other than 101; `response` holds what it said.

    `response.body` holds at most the first 64 KiB of the body.
    """

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response


class RequestAnswered(HandshakeError):
    """`process_request` has answered the request itself; `response` is what it said."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response
