"""Follows one ASGI answer: what the application may send next, and what goes on the wire.

No I/O.  `HttpCourse.send` takes an event and returns the `Step` to take; it raises for an event
that makes no sense where it stands, and nothing has changed then.  The start of an answer is held
back until the first of its body comes, so that an application that fails in between still gets a
500.

WAITING -> STARTED (the start is held back) -> BODY -> COMPLETE; GONE from each of the first three.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from trio_wsendpoint.asgi.events import Event, bytes_of, flag_of, headers_of, status_of, type_of
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Head", "HttpCourse", "HttpPhase", "Step"]


class HttpPhase(Enum):
    """How far an answer has come."""

    WAITING = "no answer has started"
    STARTED = "the start is held back"
    BODY = "a part of the answer has left"
    COMPLETE = "the answer is complete"
    GONE = "the client has gone"


@dataclass(frozen=True, slots=True)
class Head:
    """The start of an answer."""

    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Step:
    """What to write: `head` if it is due, then `body`; `is_last`: the answer ends with it."""

    head: Head | None = None
    body: bytes | bytearray | memoryview = b""
    is_last: bool = False


_NOTHING = Step()


class HttpCourse:
    """The answer to one request.

    `has_body`: False for the answer to HEAD, which is complete with its headers: an application
    that streams for ever would hold the connection otherwise.  `prefix` begins the types of the
    events: `http.response`, or `websocket.http.response` for the refusal of an opening.
    """

    __slots__ = ("_has_body", "_head", "_prefix", "phase")

    def __init__(self, *, has_body: bool = True, prefix: str = "http.response") -> None:
        self._has_body = has_body
        self._prefix = prefix
        self._head: Head | None = None  # while it is held back
        self.phase = HttpPhase.WAITING  # set by `send` and `lose`; the driver asks it

    @property
    def is_over(self) -> bool:
        """Whether nothing that the application sends matters any more."""
        return self.phase is HttpPhase.COMPLETE or self.phase is HttpPhase.GONE

    @property
    def may_fail_cleanly(self) -> bool:
        """Whether a 500 can still be sent: nothing of the answer has left."""
        return self.phase is HttpPhase.WAITING or self.phase is HttpPhase.STARTED

    def lose(self) -> None:
        """Note that the client has gone: what the application sends is dropped."""
        if self.phase is not HttpPhase.COMPLETE:
            self.phase = HttpPhase.GONE
        self._head = None

    def send(self, event: Event) -> Step:
        """Take an event of the application; return what to write.

        After the end of the answer, or of the client, every event is ignored.  Raises
        `RuntimeError` for an event out of order, `TypeError` and `ValueError` for what is wrong in
        it.
        """
        kind = type_of(event)
        if self.is_over:
            return _NOTHING
        if kind == f"{self._prefix}.start":
            return self._start(event)
        if kind == f"{self._prefix}.body":
            return self._body(event)
        raise RuntimeError(f"{quoted(kind)} cannot follow: {self._where()}")

    def _start(self, event: Event) -> Step:
        if self.phase is not HttpPhase.WAITING:
            raise RuntimeError(f"the answer was started already: {self._where()}")
        self._head = Head(status_of(event), headers_of(event))
        self.phase = HttpPhase.STARTED
        return _NOTHING

    def _body(self, event: Event) -> Step:
        if self.phase is HttpPhase.WAITING:
            raise RuntimeError(f"{self._prefix}.start comes first: {self._where()}")
        body, is_last = bytes_of(event, "body"), not flag_of(event, "more_body")
        head, self._head = self._head, None
        is_last = is_last or not self._has_body or (head is not None and head.status in {204, 304})
        self.phase = HttpPhase.COMPLETE if is_last else HttpPhase.BODY
        return Step(head, body, is_last)

    def _where(self) -> str:
        return f"{self.phase.value} (an answer is {self._prefix}.start, then {self._prefix}.body)"
