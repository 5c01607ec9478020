"""Where a channel that outlives its connections stands: one value, and one table of its changes."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["TRANSITIONS", "ReconnectState", "check_transition"]


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
