"""How far a channel that outlives its connections is, and each of its lines.

Both have one value and one table of its changes.
"""

from __future__ import annotations

from enum import Enum, StrEnum

__all__ = ["LINE_TRANSITIONS", "TRANSITIONS", "LineStage", "ReconnectState", "check_transition"]


class ReconnectState(StrEnum):
    """What a channel of `reconnecting_endpoint` does.

    `CONNECTING`: a try is under way, from `credentials` until `on_connect` has returned.
    `CONNECTED`: messages go both ways.  `RENEWING`: and the next connection is being opened, for
    `max_age`.  `WAITING`: the next try has not begun.  `STOPPED`: it has given up, and calls raise
    `GaveUp`.  `CLOSED`: the app has closed it.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RENEWING = "renewing"
    WAITING = "waiting"
    STOPPED = "stopped"
    CLOSED = "closed"


_ENDS = {ReconnectState.STOPPED, ReconnectState.CLOSED}

#: What each state may change into.
TRANSITIONS: dict[ReconnectState, set[ReconnectState]] = {
    ReconnectState.CONNECTING: {ReconnectState.CONNECTED, ReconnectState.WAITING, *_ENDS},
    ReconnectState.CONNECTED: {ReconnectState.RENEWING, ReconnectState.WAITING, *_ENDS},
    # The next one takes over, or fails while the old one is still there; or the old one ends.
    ReconnectState.RENEWING: {ReconnectState.CONNECTED, ReconnectState.CONNECTING, *_ENDS},
    ReconnectState.WAITING: {ReconnectState.CONNECTING, *_ENDS},
    ReconnectState.STOPPED: {ReconnectState.CLOSED},
    ReconnectState.CLOSED: set(),
}


def check_transition(old: ReconnectState, new: ReconnectState) -> None:
    """Raise `RuntimeError` for a change that the table does not have: a defect of the library."""
    if new not in TRANSITIONS[old]:
        raise RuntimeError(f"a reconnecting channel cannot change from {old} to {new}")


class LineStage(Enum):
    """How far one line of a channel is: a try, and the connection that comes of it.

    `CREDENTIALS`: the app is asked for them.  `OPENING`: the stream and the 101 are awaited.
    `INTRODUCING`: `on_connect` runs.  `OPEN`: messages go both ways.  `RETIRING`: the next line
    has taken over; what the peer sends until its pong is still received.  `READ`: the app reads
    no more from the connection itself, for it has ended or what it holds is being taken over.
    `LEAVING`: the channel closes the line.  `OVER`: no more will come; the stream may still be
    closing.
    """

    CREDENTIALS = "credentials"
    OPENING = "opening"
    INTRODUCING = "on_connect"
    OPEN = "open"
    RETIRING = "retiring"
    READ = "read"
    LEAVING = "leaving"
    OVER = "over"


#: What each stage of a line may change into; any other change is not made.
LINE_TRANSITIONS: dict[LineStage, set[LineStage]] = {
    LineStage.CREDENTIALS: {LineStage.OPENING, LineStage.LEAVING, LineStage.OVER},
    LineStage.OPENING: {LineStage.INTRODUCING, LineStage.LEAVING, LineStage.OVER},
    # A connection that ends while `on_connect` runs is never open.
    LineStage.INTRODUCING: {
        LineStage.OPEN,
        LineStage.READ,
        LineStage.LEAVING,
        LineStage.OVER,
    },
    LineStage.OPEN: {
        LineStage.RETIRING,
        LineStage.READ,
        LineStage.LEAVING,
        LineStage.OVER,
    },
    LineStage.RETIRING: {LineStage.READ, LineStage.LEAVING, LineStage.OVER},
    LineStage.READ: {LineStage.LEAVING, LineStage.OVER},
    LineStage.LEAVING: {LineStage.OVER},
    LineStage.OVER: set(),
}
