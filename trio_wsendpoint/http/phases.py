"""The course of a connection that speaks plain HTTP, as one table.

One request is in work at a time.  The phase tells how far its two halves have come, the request
and our answer; there is no other state of it.

Rule 1: an answer may start before the body of its request has come, but only once.
Rule 2: a step of ours that the phase has no entry for is refused (`WrongOrder`), except closing,
which is allowed at any time; one of the peer's is ignored.
Rule 3: after our last answer we read on until the peer ends (RFC 9112 section 9.6): to close with
unread bytes would reset the connection, and the answer with it.
"""

from __future__ import annotations

from enum import Enum

from trio_wsendpoint.http.errors import WrongOrder

__all__ = ["TRANSITIONS", "Course", "Event", "Phase"]


class Phase(Enum):
    """How far the request and the answer have come."""

    IDLE = "idle"  # nothing of a request has come
    HEAD = "head"  # part of a head has
    BODY = "body"  # the head is complete, the body is not
    ANSWERING = "answering"  # the request is complete, no answer has begun
    EARLY = "early"  # an answer has begun, and the body is not complete
    STREAMING = "streaming"  # an answer has begun, the request is complete
    DRAINING = "draining"  # the answer is complete, the rest of the body is read and dropped
    LINGERING = "lingering"  # the last answer is complete, the peer has not ended yet
    UPGRADED = "upgraded"  # the connection speaks another protocol
    CLOSED = "closed"

    # By identity, as they compare: that of an Enum costs a request 14 calls of Python.
    __hash__ = object.__hash__


class Event(Enum):
    """What moves the exchange on."""

    HEAD_BEGINS = "a head begins"
    HEAD_ENDS = "the head ends"
    REQUEST_COMES = "a whole request comes"
    BODY_ENDS = "the body ends"
    BYTES_END = "the bytes end"
    WE_START = "we start the answer"
    WE_FINISH = "we finish it"
    WE_FINISH_LAST = "we finish it and close"
    WE_REFUSE = "we refuse and close"
    WE_SWITCH = "we switch protocols"
    WE_CLOSE = "we close"

    __hash__ = object.__hash__


_OURS = frozenset(
    {
        Event.WE_START,
        Event.WE_FINISH,
        Event.WE_FINISH_LAST,
        Event.WE_REFUSE,
        Event.WE_SWITCH,
    }
)

TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.IDLE: {
        Event.HEAD_BEGINS: Phase.HEAD,
        Event.REQUEST_COMES: Phase.ANSWERING,
        Event.BYTES_END: Phase.CLOSED,
        Event.WE_REFUSE: Phase.LINGERING,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.HEAD: {
        Event.HEAD_ENDS: Phase.BODY,
        Event.REQUEST_COMES: Phase.ANSWERING,
        Event.BYTES_END: Phase.CLOSED,
        Event.WE_REFUSE: Phase.LINGERING,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.BODY: {
        Event.BODY_ENDS: Phase.ANSWERING,
        Event.WE_START: Phase.EARLY,
        Event.WE_REFUSE: Phase.LINGERING,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.ANSWERING: {
        Event.WE_START: Phase.STREAMING,
        Event.WE_REFUSE: Phase.LINGERING,
        Event.WE_SWITCH: Phase.UPGRADED,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.EARLY: {
        Event.BODY_ENDS: Phase.STREAMING,
        Event.WE_FINISH: Phase.DRAINING,
        Event.WE_FINISH_LAST: Phase.LINGERING,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.STREAMING: {
        Event.WE_FINISH: Phase.IDLE,
        Event.WE_FINISH_LAST: Phase.LINGERING,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.DRAINING: {
        Event.BODY_ENDS: Phase.IDLE,
        Event.BYTES_END: Phase.CLOSED,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.LINGERING: {
        Event.BYTES_END: Phase.CLOSED,
        Event.WE_CLOSE: Phase.CLOSED,
    },
    Phase.UPGRADED: {},
    Phase.CLOSED: {},
}


class Course:
    """Where one connection stands in the table."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = Phase.IDLE

    def move(self, event: Event) -> bool:
        """Follow the table; return whether the phase has changed.

        Raises `WrongOrder` for a step of ours that does not follow from the phase.
        """
        following = TRANSITIONS[self.phase].get(event)
        if following is None:
            if event in _OURS:
                raise WrongOrder(f"{event.value}: not while the exchange is {self.phase.value}")
            return False
        self.phase = following
        return True

    @property
    def is_answer_due(self) -> bool:
        """Whether an answer can still be started, or a request refused."""
        return Event.WE_REFUSE in TRANSITIONS[self.phase]

    @property
    def expects_body(self) -> bool:
        """Whether part of a request's body is still to come."""
        return Event.BODY_ENDS in TRANSITIONS[self.phase]
