"""How a run of the command ends: the exit status, and the line that says why.

`ERRORS` and `ENDS` are the whole table.  An exception is looked up in `ERRORS`, the first row that
fits it; the end of a connection in `ENDS`, by its cause.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import trio

from trio_wsendpoint.cli.escaping import escaped
from trio_wsendpoint.client.attempts import GaveUp
from trio_wsendpoint.client.opening import HandshakeTimeout
from trio_wsendpoint.client.proxy_errors import ProxyError
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import BadResponse, InvalidURL, TLSFailed
from trio_wsendpoint.handshake.errors import HandshakeRefused
from trio_wsendpoint.protocol.closing import CloseCause
from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.workers import WorkersFailed

__all__ = [
    "ENDS",
    "ERRORS",
    "CheckFailed",
    "Interrupted",
    "Outcome",
    "Status",
    "TimeOver",
    "UsageFault",
    "first_error",
    "outcome_of_end",
    "outcome_of_error",
]


class Status(IntEnum):
    """The exit statuses of the command."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    NAME = 3
    TCP = 4
    TLS = 5
    REFUSED = 6
    NO_ANSWER = 7
    TIME = 8
    LOST = 9
    CLOSED = 10
    WE_CLOSED = 11
    CHECK = 12
    INTERRUPTED = 130
    PIPE = 141
    TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run has ended: `status` for the shell, `line` for the user, None for no line."""

    status: Status
    line: str | None = None


class UsageFault(Exception):
    """What the user has asked for makes no sense; the text says what would."""


class CheckFailed(Exception):
    """A check that the user asked for has failed."""


class TimeOver(Exception):
    """The time that the user gave for all of it is over."""


class Interrupted(Exception):
    """A signal has ended the run; `status` is the shell's for that signal."""

    def __init__(self, status: Status, line: str | None = None) -> None:
        super().__init__(line or "")
        self.status = status
        self.line = line


#: Exception -> status and how the line begins; the first row that fits.
ERRORS: tuple[tuple[type[BaseException], Status, str], ...] = (
    (UsageFault, Status.USAGE, ""),
    (InvalidURL, Status.USAGE, "the URL: "),
    (CheckFailed, Status.CHECK, ""),
    (TimeOver, Status.TIME, ""),
    (WorkersFailed, Status.FAULT, ""),
    (HandshakeTimeout, Status.TIME, "no answer in time: "),
    (BrokenPipeError, Status.PIPE, ""),
    (ProxyError, Status.TCP, "the proxy: "),
    (TLSFailed, Status.TLS, "TLS: "),
    (HandshakeRefused, Status.REFUSED, "refused: "),
    (BadResponse, Status.NO_ANSWER, "no good answer: "),
    (ConnectionClosed, Status.LOST, "lost: "),
    (socket.gaierror, Status.NAME, "name: "),
    (ssl.SSLError, Status.TLS, "TLS: "),
    (trio.TooSlowError, Status.TIME, "too slow: "),
    (OSError, Status.TCP, "no connection: "),
    (KeyboardInterrupt, Status.INTERRUPTED, ""),
)

#: Cause of the end -> status and what the line says.  A close of the peer is split by its code.
ENDS: dict[CloseCause, tuple[Status, str]] = {
    CloseCause.PEER: (Status.CLOSED, "the peer closed first"),
    CloseCause.LOCAL: (Status.DONE, "we closed first"),
    CloseCause.PROTOCOL_ERROR: (Status.WE_CLOSED, "we closed: the peer broke a rule"),
    CloseCause.LIMIT: (Status.WE_CLOSED, "we closed: the peer passed a limit"),
    CloseCause.TIMEOUT: (Status.TIME, "we gave up: the peer is silent"),
    CloseCause.LOST: (Status.LOST, "lost without a Close frame"),
    CloseCause.INTERNAL_ERROR: (Status.FAULT, "we closed: a fault on this side"),
}
#: Codes with which a peer closes in order; None is a Close frame without a code.
ORDERLY = frozenset({None, 1000, 1001})


def first_error(error: BaseException) -> BaseException:
    """Return the first error of a group that is no cancellation, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        kept = [one for one in inner if not isinstance(one, trio.Cancelled)]
        error = (kept or list(inner))[0]
    return error


def outcome_of_error(error: BaseException) -> Outcome:
    """Return what the table says of `error`; what is not in it is a fault of ours."""
    error = first_error(error)
    if isinstance(error, GaveUp):
        return _outcome_of_giving_up(error)
    if isinstance(error, Interrupted):
        return Outcome(error.status, error.line)
    for kind, status, begins in ERRORS:
        if isinstance(error, kind):
            if status is Status.PIPE or isinstance(error, KeyboardInterrupt):
                return Outcome(status)
            return Outcome(status, begins + escaped(_text(error)))
    text = escaped(f"{type(error).__name__}: {error}")
    return Outcome(
        Status.FAULT, f"a fault of this command, please report it: {text} (--debug tells more)"
    )


def _outcome_of_giving_up(error: GaveUp) -> Outcome:
    """Return the outcome of the last error, which is worth no further try."""
    last = outcome_of_error(error.error)
    status = Status.CLOSED if error.code not in {None, 1006} else last.status
    return Outcome(status, f"{last.line}; no further try after {error.attempts}")


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        named = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{named}"
    return str(error) or type(error).__name__


def outcome_of_end(connection: Connection) -> Outcome:
    """Return how `connection`, which has ended, ended: who closed, the code, the reason, why."""
    facts = connection.statistics()
    closing = connection.endpoint.closing
    status, text = ENDS[facts.close_cause or CloseCause.LOST]
    frame = closing.sent
    if facts.close_cause is CloseCause.PEER:
        frame = closing.received
        if frame is not None and frame.code in ORDERLY:
            status = Status.DONE
    if frame is not None:
        text = f"{text}: {_code_and_reason(frame)}"
    if closing.error is not None and status is not Status.DONE:
        text = f"{text} ({escaped(str(closing.error))})"
    sent = _count("sent", facts.messages_sent, facts.payload_sent)
    received = _count("received", facts.messages_received, facts.payload_received)
    return Outcome(status, f"{text}, after {facts.age:.1f} s; {sent}, {received}")


def _code_and_reason(frame: CloseFrame) -> str:
    if frame.code is None:
        return "no code"
    code = str(int(frame.code))
    return f'{code} "{escaped(frame.reason)}"' if frame.reason else code


def _count(what: str, messages: int, size: int) -> str:
    return f"{what} {messages} message{'' if messages == 1 else 's'} ({size:,} B)"
