"""Follows one ASGI WebSocket: what the application may send next, and what that asks for.

No I/O.  `WebSocketCourse.send` takes an event and returns an action; it raises for an event that
makes no sense where it stands, and nothing has changed then.

CONNECTING -> OPEN -> CLOSED, or CONNECTING -> DENYING -> CLOSED; GONE (the client ended it) from
each of the first three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, cast

from trio_wsendpoint.asgi.errors import ClientDisconnected
from trio_wsendpoint.asgi.events import Event, headers_of, text_of, type_of
from trio_wsendpoint.asgi.http_course import HttpCourse, HttpPhase, Step
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Accept", "Action", "Close", "Deny", "WebSocketCourse", "WebSocketPhase"]

_DENIAL = "websocket.http.response"
_MOST_REASON = 123  # bytes: RFC 6455 section 5.5
#: Headers of the 101 that the handshake writes.
_HANDSHAKES = frozenset({"connection", "upgrade"})
_HANDSHAKES_PREFIX = "sec-websocket-"
#: Codes that may not stand in a Close frame (RFC 6455 section 7.4); 1005 asks for one without.
_NOT_SENT = frozenset({1004, 1006, 1015})
_NO_CODE = 1005


class WebSocketPhase(Enum):
    """How far a WebSocket of an application has come."""

    CONNECTING = "the opening has not been answered"
    DENYING = "the opening is being refused"
    OPEN = "the WebSocket is open"
    CLOSED = "the application has ended it"
    GONE = "the client has ended it"


@dataclass(frozen=True, slots=True)
class Accept:
    """Send the 101."""

    subprotocol: str | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Close:
    """Close an open WebSocket with `code`; None for a Close frame without one.

    `was_cut`: the reason was too long for a Close frame, and ends earlier.
    """

    code: int | None
    reason: str
    was_cut: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse the opening: with 403 if `step` is None, else with the application's own answer."""

    step: Step | None = None


#: A `str` or bytes: send that as a message.
Action: TypeAlias = Accept | str | bytes | Close | Deny | None


class WebSocketCourse:
    """One WebSocket, from its opening to its end; `subprotocols` are those on offer."""

    __slots__ = ("_denial", "_subprotocols", "phase")

    def __init__(self, subprotocols: Sequence[str] = ()) -> None:
        self._subprotocols = tuple(subprotocols)
        self._denial = HttpCourse(prefix=_DENIAL)
        self.phase = (
            WebSocketPhase.CONNECTING
        )  # set by `send`, `take_back` and `lose`; the call asks it

    def lose(self) -> None:
        """Note that the client has ended the WebSocket, or given up the opening."""
        if self.phase is not WebSocketPhase.CLOSED:
            self.phase = WebSocketPhase.GONE
        self._denial.lose()

    def take_back(self, phase: WebSocketPhase) -> None:
        """Go back to `phase`, where it was: what was asked for was not done."""
        if self.phase is not WebSocketPhase.GONE:
            self.phase = phase

    def send(self, event: Event) -> Action:
        """Take an event of the application; return what it asks for, None if nothing.

        Raises `ClientDisconnected` for what would reach a client that has gone, `RuntimeError` for
        an event out of order, `TypeError` and `ValueError` for what is wrong in it.
        """
        kind = type_of(event)
        match kind:
            case "websocket.send":
                return self._message(event)
            case "websocket.accept":
                return self._accept(event)
            case "websocket.close":
                return self._close(event)
            case _ if kind.startswith(_DENIAL):
                return self._deny(event)
            case _:
                raise RuntimeError(f"{quoted(kind)} is no event of a WebSocket")

    def _accept(self, event: Event) -> Accept:
        if self.phase is WebSocketPhase.GONE:
            raise ClientDisconnected(WebSocketPhase.GONE.value)
        self._expect(event, WebSocketPhase.CONNECTING)
        subprotocol: object = event.get("subprotocol")
        if subprotocol is not None and not isinstance(subprotocol, str):
            kind = type(subprotocol).__name__
            raise TypeError(f'"websocket.accept": "subprotocol" must be a str or None, not {kind}')
        if subprotocol is not None and subprotocol not in self._subprotocols:
            offered = ", ".join(map(quoted, self._subprotocols)) or "none"
            raise ValueError(
                f'"websocket.accept": subprotocol {quoted(subprotocol)} was not offered ({offered})'
            )
        headers = headers_of(event)
        for name in headers:
            if name in _HANDSHAKES or name.startswith(_HANDSHAKES_PREFIX):
                raise ValueError(f'"websocket.accept": header {quoted(name)} is the handshake\'s')
        self.phase = WebSocketPhase.OPEN
        return Accept(subprotocol, headers)

    def _message(self, event: Event) -> str | bytes:
        if self.phase is not WebSocketPhase.OPEN:
            if self.phase is WebSocketPhase.GONE:
                raise ClientDisconnected(WebSocketPhase.GONE.value)
            self._expect(event, WebSocketPhase.OPEN)
        data: object = event.get("bytes")
        text: object = event.get("text")
        if (data is None) is (text is None):
            has = "neither" if data is None else "both"
            raise ValueError(f'"websocket.send": one of "text" and "bytes" is set, not {has}')
        if isinstance(text, str):
            return text
        if type(data) is bytes:
            return data
        if isinstance(data, (bytes, bytearray, memoryview)):
            return bytes(cast("bytes | bytearray | memoryview", data))
        key, wanted = ("text", "a str") if data is None else ("bytes", "bytes")
        found = type(text if data is None else data).__name__
        raise TypeError(f'"websocket.send": "{key}" must be {wanted}, not {found}')

    def _close(self, event: Event) -> Action:
        if self.phase is WebSocketPhase.GONE:
            return None
        if self.phase is WebSocketPhase.CONNECTING:
            self.phase = WebSocketPhase.CLOSED
            return Deny()
        self._expect(event, WebSocketPhase.OPEN)
        code: object = event.get("code", 1000)
        if isinstance(code, bool) or not isinstance(code, int):
            kind = type(code).__name__
            raise TypeError(f'"websocket.close": "code" must be an int, not {kind}')
        if code in _NOT_SENT or not 1000 <= code <= 4999:
            raise ValueError(f'"websocket.close": {code} may not be sent (RFC 6455 section 7.4)')
        reason = text_of(event, "reason")
        kept = _cut(reason)
        self.phase = WebSocketPhase.CLOSED
        if code == _NO_CODE:
            return Close(None, "")
        return Close(code, kept, was_cut=kept != reason)

    def _deny(self, event: Event) -> Deny | None:
        if self.phase is WebSocketPhase.GONE:
            return None
        if self.phase is not WebSocketPhase.DENYING:
            self._expect(event, WebSocketPhase.CONNECTING)
        step = self._denial.send(event)
        is_whole = self._denial.phase is HttpPhase.COMPLETE
        self.phase = WebSocketPhase.CLOSED if is_whole else WebSocketPhase.DENYING
        return Deny(step)

    def _expect(self, event: Event, phase: WebSocketPhase) -> None:
        if self.phase is not phase:
            kind = quoted(type_of(event))
            raise RuntimeError(f"{kind} cannot be sent now: {self.phase.value}")


def _cut(reason: str) -> str:
    """Return `reason` as it fits into a Close frame; it ends with a whole character."""
    return reason.encode()[:_MOST_REASON].decode(errors="ignore")
