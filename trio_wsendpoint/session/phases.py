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
    last byte has left and no frame of the peer's is awaited; its bytes have yet to end.  `OVER`:
    the stream is closed.
    """

    __hash__ = object.__hash__

    OPEN = "open"
    CLOSING = "closing"
    ENDING = "ending"
    OVER = "over"


class Change(Enum):
    """What moves a connection on to its next phase."""

    __hash__ = object.__hash__

    CLOSE_BEGINS = "either side closes, or the stream breaks"
    FRAMES_END = "no frame is left to come or to go"
    STREAM_CLOSES = "the stream is closed"


TRANSITIONS: dict[Phase, dict[Change, Phase]] = {
    Phase.OPEN: {Change.CLOSE_BEGINS: Phase.CLOSING},
    Phase.CLOSING: {Change.FRAMES_END: Phase.ENDING, Change.STREAM_CLOSES: Phase.OVER},
    Phase.ENDING: {Change.STREAM_CLOSES: Phase.OVER},
    Phase.OVER: {},
}
