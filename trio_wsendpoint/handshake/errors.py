"""The errors of the opening handshake that carry an HTTP response."""

from __future__ import annotations

from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake.http import Response

__all__ = ["BadRequest", "HandshakeRefused", "RequestAnswered"]


class BadRequest(HandshakeError):
    """A request that the server refuses; `response` is the answer to write before closing."""

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
