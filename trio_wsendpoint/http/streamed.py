"""An answer whose body comes piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass

from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.http import Response

__all__ = ["StreamedResponse"]

_NO_HEADERS = Headers()
_set = object.__setattr__  # to make what does not change afterwards


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class StreamedResponse:
    """An answer whose body is what an async iterator yields: bytes, of any size.

    `status` is 200 to 599, `headers` takes what `Headers` does.  With a Content-Length the body
    must be as long; without one it leaves in chunks.  A piece is asked for once the client has
    taken those before; empty ones are skipped.  The iterator is closed at the end, if it can be;
    where an answer has no body (to HEAD, a 204) it is closed unread.

    Raises `ValueError` or `TypeError` for what may not go on the wire, or cannot be iterated.
    """

    status: int
    headers: Headers
    body: AsyncIterable[bytes]

    def __init__(
        self, status: int, headers: HeaderItems = _NO_HEADERS, *, body: AsyncIterable[bytes]
    ) -> None:
        response = Response(status, headers)
        if response.status < 200:
            raise ValueError(f"status must be 200 to 599, not {status}")
        if not isinstance(body, AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"body must be an async iterator of bytes, not {type(body).__name__}")
        _set(self, "status", response.status)
        _set(self, "headers", response.headers)
        _set(self, "body", body)

    def __repr__(self) -> str:
        return f"StreamedResponse({self.status}, {self.headers!r})"
