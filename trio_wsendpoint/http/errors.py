"""What can go wrong in an exchange of plain HTTP, without any I/O.

`BadRequest` (of `trio_wsendpoint.handshake.errors`) and what is derived from it carry the answer
to write before closing.  The others are our own caller's mistakes.
"""

from __future__ import annotations

from trio_wsendpoint.errors import LocalError
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http import Response

__all__ = ["BodyCutShort", "BodyMismatch", "BodyTooLarge", "OutOfTime", "WrongOrder"]


class BodyTooLarge(BadRequest):
    """The body of a request is over a limit of `limit` bytes; 413 (RFC 9110 section 15.5.14)."""

    def __init__(self, limit: int) -> None:
        message = f"a body of more than {limit} bytes"
        super().__init__(message, Response(413, body=f"{message}\n"))
        self.limit = limit


class BodyCutShort(BadRequest):
    """The bytes of the client ended within the body of its request; 400.

    `size`: how many bytes of it came.  Such a request is incomplete (RFC 9112 section 8).
    """

    def __init__(self, size: int) -> None:
        message = f"the body ended after {size} bytes, before it was complete"
        super().__init__(message, Response(400, body=f"{message}\n"))
        self.size = size


class OutOfTime(BadRequest):
    """A deadline has passed: 408 if the client was too slow, 503 if the handler was."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, Response(status, body=f"{message}\n"))


class WrongOrder(LocalError, RuntimeError):
    """A step of an answer that cannot follow the one before, as a second start."""


class BodyMismatch(LocalError, ValueError):
    """The body of an answer is longer or shorter than its Content-Length says."""
