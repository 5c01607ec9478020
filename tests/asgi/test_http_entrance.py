"""The application is called in the task that takes its request, which others relieve."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
import trio
import trio.testing

from tests.server.helpers import request
from tests.server.http_helpers import GET, post, statuses
from trio_wsendpoint import HttpLimits, Timeouts

from .helpers import BODY, CLOSING, START, ask, served

VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("VALUE", default="unset")


async def test_requests_that_are_answered_without_waiting_share_a_task_and_no_variable() -> None:
    tasks, values = [], []

    async def app(scope, receive, send):
        tasks.append(trio.lowlevel.current_task())
        values.append(VALUE.get())
        VALUE.set("set by another request")
        await receive()
        await send(START)
        await send(BODY)

    assert statuses(await ask(app, GET + GET + CLOSING)) == [200, 200, 200]
    assert len(set(tasks)) == 1
    assert values == ["unset"] * 3


async def test_a_task_has_the_name_of_the_request_that_it_waits_for() -> None:
    names: list[list[str]] = []

    def note():
        names.append([task.name for task in tasks])

    async def app(scope, receive, send):
        tasks.append(trio.lowlevel.current_task())
        note()
        await trio.lowlevel.checkpoint()
        note()
        await send(START)
        await send(BODY)

    tasks: list[trio.lowlevel.Task] = []
    await ask(app, GET.replace(b"GET /", b"GET /slow") + CLOSING)
    requests = "trio_wsendpoint requests"
    assert names == [[requests], ["asgi GET '/slow'"], [requests] * 2, ["asgi GET '/'"] * 2]


async def test_a_call_that_waits_behind_its_answer_is_left_alone(autojump_clock) -> None:
    """Another task takes the next requests, and each may go on so."""
    done: list[tuple[str, float]] = []

    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        assert (await receive())["type"] == "http.disconnect"
        await trio.sleep(float(scope["path"][1:]))
        done.append((scope["path"], trio.current_time()))

    async with served(app) as here:
        paths = b"/9", b"/5", b"/1"
        await here.client.send(b"".join(GET.replace(b"/ ", path + b" ") for path in paths))
        await here.client.send(CLOSING.replace(b"/ ", b"/0 "))
        assert statuses(await here.client.read_all()) == [200] * 4
        await here.client.stream.aclose()
        await trio.sleep(20)
    assert done == [("/0", 0), ("/1", 1), ("/5", 5), ("/9", 9)]


@pytest.mark.parametrize("closes", ["the client", "the server"])
async def test_the_end_waits_for_no_call_that_has_been_answered(closes, autojump_clock) -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        await trio.sleep(3)
        ended.append(trio.current_time())

    ended: list[float] = []
    async with served(app, timeouts=Timeouts(grace=1)) as here:
        await here.client.send(GET)
        await here.client.read_until(b"done")
        if closes == "the client":
            await trio.aclose_forcefully(here.client.stream)
            await trio.sleep(1)
            assert ended == []
        else:
            await here.server.aclose()
            assert trio.current_time() < 3
    assert ended == [3]


async def test_a_client_that_is_lost_is_let_go_at_once(autojump_clock) -> None:
    """The application has its time to end; the stream has not."""
    told: list[float] = []

    async def app(scope, receive, send):
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        told.append(trio.current_time())

    async with served(app) as here:
        await here.client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(here.client.stream)
        await trio.sleep(1)
        other = await here.another()
        await other.send(CLOSING)
        await trio.sleep(1)
        await trio.aclose_forcefully(other.stream)
    assert told[0] == 5


async def test_a_wrong_body_is_answered_while_the_application_is_at_work(autojump_clock) -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        events.append(await receive())
        await trio.sleep(5)
        events.append(trio.current_time())

    async with served(app, http=HttpLimits(body_size=3)) as here:
        chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"
        await here.client.send(chunked)
        assert statuses(await here.client.read_all()) == [413]
        assert trio.current_time() < 5
        await here.client.stream.aclose()
        await trio.sleep(9)
    assert events == [{"type": "http.disconnect"}, 5]


async def test_a_bound_on_handlers_holds(autojump_clock) -> None:
    async def app(scope, receive, send):
        await trio.sleep(9)

    came = await ask(app, CLOSING, http=HttpLimits(handler=3))
    assert statuses(came) == [503]


async def test_an_application_that_fails_behind_its_answer_leaves_the_next_request(caplog) -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        if scope["method"] == "POST":
            raise ValueError("behind the answer")

    assert statuses(await ask(app, post(b"") + CLOSING)) == [200, 200]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "the application failed"
    ]


async def test_a_client_that_is_lost_before_its_first_request_is_answered(autojump_clock) -> None:
    """The stream ends in the moment in which the task of its requests is started."""

    async def app(scope, receive, send):
        await trio.sleep_forever()

    async with served(app, cancel_after=2) as here:
        await here.client.send(GET)
        await trio.aclose_forcefully(here.client.stream)
        await here.server.aclose()
    assert trio.current_time() < 30


async def test_a_websocket_follows_plain_requests_on_one_stream() -> None:
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(START)
            await send(BODY)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001})

    async with served(app) as here:
        await here.client.send(GET + GET)
        for _ in range(2):
            assert statuses(await here.client.read_until(b"0\r\n\r\n")) == [200]
        await here.client.send(request())
        assert statuses(await here.client.read_until(b"\r\n\r\n")) == [101]
        assert (await here.client.read_until(b"\x0f\xa1"))[:2] == b"\x88\x02"
        await here.client.stream.aclose()
