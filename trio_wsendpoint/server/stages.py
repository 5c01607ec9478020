"""How far an accepted stream has come, and what is raised when it comes no further."""

from __future__ import annotations

from enum import Enum, auto

from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest

__all__ = ["Stage", "too_late"]


class Stage(Enum):
    """How far an opening has come."""

    BEFORE_PROXY = auto()  # the PROXY header is being read
    BEFORE_TLS = auto()  # nothing can be answered yet
    REQUEST = auto()  # its first request is being read
    PLAIN = auto()  # a plain request has come, and this is no opening, unless one follows
    PROCESS = auto()  # a request for a WebSocket is complete, and the app looks at it
    ANSWER = auto()  # a part of the 101 has left
    ACCEPTED = auto()  # it is a connection
    REFUSED = auto()  # it will be no connection; the client is told why


def too_late(
    stage: Stage, dropped: str | None, seconds: float, unavailable: Response
) -> HandshakeError:
    """Return what to raise when time is up, or when the server has dropped the opening.

    `dropped`: why the server has; `seconds`: of `Timeouts.open`; `unavailable`: the 503.
    """
    within = f"within {seconds:g} s"
    told = None if dropped is None else f"dropped: {dropped}"
    if stage is Stage.BEFORE_PROXY:
        return HandshakeError(told or f"no PROXY header {within}")
    if stage is Stage.BEFORE_TLS:
        return TLSFailed(told or f"no TLS {within}")
    if stage is Stage.ANSWER:
        return HandshakeError(told or f"the client did not take the answer {within}")
    if told is not None:
        return BadRequest(told, unavailable)
    if stage is Stage.PROCESS:
        return BadRequest("process_request took too long", unavailable)
    return BadRequest(f"no request {within}", Response(408))
