"""How a connection ends, in Trio's own terms.

Each of the three is a `ConnectionClosed` and the exception that Trio uses for such an end, so
that `except trio.EndOfChannel`, and `async for`, work as on any channel.  The text of each says
in one line who closed, with which code and reason, and what went wrong last.
Imported by `tasks` and its parts, and by everyone who catches.
"""

from __future__ import annotations

from typing import cast

import trio

from trio_wsendpoint.errors import WebSocketError
from trio_wsendpoint.protocol.closing import Closing
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = [
    "ConnectionClosed",
    "ConnectionClosedLocally",
    "ConnectionEnded",
    "ConnectionLost",
    "is_clean",
    "is_the_end",
    "tell_loss",
]


class ConnectionClosed(WebSocketError):
    """The connection is closed, or closing: nothing can be sent or received any more.

    `code` and `reason` are the connection's, as RFC 6455 section 7.1.5 defines them: those of
    the Close frame that came, 1005 if it had none, 1006 if no frame came.  `sent` and
    `received` are the Close frames, or None.
    """

    def __init__(self, message: str | None, closing: Closing) -> None:
        # None: what `closing` says, which will not change.  It is put into words when it is asked
        # for: most ends of connections nobody reads about.
        super().__init__(*([] if message is None else [message]))
        self._closing = closing
        self.code = closing.code
        self.sent: CloseFrame | None = closing.sent
        self.received: CloseFrame | None = closing.received
        self.reason = self.received.reason if self.received is not None else ""

    def __str__(self) -> str:
        return super().__str__() if self.args else self._closing.explain()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ConnectionEnded(ConnectionClosed, trio.EndOfChannel):
    """The peer closed the connection in order: with 1000, 1001, or no code."""


class ConnectionLost(ConnectionClosed, trio.BrokenResourceError):
    """The connection ended in any other way; `__cause__` is what went wrong, if anything did."""


class ConnectionClosedLocally(ConnectionClosed, trio.ClosedResourceError):
    """We have called `aclose()` ourselves."""


_CLEAN = frozenset({CloseCode.SUCCESS, CloseCode.ENDPOINT_UNAVAILABLE, CloseCode.NO_STATUS})


def is_clean(closing: Closing) -> bool:
    """Tell whether it was the peer's to close, and whether it did so for no error."""
    # A peer that is given up for its silence may still answer 1000 to our 1002.
    was_failed = closing.sent is not None and closing.sent.code == CloseCode.PROTOCOL_ERROR
    return (
        closing.error is None
        and not was_failed
        and closing.received is not None
        and closing.code in _CLEAN
    )


def is_the_end(error: BaseException) -> bool:
    """Tell whether `error` says nothing but that a connection ended, in a group or not."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(map(is_the_end, inner))
    return isinstance(error, ConnectionClosed)


def tell_loss(error: Exception) -> str:
    """Say that the stream broke, and why if it told."""
    return f"the connection was lost: {error.__cause__ or error!r}"
