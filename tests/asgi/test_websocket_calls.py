"""WebSockets through an application: the opening, messages, codes, and who ends it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

from tests.server.helpers import read_head, request
from trio_wsendpoint import (
    ConnectionClosed,
    HandshakeRefused,
    Timeouts,
)
from trio_wsendpoint.asgi import ClientDisconnected

from .helpers import served

ACCEPT = {"type": "websocket.accept"}
GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def say(**keys):
    return {"type": "websocket.send", **keys}


def errors(caplog, level=logging.WARNING):
    return [record for record in caplog.records if record.levelno >= level]


async def echo(scope, receive, send):
    assert (await receive()) == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def ended(connection):
    """The code and the reason that the client is told."""
    try:
        while True:
            await connection.receive()
    except ConnectionClosed as error:
        return error.code, error.reason


# ---- the opening -----------------------------------------------------------------------------


async def test_messages_go_both_ways_empty_ones_too() -> None:
    async with served(echo) as here, here.connect() as connection:
        for message in ("text", b"bytes", "", b"", "é"):
            await connection.send(message)
            assert await connection.receive() == message


async def test_accept_with_a_subprotocol_and_cookies() -> None:
    async def app(scope, receive, send):
        assert scope["subprotocols"] == ["a", "b"]
        headers = [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]
        with pytest.raises(ValueError, match="was not offered"):
            await send({**ACCEPT, "subprotocol": "c"})
        await send({**ACCEPT, "subprotocol": "b", "headers": headers})
        await receive()

    async with served(app) as here, here.connect(subprotocols=["a", "b"]) as connection:
        assert connection.subprotocol == "b"
        assert connection.response.headers.get_all("set-cookie") == ("a=1", "b=2")


async def test_bytes_ahead_of_the_101_are_kept() -> None:
    async with served(echo) as here:
        await here.client.send(request() + b"\x81\x81\0\0\0\0a")
        head, rest = await read_head(here.client.stream)
        assert head.startswith(b"HTTP/1.1 101 ")
        while len(rest) < 3:
            rest += await here.client.stream.receive_some(10)
        assert rest == b"\x81\x01a"


async def refused(app, **options):
    async with served(app, **options) as here:
        with pytest.raises(HandshakeRefused) as caught:
            async with here.connect():
                pass
    return caught.value.response


async def test_close_before_accept_is_403() -> None:
    events = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        events.append(await receive())

    response = await refused(app)
    assert (response.status, response.body) == (403, b"")
    assert events == [GONE]


async def test_a_denial_of_the_applications_own() -> None:
    async def app(scope, receive, send):
        assert "websocket.http.response" in scope["extensions"]
        headers = [(b"www-authenticate", b"Basic"), (b"set-cookie", b"a=1")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        with pytest.raises(RuntimeError):
            await send(ACCEPT)
        await send({"type": "websocket.http.response.body", "body": b"log ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"in"})

    response = await refused(app)
    assert (response.status, response.body) == (401, b"log in")
    assert response.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize("raises", [True, False])
async def test_an_application_without_a_decision_gives_500(raises, caplog) -> None:
    async def app(scope, receive, send):
        await receive()
        if raises:
            raise KeyError("mine")

    assert (await refused(app)).status == 500
    assert len(errors(caplog, logging.ERROR)) == raises


async def test_an_application_that_never_decides(autojump_clock) -> None:
    events = []

    async def app(scope, receive, send):
        await receive()
        events.append(await receive())
        try:
            await trio.sleep_forever()
        finally:
            events.append(trio.current_time() - began)

    async with served(app, timeouts=Timeouts(process=5), cancel_after=7) as here:
        began = trio.current_time()
        with pytest.raises(HandshakeRefused) as caught:
            async with here.connect():
                pass
        assert caught.value.response.status == 503
        await trio.sleep(20)
    assert events == [GONE, pytest.approx(12, abs=1)]


async def test_the_client_goes_before_the_accept(caplog) -> None:
    seen = []

    async def app(scope, receive, send):
        await receive()
        seen.append(await receive())
        try:
            await send(ACCEPT)
        except ClientDisconnected as error:
            seen.append(type(error))
            done.set()
            raise

    done = trio.Event()
    async with served(app) as here:
        await here.client.send(request())
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(here.client.stream)
        await done.wait()
    assert seen == [GONE, ClientDisconnected]
    assert errors(caplog) == []


async def test_a_request_that_the_handshake_refuses_does_not_reach_the_application() -> None:
    async def app(scope, receive, send):
        raise AssertionError

    async with served(app) as here:
        await here.client.send(request(Origin="http://elsewhere.test"))
        assert b" 403 " in (await here.client.read_all())


# ---- the client ends it ----------------------------------------------------------------------


async def watched(here_ends):
    """What an application is told when the client ends as `here_ends` does."""
    events = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        events.extend([await receive(), await receive(), await receive()])
        done.set()

    done = trio.Event()
    async with served(app) as here, here.connect() as connection:
        await connection.send("before")
        await here_ends(connection)
        await done.wait()
    assert events[0] == {"type": "websocket.receive", "text": "before"}
    assert events[1] == events[2]
    return events[1]["code"], events[1]["reason"]


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [(4002, "mine", (4002, "mine")), (None, "", (1005, "")), (1001, "", (1001, ""))],
)
async def test_the_code_of_the_client_is_told(code, reason, told) -> None:
    assert await watched(lambda connection: connection.aclose(code, reason)) == told


async def test_a_loss_is_1006() -> None:
    events = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        events.append(await receive())

    async with served(app) as here:
        await here.client.send(request())
        await read_head(here.client.stream)
        await trio.aclose_forcefully(here.client.stream)
        await trio.testing.wait_all_tasks_blocked()
    assert events == [GONE]


async def test_a_send_after_the_clients_close_raises_and_nothing_is_logged(caplog) -> None:
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        await send({"type": "websocket.close"})  # does nothing
        with pytest.raises(OSError, match="client"):
            await send(say(text="late"))
        done.set()
        await send(say(text="late"))

    done = trio.Event()
    async with served(app) as here:
        async with here.connect():
            pass
        await done.wait()
    assert errors(caplog) == []


async def test_an_application_that_stays_is_cancelled_later(autojump_clock, caplog) -> None:
    ends = []

    async def app(scope, receive, send):
        await send(ACCEPT)
        try:
            await trio.sleep_forever()
        finally:
            ends.append(trio.current_time())

    async with served(app, cancel_after=9) as here:
        async with here.connect():
            pass
        began = trio.current_time()
        await trio.sleep(20)
    assert ends == [pytest.approx(began + 9, abs=3)]
    assert len(errors(caplog)) == 1


async def test_back_pressure_stops_the_client(autojump_clock) -> None:
    async def app(scope, receive, send):
        await send(ACCEPT)
        await trio.sleep_forever()

    async with served(app, timeouts=Timeouts(grace=1, close=1), cancel_after=1) as here:
        await here.client.send(request())
        await read_head(here.client.stream)
        frame = b"\x82\xfe\xff\xff\0\0\0\0" + bytes(65535)
        with trio.move_on_after(5) as scope:
            while True:
                await here.client.send(frame)
        assert scope.cancelled_caught


# ---- the application ends it -----------------------------------------------------------------


async def told_to_the_client(app):
    async with served(app) as here, here.connect() as connection:
        return await ended(connection)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({}, (1000, "")),
        ({"code": 4001, "reason": "why"}, (4001, "why")),
        ({"code": 1005}, (1005, "")),
        ({"code": 4001, "reason": None}, (4001, "")),
        ({"code": 4001, "reason": "é" * 99}, (4001, "é" * 61)),
    ],
)
async def test_the_close_of_the_application(event, told) -> None:
    events = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", **event})
        events.append(await receive())
        for late in (say(text="x"), {"type": "websocket.close"}):
            with pytest.raises(RuntimeError, match="has ended it"):
                await send(late)

    assert await told_to_the_client(app) == told
    assert events == [{"type": "websocket.disconnect", "code": told[0], "reason": told[1]}]


async def test_an_application_that_returns_is_1000_and_one_that_raises_1011(caplog) -> None:
    async def returns(scope, receive, send):
        await send(ACCEPT)

    async def raises(scope, receive, send):
        await send(ACCEPT)
        raise KeyError("mine")

    assert (await told_to_the_client(returns))[0] == 1000
    assert errors(caplog) == []
    assert (await told_to_the_client(raises))[0] == 1011
    [record] = errors(caplog)
    assert isinstance(record.exc_info[1], KeyError)


async def test_an_oserror_of_the_applications_own_is_an_error(caplog) -> None:
    async def app(scope, receive, send):
        await send(ACCEPT)
        raise OSError("the database")

    assert (await told_to_the_client(app))[0] == 1011
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize(
    "event",
    [
        say(),
        say(text="a", bytes=b"a"),
        say(text=b"a"),
        say(bytes="a"),
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.nonsense"},
    ],
)
async def test_a_wrong_event_raises_and_changes_nothing(event) -> None:
    async def app(scope, receive, send):
        await send(ACCEPT)
        with pytest.raises((TypeError, ValueError, RuntimeError), match=r"websocket\."):
            await send(event)
        await send(say(text="fine", bytes=None))

    async with served(app) as here, here.connect() as connection:
        assert await connection.receive() == "fine"


async def test_two_tasks_may_receive_and_several_send() -> None:
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)

        async def one():
            event = await receive()
            if "text" in event:
                await send(say(text=event["text"]))
            else:
                assert event["type"] == "websocket.disconnect"

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)

    async with served(app) as here, here.connect() as connection:
        await trio.testing.wait_all_tasks_blocked()
        await connection.send("a")
        await connection.send("b")
        assert {await connection.receive(), await connection.receive()} == {"a", "b"}
        await connection.aclose()


async def test_a_cancelled_receive_loses_nothing() -> None:
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        with trio.move_on_after(0):
            await receive()
        await send(say(text=(await receive())["text"]))

    async with served(app) as here, here.connect() as connection:
        await connection.send("kept")
        assert await connection.receive() == "kept"


async def test_a_shutdown_sends_a_close_and_the_application_is_told(autojump_clock) -> None:
    events: list[Any] = []
    closes: list[Any] = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        events.append(await receive())

    async with served(app) as here, trio.open_nursery() as nursery:

        async def client():
            async with here.connect() as connection:
                connected.set()
                closes.append(await ended(connection))

        connected = trio.Event()
        nursery.start_soon(client)
        await connected.wait()
        await trio.testing.wait_all_tasks_blocked()
        await here.server.aclose()
    assert events == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}]
    assert closes == [(1001, "")]


async def test_an_application_that_stays_does_not_hold_a_shutdown(autojump_clock) -> None:
    async def app(scope, receive, send):
        await send(ACCEPT)
        await trio.sleep_forever()

    async with served(app, timeouts=Timeouts(grace=2)) as here, here.connect():
        began = trio.current_time()
        await here.server.aclose()
    assert trio.current_time() - began < 5
