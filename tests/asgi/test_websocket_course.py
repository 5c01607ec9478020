"""The order of the events of a WebSocket, and what each asks for."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint.asgi.errors import ClientDisconnected
from trio_wsendpoint.asgi.http_course import Head, Piece
from trio_wsendpoint.asgi.websocket_course import (
    Accept,
    Close,
    Deny,
    WebSocketCourse,
    WebSocketPhase,
)

ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": "a"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 401}
DENY_BODY = {"type": "websocket.http.response.body", "body": b"no"}


def course(*events: dict[str, Any], subprotocols: tuple[str, ...] = ()) -> WebSocketCourse:
    made = WebSocketCourse(subprotocols)
    for event in events:
        made.send(event)
    return made


def test_a_conversation() -> None:
    made = course(subprotocols=("chat", "v2"))
    action = made.send({**ACCEPT, "subprotocol": "v2", "headers": [(b"Set-Cookie", b"a=1")]})
    assert isinstance(action, Accept)
    assert action.subprotocol == "v2"
    assert action.headers.items() == (("set-cookie", "a=1"),)
    assert made.send(SEND) == "a"
    assert made.send({"type": "websocket.send", "bytes": b"", "text": None}) == b""
    assert made.send({"type": "websocket.send", "text": ""}) == ""
    assert made.send({**CLOSE, "code": 4000, "reason": "bye"}) == Close(4000, "bye")
    assert made.phase is WebSocketPhase.CLOSED


@pytest.mark.parametrize(
    ("more", "close"),
    [
        ({}, Close(1000, "")),
        ({"reason": None}, Close(1000, "")),
        ({"code": 1005}, Close(None, "")),
        ({"code": 3000, "reason": "a" * 123}, Close(3000, "a" * 123)),
        ({"code": 3000, "reason": "é" * 62}, Close(3000, "é" * 61, was_cut=True)),
    ],
)
def test_closes(more: dict[str, Any], close: Close) -> None:
    assert course(ACCEPT).send({**CLOSE, **more}) == close


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 5000, "1000", True, None])
def test_codes_that_may_not_be_sent(code: object) -> None:
    made = course(ACCEPT)
    with pytest.raises((ValueError, TypeError), match=r'^"websocket.close": '):
        made.send({**CLOSE, "code": code})
    assert made.phase is WebSocketPhase.OPEN


def test_refusals() -> None:
    assert course().send(CLOSE) == Deny()
    made = course()
    action = made.send(DENY)
    assert isinstance(action, Deny)
    assert isinstance(action.step, Head)
    assert action.step.status == 401
    assert made.phase is WebSocketPhase.DENYING
    assert made.send({**DENY_BODY, "more_body": True}) == Deny(Piece(b"no", is_last=False))
    assert made.send(DENY_BODY) == Deny(Piece(b"no", is_last=True))
    assert made.phase is WebSocketPhase.CLOSED


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([], SEND),
        ([], DENY_BODY),
        ([ACCEPT], ACCEPT),
        ([ACCEPT], DENY),
        ([DENY], ACCEPT),
        ([DENY], CLOSE),
        ([DENY], SEND),
        ([CLOSE], ACCEPT),
        ([ACCEPT, CLOSE], CLOSE),
        ([ACCEPT, CLOSE], SEND),
        ([ACCEPT], {"type": "http.response.start", "status": 200}),
        ([], {"type": "websocket.receive"}),
    ],
)
def test_the_wrong_order(before: list[dict[str, Any]], wrong: dict[str, Any]) -> None:
    made = course(*before)
    phase = made.phase
    with pytest.raises(RuntimeError):
        made.send(wrong)
    assert made.phase is phase


@pytest.mark.parametrize("before", [[], [ACCEPT], [DENY]])
def test_a_client_that_has_gone(before: list[dict[str, Any]]) -> None:
    made = course(*before)
    made.lose()
    for event in (ACCEPT, SEND):
        with pytest.raises(ClientDisconnected, match="the client has ended it"):
            made.send(event)
    assert made.send(CLOSE) is None
    assert made.send(DENY) is None


def test_our_own_close_stays_ours() -> None:
    made = course(ACCEPT, CLOSE)
    made.lose()
    with pytest.raises(RuntimeError, match="the application has ended it"):
        made.send(SEND)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, 'one of "text" and "bytes" is set, not neither'),
        ({"text": None, "bytes": None}, 'one of "text" and "bytes" is set, not neither'),
        ({"text": "a", "bytes": b"a"}, 'one of "text" and "bytes" is set, not both'),
        ({"text": b"a"}, '"text" must be a str, not bytes'),
        ({"bytes": "a"}, '"bytes" must be bytes, not str'),
    ],
)
def test_messages_that_are_none(more: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        course(ACCEPT).send({"type": "websocket.send", **more})
    assert str(caught.value) == f'"websocket.send": {message}'


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"subprotocol": "x"}, "subprotocol 'x' was not offered ('chat')"),
        ({"subprotocol": b"chat"}, '"subprotocol" must be a str or None, not bytes'),
        ({"headers": [(b"Upgrade", b"h2c")]}, "header 'upgrade' is the handshake's"),
        ({"headers": [(b"sec-websocket-accept", b"x")]}, "is the handshake's"),
        ({"headers": [(b":status", b"200")]}, "a header name is not a token"),
        ({"headers": [("a", "b")]}, "the name of a header is bytes, not str"),
    ],
)
def test_accepts_that_make_no_101(more: dict[str, Any], message: str) -> None:
    made = course(subprotocols=("chat",))
    with pytest.raises((TypeError, ValueError)) as caught:
        made.send({**ACCEPT, **more})
    assert message in str(caught.value)
    assert made.phase is WebSocketPhase.CONNECTING
