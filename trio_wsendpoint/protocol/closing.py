"""The closing handshake as one table (RFC 6455 sections 1.4, 5.5.1 and 7.1).

Five states, five events, and where each leads; `docs/closing.md` shows the same table.  The
facts (the Close frames that went either way, the error) are kept, all else is derived.

Rule 1: a Close frame of ours is queued at most once.
Rule 2: whatever happened first decides: no event leads back, nor from one end to another.
Rule 3: an event that a state has no entry for is refused if it is ours to avoid
(`EndpointClosed`), and ignored if it is the peer's.

Only `endpoint` imports this module, to change a state; everyone may look at one.
"""

from __future__ import annotations

from enum import Enum

from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["TRANSITIONS", "Closing", "Event", "State"]


class State(Enum):
    """How far the closing handshake has come."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSE_RECEIVED = "close received"
    CLOSED = "closed"
    FAILED = "failed"


class Event(Enum):
    """What moves the closing handshake on."""

    WE_CLOSE = "we close"
    PEER_CLOSES = "the peer closes"
    ANSWER_LEAVES = "our answer leaves"
    BYTES_END = "the bytes end"
    WE_FAIL = "we fail the connection"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.OPEN: {
        Event.WE_CLOSE: State.CLOSE_SENT,
        Event.PEER_CLOSES: State.CLOSE_RECEIVED,
        Event.BYTES_END: State.FAILED,
        Event.WE_FAIL: State.FAILED,
    },
    State.CLOSE_SENT: {
        Event.PEER_CLOSES: State.CLOSED,
        Event.BYTES_END: State.FAILED,
        Event.WE_FAIL: State.FAILED,
    },
    State.CLOSE_RECEIVED: {
        Event.ANSWER_LEAVES: State.CLOSED,
        Event.BYTES_END: State.FAILED,  # the answer is lost
        Event.WE_FAIL: State.FAILED,
    },
    State.CLOSED: {},
    State.FAILED: {},
}


class Closing:
    """Where one endpoint stands, and what it knows of how it got there.

    `sent` and `received` are the Close frames (the first of each), `error` is why it failed.
    """

    __slots__ = ("error", "received", "sent", "state")

    def __init__(self) -> None:
        self.state = State.OPEN
        self.sent: CloseFrame | None = None
        self.received: CloseFrame | None = None
        self.error: Exception | None = None

    def move(self, event: Event) -> bool:
        """Follow the table; return whether the state has changed.

        Raises `EndpointClosed` if it was ours to avoid (`WE_CLOSE` when no longer open).
        """
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            if event is Event.WE_CLOSE:
                raise EndpointClosed(self.explain())
            return False
        self.state = following
        return True

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways."""
        return self.state is State.OPEN

    @property
    def expects_frames(self) -> bool:
        """Whether what the peer sends is still looked at: until its Close frame, or a failure."""
        return self.state is State.OPEN or self.state is State.CLOSE_SENT

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of the peer."""
        return self.state in {State.CLOSED, State.FAILED}

    @property
    def code(self) -> int:
        """The close code of the connection, RFC 6455 section 7.1.5: 1005 and 1006 included."""
        if self.received is None:
            return CloseCode.ABNORMAL_CLOSURE
        return CloseCode.NO_STATUS if self.received.code is None else self.received.code

    def explain(self) -> str:
        """Say in one line who closed, with which code and reason, and what went wrong."""
        facts: list[str] = []
        if self.error is not None:
            facts.append(str(self.error))
        if self.received is not None:
            facts.append(f"the peer closed with {self.received}")
        if self.sent is not None:
            facts.append(f"we closed with {self.sent}")
        return "; ".join(facts) or "the connection is open"
