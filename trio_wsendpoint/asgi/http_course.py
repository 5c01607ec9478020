"""Follows one ASGI answer: what the application may send next, and what that asks for.

No I/O.  `HttpCourse.send` takes an event and returns a `Head`, a `Piece`, or None for what is to be
ignored; it raises for an event that makes no sense where it stands, and nothing has changed then.

WAITING -> STARTED -> BODY -> COMPLETE; GONE from each of the first three.  In STARTED nothing has
left: an application that fails between its start and its body still gets a 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from trio_wsendpoint.asgi.events import Event, bytes_of, flag_of, headers_of, status_of, type_of
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Head", "HttpCourse", "HttpPhase", "Piece", "Step"]

#: Statuses whose answers have no body (RFC 9110 section 6.4.1).
_BODILESS = frozenset({204, 304})


class HttpPhase(Enum):
    """How far an answer has come."""

    WAITING = "no answer has started"
    STARTED = "the answer has started"
    BODY = "a part of the answer has left"
    COMPLETE = "the answer is complete"
    GONE = "the client has gone"


@dataclass(frozen=True, slots=True)
class Head:
    """The start of an answer, which leaves with the first piece of its body."""

    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the body; `is_last`: the answer ends with it."""

    data: bytes | bytearray | memoryview
    is_last: bool


Step: TypeAlias = Head | Piece | None


class HttpCourse:
    """The answer to one request.

    `has_body`: False for the answer to HEAD, which is complete with its headers: an application
    that streams for ever would hold the connection otherwise.  `prefix` begins the types of the
    events: `http.response`, or `websocket.http.response` for the refusal of an opening.
    """

    __slots__ = ("_has_body", "_prefix", "phase")

    def __init__(self, *, has_body: bool = True, prefix: str = "http.response") -> None:
        self._has_body = has_body
        self._prefix = prefix
        self.phase = HttpPhase.WAITING  # set by `send`, `take_back` and `lose`; the call asks it

    @property
    def is_over(self) -> bool:
        """Whether nothing that the application sends matters any more."""
        return self.phase is HttpPhase.COMPLETE or self.phase is HttpPhase.GONE

    def lose(self) -> None:
        """Note that the client has gone: what the application sends is dropped."""
        if self.phase is not HttpPhase.COMPLETE:
            self.phase = HttpPhase.GONE

    def take_back(self, phase: HttpPhase) -> None:
        """Go back to `phase`, where it was: the last piece was not written."""
        if self.phase is not HttpPhase.GONE:
            self.phase = phase

    def send(self, event: Event) -> Step:
        """Take an event of the application; return what it asks for.

        After the end of the answer, or of the client, every event is ignored.  Raises
        `RuntimeError` for an event out of order, `TypeError` and `ValueError` for what is wrong in
        it.
        """
        kind = type_of(event)
        if self.is_over:
            return None
        if kind == f"{self._prefix}.start":
            return self._start(event)
        if kind == f"{self._prefix}.body":
            return self._body(event)
        raise RuntimeError(f"{quoted(kind)} cannot follow: {self._where()}")

    def _start(self, event: Event) -> Head:
        if self.phase is not HttpPhase.WAITING:
            raise RuntimeError(f"an answer is started once: {self._where()}")
        head = Head(status_of(event), headers_of(event))
        self._has_body = self._has_body and head.status not in _BODILESS
        self.phase = HttpPhase.STARTED
        return head

    def _body(self, event: Event) -> Piece:
        if self.phase is HttpPhase.WAITING:
            raise RuntimeError(f"{self._prefix}.start comes first: {self._where()}")
        data, has_more = bytes_of(event, "body"), flag_of(event, "more_body")
        is_last = not has_more or not self._has_body
        self.phase = HttpPhase.COMPLETE if is_last else HttpPhase.BODY
        return Piece(data, is_last)

    def _where(self) -> str:
        return f"{self.phase.value} (an answer is {self._prefix}.start, then {self._prefix}.body)"
