"""How a connection ends, in Trio's own terms.

Each of the three is a `ConnectionClosed` and the exception that Trio uses for such an end, so
that `except trio.EndOfChannel`, and `async for`, work as on any channel.  The text of each says
in one line who closed, with which code and reason, and what went wrong last.
"""

from __future__ import annotations

from typing import cast

import trio

from trio_wsendpoint.errors import WebSocketError
from trio_wsendpoint.protocol.closing import Closing
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.session.ending import How, Outcome

__all__ = [
    "ConnectionClosed",
    "ConnectionClosedLocally",
    "ConnectionEnded",
    "ConnectionLost",
    "PingTimeout",
    "closed_by",
    "is_the_end",
]


class ConnectionClosed(WebSocketError):
    """The connection is closed, or closing: nothing can be sent or received any more.

    `code` and `reason` are the connection's, as RFC 6455 section 7.1.5 defines them: those of
    the Close frame that came, 1005 if it had none, 1006 if no frame came.  `sent` and
    `received` are the Close frames, or None.
    """

    def __init__(
        self, message: str | None, closing: Closing, cause: BaseException | None = None
    ) -> None:
        # None: what `closing` says, which will not change.  It is put into words when it is asked
        # for: most ends of connections nobody reads about.
        super().__init__(*([] if message is None else [message]))
        self.__cause__ = cause
        self._closing: Closing | None = closing  # None: in a copy, which concerns no connection
        self.code = closing.code
        self.sent: CloseFrame | None = closing.sent
        self.received: CloseFrame | None = closing.received
        self.reason = self.received.reason if self.received is not None else ""

    def concerns(self, closing: Closing) -> bool:
        """Tell whether this is the end of the connection whose endpoint has `closing`.

        False of an exception that was pickled or copied.
        """
        return self._closing is closing

    def __str__(self) -> str:
        return super().__str__() if self._closing is None or self.args else self._closing.explain()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # `closing` stays here: it holds the error of a peer or of a callback, which need not be
        # fit for a pickle.  The text of the copy says what it knew.
        restore = super().__reduce__()[0]
        return restore, (type(self), (str(self),)), {**vars(self), "_closing": None}


class ConnectionEnded(ConnectionClosed, trio.EndOfChannel):
    """The peer closed the connection in order: with 1000, 1001, or no code."""


class ConnectionLost(ConnectionClosed, trio.BrokenResourceError):
    """The connection ended in any other way; `__cause__` is what went wrong, if anything did."""


class ConnectionClosedLocally(ConnectionClosed, trio.ClosedResourceError):
    """We have called `aclose()` ourselves."""


_CLASSES = {
    How.ENDED: ConnectionEnded,
    How.LOST: ConnectionLost,
    How.LOCAL: ConnectionClosedLocally,
}


def closed_by(outcome: Outcome, closing: Closing) -> ConnectionClosed:
    """Return the exception that tells of `outcome`."""
    return _CLASSES[outcome.how](outcome.text, closing, outcome.cause)


class PingTimeout(ConnectionLost, trio.TooSlowError):
    """A ping was not answered within `Timeouts.ping`.

    The connection may go on: a peer that sends data lives, though it owes a pong (RFC 6455
    section 5.5.2).  It is a `ConnectionLost` for code that gives such a peer up.
    """


def is_the_end(error: BaseException, closing: Closing) -> bool:
    """Tell whether `error` says nothing but that one connection ended, in a group or not.

    The connection is the one of `closing`: the end of another one is no end of this.
    """
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(is_the_end(one, closing) for one in inner)
    return isinstance(error, ConnectionClosed) and error.concerns(closing)
