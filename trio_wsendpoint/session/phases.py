"""How far a connection has come, as one table.

The closing table of `protocol/closing.py` tells what the two endpoints have said to each other.
This one tells what becomes of the stream between them; `docs/closing.md` shows both.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Change", "Phase"]


class Phase(Enum):
    """How far a connection has come.

    `OPEN`: messages go both ways.  `CLOSING`: a Close frame was queued or handled, or the stream
    broke; what was committed still leaves, and the peer's Close frame is awaited.  `ENDING`: our
    last byte has left and no frame of the peer's is awaited.  `LINGERING`: our bytes have ended,
    the peer's have not.  `GIVEN_UP`: the stream is to be closed at once, whatever is left.
    `OVER`: the stream is closed.
    """

    __hash__ = object.__hash__

    OPEN = "open"
    CLOSING = "closing"
    ENDING = "ending"
    LINGERING = "lingering"
    GIVEN_UP = "given up"
    OVER = "over"


class Change(Enum):
    """What moves a connection on to its next phase."""

    __hash__ = object.__hash__

    CLOSE_BEGINS = "either side closes, or the stream breaks"
    FRAMES_END = "no frame is left to come or to go"
    OURS_END = "our bytes have ended"
    GIVE_UP = "a deadline is over, or the app gives up"
    STREAM_CLOSES = "the stream is closed"


TRANSITIONS: dict[Phase, dict[Change, Phase]] = {
    Phase.OPEN: {Change.CLOSE_BEGINS: Phase.CLOSING},
    Phase.CLOSING: {
        Change.FRAMES_END: Phase.ENDING,
        Change.GIVE_UP: Phase.GIVEN_UP,
        Change.STREAM_CLOSES: Phase.OVER,
    },
    Phase.ENDING: {
        Change.OURS_END: Phase.LINGERING,
        Change.GIVE_UP: Phase.GIVEN_UP,
        Change.STREAM_CLOSES: Phase.OVER,
    },
    Phase.LINGERING: {Change.GIVE_UP: Phase.GIVEN_UP, Change.STREAM_CLOSES: Phase.OVER},
    Phase.GIVEN_UP: {Change.STREAM_CLOSES: Phase.OVER},
    Phase.OVER: {},
}
