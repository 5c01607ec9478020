"""How a line of a channel has ended, and whose error that is: the connection's or the app's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import trio

from trio_wsendpoint.client.retries import Phase, Trouble
from trio_wsendpoint.client.states import LineStage
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.protocol.closing import CloseCause

__all__ = ["EndedMeanwhile", "LineEnd", "TookTooLong", "tell_end"]

#: What a stream that was just opened may be found to be.
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)
#: What may end a try by itself; what else is raised is the app's.
_EXPECTED: dict[LineStage, tuple[type[Exception], ...]] = {
    LineStage.CREDENTIALS: (OSError, trio.TooSlowError, HandshakeError),
    LineStage.OPENING: (OSError, HandshakeError, trio.TooSlowError, *_BROKEN),
}
#: What `Trouble` calls the stages before a line is open.
_PHASES: dict[LineStage, Phase] = {
    LineStage.CREDENTIALS: "credentials",
    LineStage.OPENING: "opening",
    LineStage.INTRODUCING: "on_connect",
}
#: The stages in which the connection is being closed by us.
_CLOSING = (LineStage.LEAVING, LineStage.OVER)


@dataclass(frozen=True, slots=True)
class LineEnd:
    """How a line has ended: by a `trouble` that is judged, or None if the channel ended it.

    `app_error`: what a function of the app raised, which is for the block to raise.  `loss`: what
    was raised when the channel closed the connection: messages were lost.
    """

    trouble: Trouble | None = None
    app_error: Exception | None = None
    loss: ConnectionClosed | None = None


class TookTooLong(trio.TooSlowError):
    """A function of the app took longer than `hook_timeout`."""


class EndedMeanwhile(Exception):
    """The connection has ended while `on_connect` ran, which raised that: the cause."""


def tell_end(error: Exception, stage: LineStage, cause: CloseCause | None) -> LineEnd:
    """Tell what is worth another try from what a function of the app has raised.

    `stage`: how far the line was.  `cause`: why its connection has ended, if it has.
    """
    phase = _PHASES.get(stage, "open")
    first = _first(error)
    is_own_end = isinstance(first, EndedMeanwhile)
    if is_own_end and isinstance(first.__cause__, Exception):
        error = first = first.__cause__  # what `on_connect` raised
    if stage in _CLOSING:
        if isinstance(error, ConnectionClosed):
            return LineEnd(loss=error)
        return LineEnd(app_error=error)
    if isinstance(error, TookTooLong):
        return LineEnd(Trouble(error, phase, is_timeout=True))
    if is_own_end or isinstance(error, _EXPECTED.get(stage, ())):
        return LineEnd(Trouble(first, phase, cause))
    return LineEnd(app_error=error)


def _first(error: Exception) -> Exception:
    """Return the first error of a group, or the error itself."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error
