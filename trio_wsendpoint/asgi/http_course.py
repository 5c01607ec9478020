"""Follows one ASGI answer: what the application may send next, and what that asks for.

No I/O.  `HttpCourse.send` takes an event and returns a `Head`, a `Piece`, or None for what is to be
ignored; it raises for an event that makes no sense where it stands, and nothing has changed then.

WAITING -> STARTED -> BODY -> COMPLETE, with TRAILERS before COMPLETE if the start announces them;
GONE from each but the last.  In STARTED nothing has left: an application that fails between its
start and its body still gets a 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from trio_wsendpoint.asgi.events import (
    Event,
    bytes_of,
    flag_of,
    headers_of,
    links_of,
    status_of,
    type_of,
)
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.http.answers import check_trailers

__all__ = ["Head", "Hints", "HttpCourse", "HttpPhase", "Piece", "Step", "Trailers"]

#: Statuses whose answers have no body (RFC 9110 section 6.4.1).
_BODILESS = frozenset({204, 304})


_HTTP = "http.response"
_KINDS = (f"{_HTTP}.start", f"{_HTTP}.body")


class HttpPhase(Enum):
    """How far an answer has come."""

    WAITING = "no answer has started"
    STARTED = "the answer has started"
    BODY = "a part of the answer has left"
    TRAILERS = "the body has left, and trailers follow"
    COMPLETE = "the answer is complete"
    GONE = "the client has gone"


_BEFORE_THE_HEAD = frozenset({HttpPhase.WAITING, HttpPhase.STARTED})


class Head(NamedTuple):
    """The start of an answer, which leaves with the first piece of its body."""

    status: int
    headers: Headers


class Piece(NamedTuple):
    """A piece of the body; `is_last`: the answer ends with it."""

    data: bytes | bytearray | memoryview
    is_last: bool


@dataclass(frozen=True, slots=True)
class Hints:
    """Links that the client may load before the answer comes."""

    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trailers:
    """The end of an answer, with the headers that follow its body."""

    headers: Headers


Step: TypeAlias = Head | Hints | Piece | Trailers | None


class HttpCourse:
    """The answer to one request.

    `has_body`: False for the answer to HEAD, which is complete with its headers: an application
    that streams for ever would hold the connection otherwise.  `prefix` begins the types of the
    events: `http.response`, or `websocket.http.response` for the refusal of an opening.
    """

    __slots__ = ("_has_body", "_has_trailers", "_kinds", "_prefix", "_trailers", "phase")

    def __init__(self, *, has_body: bool = True, prefix: str = _HTTP) -> None:
        self._has_body = has_body
        self._prefix = prefix
        self._kinds = _KINDS if prefix == _HTTP else (f"{prefix}.start", f"{prefix}.body")
        self._has_trailers = False  # the start has announced them
        self._trailers: list[tuple[str, str]] = []  # those that have come
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
        phase = self.phase
        if phase is HttpPhase.COMPLETE or phase is HttpPhase.GONE:
            return None
        if kind == self._kinds[0]:
            return self._start(event)
        if kind == self._kinds[1]:
            return self._body(event)
        if kind == "http.response.trailers" and self.phase is HttpPhase.TRAILERS:
            return self._end(event)
        if kind == "http.response.early_hint" and self.phase in _BEFORE_THE_HEAD:
            return Hints(links_of(event))
        raise RuntimeError(f"{quoted(kind)} cannot follow: {self._where()}")

    def _start(self, event: Event) -> Head:
        if self.phase is not HttpPhase.WAITING:
            raise RuntimeError(f"an answer is started once: {self._where()}")
        head = Head(status_of(event), headers_of(event))
        self._has_trailers = flag_of(event, "trailers") and self._prefix == _HTTP
        self._has_body = self._has_body and head.status not in _BODILESS
        self.phase = HttpPhase.STARTED
        return head

    def _body(self, event: Event) -> Piece:
        if self.phase is HttpPhase.WAITING:
            raise RuntimeError(f"{self._prefix}.start comes first: {self._where()}")
        if self.phase is HttpPhase.TRAILERS:
            raise RuntimeError(f"the body is complete: {self._where()}")
        data, has_more = bytes_of(event, "body"), flag_of(event, "more_body")
        if self._has_body and (has_more or self._has_trailers):
            self.phase = HttpPhase.BODY if has_more else HttpPhase.TRAILERS
            return Piece(data, is_last=False)
        self.phase = HttpPhase.COMPLETE
        return Piece(data, is_last=True)

    def _end(self, event: Event) -> Trailers | None:
        headers, has_more = headers_of(event), flag_of(event, "more_trailers")
        check_trailers(headers)
        self._trailers += headers.items()
        if has_more:
            return None
        self.phase = HttpPhase.COMPLETE
        return Trailers(Headers.of_checked(self._trailers))

    def _where(self) -> str:
        return f"{self.phase.value} (an answer is {self._prefix}.start, then {self._prefix}.body)"
