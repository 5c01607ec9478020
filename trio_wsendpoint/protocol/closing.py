"""The closing handshake as one table (RFC 6455 sections 1.4, 5.5.1 and 7.1).

It has five states and five events, and says where each event leads; `docs/closing.md` shows the
same table.  The facts (the Close frames that went either way, the error) are kept; all else is
derived.

Rule 1: a Close frame of ours is queued at most once.
Rule 2: what happened first decides: no event leads back, nor from one end to another.
Rule 3: an event without an entry for the state is refused if it is ours (`EndpointClosed`), and
ignored if it is the peer's.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from trio_wsendpoint.errors import EndpointClosed, MessageTooBig, PolicyViolation, RateExceeded
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["TRANSITIONS", "CloseCause", "Closing", "Event", "State"]


class State(Enum):
    """How far the closing handshake has come."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and slower

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSE_RECEIVED = "close received"
    CLOSED = "closed"
    FAILED = "failed"


class Event(Enum):
    """What moves the closing handshake on."""

    __hash__ = object.__hash__

    WE_CLOSE = "we close"
    PEER_CLOSES = "the peer closes"
    ANSWER_LEAVES = "our answer leaves"
    BYTES_END = "the bytes end"
    WE_FAIL = "we fail the connection"


class CloseCause(StrEnum):
    """Why a connection ended, in a word: what came first decides.

    `PEER`: the peer closed.  `LOCAL`: we did, for no error.  `PROTOCOL_ERROR`: the peer broke a
    rule (1002, 1007); `LIMIT`: it passed one of our limits (1008, 1009, 1013).  `TIMEOUT`: it
    fell silent, or took nothing of what we wrote.  `LOST`: the bytes ended without a Close frame.
    `INTERNAL_ERROR`: a handler, a callback or the library failed (1011).
    """

    PEER = "peer"
    LOCAL = "local"
    PROTOCOL_ERROR = "protocol error"
    LIMIT = "limit"
    TIMEOUT = "timeout"
    LOST = "lost"
    INTERNAL_ERROR = "internal error"


#: The cause by the code of our own Close frame, if we closed first.
_CAUSES: dict[int, CloseCause] = {
    CloseCode.PROTOCOL_ERROR: CloseCause.PROTOCOL_ERROR,
    CloseCode.INTERNAL_ERROR: CloseCause.INTERNAL_ERROR,
}

# Globals: they are asked at each step of a closing; see `Closing.is_open`.
_CLOSE_SENT, _CLOSED, _FAILED = State.CLOSE_SENT, State.CLOSED, State.FAILED

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
    """The state of one endpoint's closing, and the facts that led to it.

    `sent` and `received` are the Close frames (the first of each), `error` is why the endpoint
    failed, `began` is the event that ended the state OPEN.  `is_given_up`: we closed because the
    peer was silent.
    """

    __slots__ = ("began", "error", "is_given_up", "is_open", "received", "sent", "state")

    def __init__(self) -> None:
        self.state = State.OPEN
        #: Messages may go both ways: the state is OPEN.  It is asked for each message, and on
        #: Python 3.11 `State.OPEN` takes a tenth of a message's time to look up.
        self.is_open = True
        self.began: Event | None = None
        self.is_given_up = False
        self.sent: CloseFrame | None = None
        self.received: CloseFrame | None = None
        self.error: Exception | None = None

    def move(self, event: Event) -> bool:
        """Follow the table; return whether the state has changed.

        Raises `EndpointClosed` for `WE_CLOSE` when the endpoint is no longer open.
        """
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            if event is Event.WE_CLOSE:
                raise EndpointClosed(self.explain())
            return False
        if self.began is None:
            self.began = event
        self.state = following
        self.is_open = False  # no event leads back
        return True

    @property
    def expects_frames(self) -> bool:
        """Whether the peer's frames are still parsed: until its Close frame, or a failure."""
        return self.is_open or self.state is _CLOSE_SENT

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of the peer."""
        return self.state is _CLOSED or self.state is _FAILED

    @property
    def code(self) -> int:
        """The close code of the connection, RFC 6455 section 7.1.5: 1005 and 1006 included."""
        if self.received is None:
            return CloseCode.ABNORMAL_CLOSURE
        code = self.received.code
        return CloseCode.NO_STATUS if code is None else code

    @property
    def cause(self) -> CloseCause | None:
        """Why the connection ended, or is ending; None while it is open."""
        if self.began is None:
            return None
        if self.began is Event.PEER_CLOSES:
            return CloseCause.PEER
        if self.began is Event.BYTES_END:
            return CloseCause.LOST
        if self.began is Event.WE_FAIL:
            limits = (MessageTooBig, PolicyViolation, RateExceeded)
            is_limit = isinstance(self.error, limits)
            return CloseCause.LIMIT if is_limit else CloseCause.PROTOCOL_ERROR
        if self.is_given_up:
            return CloseCause.TIMEOUT
        code = None if self.sent is None else self.sent.code
        return CloseCause.LOCAL if code is None else _CAUSES.get(code, CloseCause.LOCAL)

    def explain(self) -> str:
        """Say in one line what went wrong, who closed first, with what, and what was answered.

        An answer that repeats code and reason is not spelled out again, nor is a reason of ours
        that repeats the error.
        """
        facts = [] if self.error is None else [str(self.error)]
        sides = [("the peer", self.received), ("we", self.sent)]
        if self.began is Event.WE_CLOSE or self.began is Event.WE_FAIL:
            sides.reverse()
        first: CloseFrame | None = None
        for side, frame in sides:
            if frame is None:
                continue
            if first is None:
                facts.append(f"{side} closed with {self._describe(frame)}")
                first = frame
            elif frame.code == first.code and frame.reason in {first.reason, ""}:
                facts.append(f"{side} confirmed it")
            else:
                facts.append(f"{side} answered with {self._describe(frame)}")
        return "; ".join(facts) or "the connection is open"

    def _describe(self, frame: CloseFrame) -> str:
        # Our Close frame for an error has as much of the error's text for a reason as fits.
        if frame is self.sent and frame.reason and str(self.error).startswith(frame.reason):
            return str(CloseFrame(frame.code))
        return str(frame)
