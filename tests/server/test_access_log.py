"""The access log: a line for each connection and request, and no secret in it."""

from __future__ import annotations

import json
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest

from trio_wsendpoint import AccessLog, AccessRecord, CloseCause, Request, Response, connect_endpoint
from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.server.access_log import user_of

from .helpers import echo, read_all, request, serve_memory

RECORD: dict[str, Any] = {
    "request": Request(
        "/chat?access_token=SECRET",
        {"Authorization": "Bearer SECRET", "Cookie": "SECRET", "User-Agent": 'an "agent"\t1'},
    ),
    "peer": Peer(address="192.0.2.1", port=4711),
    "state": {"user": "alice"},
    "status": 101,
    "ended": 784111777.25,
    "duration": 1.5,
    "bytes_received": 10,
    "bytes_sent": 20,
    "messages_received": 1,
    "messages_sent": 2,
    "subprotocol": "chat",
    "close_code": 1000,
    "close_cause": CloseCause.PEER,
}


def test_common() -> None:
    assert AccessLog().line_of(AccessRecord(**RECORD)) == (
        '192.0.2.1 - alice [06/Nov/1994:08:49:37 +0000] "GET /chat HTTP/1.1" 101 20 seconds=1.5 '
        "bytes_received=10 bytes_sent=20 messages_received=1 messages_sent=2 subprotocol=chat "
        "close_code=1000 close_cause=peer closed_by=peer"
    )


def test_json() -> None:
    told = json.loads(AccessLog("json").line_of(AccessRecord(**RECORD)))
    assert told["time"] == "1994-11-06T08:49:37.250+00:00"
    assert (told["address"], told["user"], told["path"]) == ("192.0.2.1", "alice", "/chat")
    assert (told["status"], told["close_code"], told["closed_by"]) == (101, 1000, "peer")


@pytest.mark.parametrize("format", ["common", "json"])
def test_secrets_are_shown_only_when_asked_for(format: Any) -> None:
    record = AccessRecord(**RECORD)
    assert "SECRET" not in AccessLog(format).line_of(record)
    assert "SECRET" not in repr(record.peer)
    assert "access_token=SECRET" in AccessLog(format, query=True).line_of(record)
    asked = AccessLog(format, headers=["User-Agent", "X-None"]).line_of(record)
    assert "agent" in asked
    assert "SECRET" not in asked


@pytest.mark.parametrize("format", ["common", "json"])
def test_nothing_of_a_peer_breaks_the_line(format: Any) -> None:
    odd = Request('/"' + "x" * 1000, {"User-Agent": "a\tb\xe9"})
    record = AccessRecord(**{**RECORD, "request": odd, "state": {"user": 'a b\n"\x1b'}})
    line = AccessLog(format, headers=["User-Agent"]).line_of(record)
    assert re.fullmatch(r"[ -~]+", line)
    assert len(line) < 2000
    if format == "common":
        assert re.match(r'192\.0\.2\.1 - \S+ \[[^]]+\] "[^"]*" 101 20 ', line)


@pytest.mark.parametrize(
    ("state", "user"),
    [
        ({"user": "a"}, "a"),
        (SimpleNamespace(user=7), "7"),
        (SimpleNamespace(), None),
        (None, None),
        ({"user": object()}, None),
        ({"user": True}, None),
    ],
)
def test_users(state: object, user: str | None) -> None:
    assert user_of(state) == user


@pytest.mark.parametrize(
    ("cause", "who"),
    [(CloseCause.PEER, "peer"), (CloseCause.LOST, None), (CloseCause.LIMIT, "us"), (None, None)],
)
def test_who_closed(cause: CloseCause | None, who: str | None) -> None:
    assert AccessRecord(**{**RECORD, "close_cause": cause}).closed_by == who


def test_wrong_options() -> None:
    wrong: Any = AccessLog
    with pytest.raises(ValueError, match="the format of an access log"):
        wrong("nginx")
    with pytest.raises(TypeError, match="headers must be a list of names"):
        wrong(headers="User-Agent")


class Broken(logging.Logger):
    def log(self, *args: object, **kwargs: object) -> None:
        raise ValueError("on purpose")


def test_a_logger_that_raises_disturbs_nobody() -> None:
    AccessLog(logger=Broken("broken")).write(AccessRecord(**RECORD))


async def test_a_server(caplog: pytest.LogCaptureFixture, autojump_clock: object) -> None:
    """One line for a connection, an opening that is refused, and a plain request."""
    caplog.set_level("INFO", "trio_wsendpoint.access")

    async def login(opening: Any) -> Response | None:
        opening.state.user = "bob"
        return Response(403) if opening.request.path == "/no" else None

    async def page(_: object) -> Response:
        return Response(200, body="page")

    log = AccessLog("json")
    async with serve_memory(
        echo, access_log=log, process_request=login, http_handler=page, subprotocols=["chat"]
    ) as served:
        options: Any = {"subprotocols": ["chat"]}
        async with connect_endpoint(
            "ws://example.test/yes?token=SECRET", stream=served.connect(), **options
        ) as client:
            await client.send("hello")
            await client.receive()
        refused = served.connect()
        await refused.send_all(request("/no?token=SECRET"))
        await read_all(refused)
        plain = served.connect()
        await plain.send_all(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await read_all(plain)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name.endswith(".access")]
    assert "SECRET" not in caplog.text
    found = {line["path"]: line for line in lines}
    assert sorted(found) == ["/no", "/page", "/yes"]
    yes = found["/yes"]
    assert (yes["status"], yes["user"], yes["subprotocol"]) == (101, "bob", "chat")
    assert (yes["close_code"], yes["closed_by"]) == (1000, "peer")
    assert (yes["messages_received"], yes["messages_sent"]) == (1, 1)
    assert yes["bytes_received"] > 11
    assert found["/no"]["status"] == 403
    assert (found["/page"]["status"], found["/page"]["bytes_sent"]) == (200, 4)


async def test_plain_requests(caplog: pytest.LogCaptureFixture, autojump_clock: object) -> None:
    """The user that the handler found, the bytes of a body in chunks, and what the link refuses."""
    caplog.set_level("INFO", "trio_wsendpoint.access")

    async def page(request: Any) -> Response:
        await request.read()
        request.state = {"user": "ann"}
        return Response(200, body="page")

    chunked = b"POST /page HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serve_memory(echo, access_log=AccessLog("json"), http_handler=page) as served:
        client = served.connect()
        await client.send_all(chunked + b"5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n")
        await client.send_all(b"GET /bad HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n")
        assert b" 400 " in await read_all(client)
    first, second = (
        json.loads(r.getMessage()) for r in caplog.records if r.name.endswith(".access")
    )
    assert (first["user"], first["status"], first["bytes_received"]) == ("ann", 200, 8)
    assert (second["status"], second["path"]) == (400, None)
