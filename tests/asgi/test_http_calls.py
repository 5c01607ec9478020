"""Requests through an application: what it receives, what its client gets, who goes first."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

from tests.server.http_helpers import CONTINUE, GET, post, statuses
from trio_wsendpoint import HttpLimits, Timeouts
from trio_wsendpoint.asgi import ClientDisconnected

from .helpers import BODY, CLOSING, START, ask, body, sending, served, start

CLOSE = "Connection: close"


def texts(caplog, level=logging.WARNING):
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


# ---- what it receives ------------------------------------------------------------------------


async def collect(app_events, receive):
    while True:
        event = await receive()
        app_events.append(event)
        if not event.get("more_body"):
            return


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (CLOSING, b""),
        (post(b"abc", CLOSE), b"abc"),
        (
            (
                b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                b"2\r\nab\r\n1\r\nc\r\n0\r\nX: trailer\r\n\r\n"
            ),
            b"abc",
        ),
    ],
    ids=["none", "length", "chunked"],
)
async def test_the_body_arrives(request_, wanted) -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await collect(events, receive)
        await send(START)
        await send(BODY)

    assert (await ask(app, request_)).endswith(b"done\r\n0\r\n\r\n")
    assert b"".join(event["body"] for event in events) == wanted
    assert events[-1]["more_body"] is False


async def test_no_body_is_one_event_and_a_known_length_needs_no_empty_one() -> None:
    for request, wanted in ((CLOSING, b""), (post(b"abc", CLOSE), b"abc")):
        events: list[Any] = []

        async def app(scope, receive, send, events=events):
            events.append(await receive())
            await send(START)
            await send(BODY)

        await ask(app, request)
        assert events == [{"type": "http.request", "body": wanted, "more_body": False}]


async def test_a_100_leaves_with_the_first_receive() -> None:
    read = trio.Event()

    async def app(scope, receive, send):
        await read.wait()
        await send(start())
        assert (await receive())["body"] == b"abc"
        await send(BODY)

    async with served(app) as here:
        await here.client.send(post(b"", "Expect: 100-continue").replace(b": 0", b": 3"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0):
            assert await here.client.stream.receive_some(1) == b"", "too early"
        read.set()
        assert await here.client.read_until(b"\r\n\r\n") == CONTINUE
        await here.client.send(b"abc")
        assert b"200 OK" in await here.client.read_until(b"0\r\n\r\n")


async def test_no_100_for_an_application_that_does_not_read() -> None:
    came = await ask(
        sending(START, BODY), post(b"", "Expect: 100-continue").replace(b": 0", b": 3")
    )
    assert statuses(came) == [200]
    assert b"Connection: close" in came


async def test_a_body_over_the_limit_gets_413_and_the_application_a_disconnect(caplog) -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await collect(events, receive)

    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n"
    came = await ask(app, request, http=HttpLimits(body_size=3))
    assert statuses(came) == [413]
    assert events == [{"type": "http.disconnect"}]
    assert texts(caplog, logging.ERROR) == []


async def test_after_the_answer_every_receive_is_a_disconnect() -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(BODY)
        events.extend([await receive(), await receive()])
        await send({"type": "http.response.body"})

    assert statuses(await ask(app)) == [200]
    assert events == [{"type": "http.disconnect"}] * 2


async def test_two_tasks_may_wait_and_both_are_told() -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await receive()

        async def listen():
            events.append(await receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            waiting.set()

    waiting = trio.Event()
    async with served(app) as here:
        await here.client.send(GET)
        await waiting.wait()
        await here.client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert events == [{"type": "http.disconnect"}] * 2


async def test_a_poll_in_a_cancelled_scope_sees_the_client_go() -> None:
    """As Starlette's `is_disconnected`: `receive` is no checkpoint when its event is here."""
    seen = []

    async def poll(receive):
        with trio.CancelScope() as scope:
            scope.cancel()
            return (await receive())["type"]
        return None

    async def app(scope, receive, send):
        await receive()
        seen.append(await poll(receive))
        polled.set()
        await gone.wait()
        seen.append(await poll(receive))
        done.set()

    polled, gone, done = trio.Event(), trio.Event(), trio.Event()
    async with served(app) as here:
        await here.client.send(GET)
        await polled.wait()
        await here.client.stream.aclose()
        gone.set()
        await done.wait()
    assert seen == [None, "http.disconnect"]


async def test_a_loop_that_never_waits_yields() -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        while not other.is_set():
            await receive()

    other = trio.Event()
    async with served(app) as here, trio.open_nursery() as nursery:
        await here.client.send(CLOSING)
        nursery.start_soon(trio.lowlevel.checkpoint)
        await here.client.read_all()
        other.set()


async def test_a_client_that_has_only_ended_its_bytes_is_answered() -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await receive()
        events.append(await receive())
        await send(START)
        await send(BODY)

    async with served(app) as here:
        await here.client.send(GET)
        await here.client.stream.send_eof()
        assert statuses(await here.client.read_all()) == [200]
    assert events == [{"type": "http.disconnect"}]


async def test_an_application_that_does_not_read_stops_the_client(autojump_clock) -> None:
    async def app(scope, receive, send):
        await go.wait()
        await send(START)
        await send(BODY)

    go = trio.Event()
    async with served(app) as here:
        await here.client.send(post(b"", "X: y").replace(b": 0", b": 900000"))
        with trio.move_on_after(1) as scope:
            await here.client.send(b"b" * 900_000)
        assert scope.cancelled_caught
        go.set()


# ---- what its client gets --------------------------------------------------------------------


async def test_an_answer_in_pieces_is_chunked_for_1_1_and_unframed_for_1_0() -> None:
    app = sending(START, body(b"ab", more_body=True), body(memoryview(b"c")))
    came = await ask(app)
    assert came.endswith(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert b"\r\nDate: " in came
    assert b"Server:" not in came
    came = await ask(app, b"GET / HTTP/1.0\r\n\r\n")
    assert came.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in came


async def test_an_empty_piece_sends_the_head() -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(body(b"", more_body=True))
        await go.wait()
        await send(BODY)

    go = trio.Event()
    async with served(app) as here:
        await here.client.send(CLOSING)
        assert b"200 OK" in await here.client.read_until(b"\r\n\r\n")
        go.set()
        assert await here.client.read_all() == b"4\r\ndone\r\n0\r\n\r\n"


async def test_head_ends_with_its_headers_and_keeps_its_length() -> None:
    async def app(scope, receive, send):
        await receive()
        await send(start(200, (b"Content-Length", b"4")))
        while (await receive_or_send(receive, send)) != "http.disconnect":
            pass

    async def receive_or_send(receive, send):
        await send(body(b"more", more_body=True))
        return (await receive())["type"]

    came = await ask(app, CLOSING.replace(b"GET", b"HEAD"))
    assert came.endswith(b"\r\n\r\n")
    assert b"Content-Length: 4" in came or b"content-length: 4" in came


async def test_headers_leave_in_order_and_cookies_apart() -> None:
    headers = [(b"X-A", b"1"), [b"set-cookie", b"a=1"], (b"set-cookie", b"b=2")]
    came = await ask(sending({**START, "headers": iter(headers)}, BODY))
    assert b"x-a: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n" in came


async def test_connection_close_of_the_application_is_honoured() -> None:
    app = sending(start(200, (b"connection", b"close"), (b"content-length", b"4")), BODY)
    assert statuses(await ask(app, GET + GET)) == [200]


async def test_back_pressure_holds_the_application(autojump_clock) -> None:
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await send(START)
        while True:
            await send(body(b"x" * 65536, more_body=True))
            sent += 1

    async with served(app, timeouts=Timeouts(grace=1)) as here:
        await here.client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        assert sent <= 3


async def test_a_client_that_takes_nothing_is_given_up(autojump_clock) -> None:
    events: list[Any] = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        for _ in range(9):
            await send(body(b"x" * 65536, more_body=True))
        events.append(await receive())

    async with served(app, timeouts=Timeouts(write=5)) as here:
        await here.client.send(GET)
        await trio.sleep(20)
    assert events == [{"type": "http.disconnect"}]


TRAILERS = {"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")]}
ASKING = CLOSING.replace(b"\r\n\r\n", b"\r\nTE: trailers\r\n\r\n")


def with_trailers(*more):
    events = {**START, "trailers": True}, body(b"a", more_body=True), body(b"b"), *more
    return sending(*events)


async def test_trailers_follow_the_body() -> None:
    second = {**TRAILERS, "headers": [(b"y", b"2")]}
    came = await ask(with_trailers({**TRAILERS, "more_trailers": True}, second), ASKING)
    assert came.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\ny: 2\r\n\r\n")


async def test_trailers_are_offered_and_sent_to_those_alone_that_ask() -> None:
    offers = []

    async def app(scope, receive, send):
        offers.append("http.response.trailers" in scope["extensions"])
        await with_trailers(TRAILERS)(scope, receive, send)

    assert b"x-sum" in await ask(app, ASKING)
    assert (await ask(app)).endswith(b"1\r\nb\r\n0\r\n\r\n")
    assert (await ask(app, b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n")).endswith(b"\r\n\r\nab")
    assert offers == [True, False, False]


async def test_trailers_that_never_come_cut_the_answer_off(caplog) -> None:
    came = await ask(with_trailers(), ASKING)
    assert came.endswith(b"1\r\nb\r\n")
    assert "trailers follow" in caplog.records[-1].exc_text


async def test_a_wrong_trailer_changes_nothing() -> None:
    async def app(scope, receive, send):
        with pytest.raises(RuntimeError, match="no answer has started"):
            await send(TRAILERS)
        await send({**START, "trailers": True})
        with pytest.raises(RuntimeError):
            await send(TRAILERS)
        await send(body(b"a"))
        with pytest.raises(RuntimeError, match="the body is complete"):
            await send(body(b"b"))
        for name in (b"Content-Length", b"set-cookie"):
            with pytest.raises(ValueError, match="may not be a trailer"):
                await send({**TRAILERS, "headers": [(name, b"1")]})
        await send(TRAILERS)

    assert (await ask(app, ASKING)).endswith(b"a\r\n0\r\nx-sum: 1\r\n\r\n")


HINT = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>"]}


@pytest.mark.parametrize("events", [(HINT, START, BODY), (START, HINT, BODY)])
async def test_hints_leave_before_the_answer(events) -> None:
    came = await ask(sending(*events))
    hints, _, answer = came.partition(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_hints_to_a_client_of_1_0_are_dropped() -> None:
    async def app(scope, receive, send):
        assert "http.response.early_hint" not in scope["extensions"]
        await sending(HINT, START, BODY)(scope, receive, send)

    assert (await ask(app, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_wrong_hints_change_nothing() -> None:
    async def app(scope, receive, send):
        assert "http.response.early_hint" in scope["extensions"]
        for links, error in (([1], TypeError), (b"x", TypeError), ([b"a\r\nX: b"], ValueError)):
            with pytest.raises(error):
                await send({**HINT, "links": links})
        await send(START)
        await send(body(b"a", more_body=True))
        with pytest.raises(RuntimeError):
            await send(HINT)
        await send(BODY)

    assert statuses(await ask(app)) == [200]


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], "the application has returned: no answer has started"),
        ([START], "the application has returned: the answer has started"),
        ([BODY], "http.response.start comes first"),
        ([START, START], "an answer is started once"),
        ([{"type": "http.nonsense"}], "http.nonsense"),
        ([start(200, ("x", "y"))], "the name of a header is bytes"),
        ([start(200, (b"x", b"a\r\nb: c"))], "http.response.start"),
        ([start(200, (b"content-length", b"nine")), BODY], ""),
    ],
    ids=["nothing", "start", "body", "twice", "unknown", "str", "splitting", "length"],
)
async def test_before_anything_has_left_it_is_a_500_logged_once(events, text, caplog) -> None:
    came = await ask(sending(*events))
    assert statuses(came) == [500]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert text in str(record.exc_info[1])


async def test_an_application_that_raises_after_its_start_gets_a_500(caplog) -> None:
    async def app(scope, receive, send):
        await send(START)
        raise KeyError("mine")

    assert statuses(await ask(app)) == [500]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert isinstance(record.exc_info[1], KeyError)


@pytest.mark.parametrize("raises", [True, False])
async def test_an_answer_that_has_begun_is_cut_off(raises, caplog) -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(body(b"part", more_body=True))
        if raises:
            raise KeyError("mine")

    came = await ask(app)
    assert came.endswith(b"4\r\npart\r\n")
    assert len(texts(caplog)) == 1


async def test_more_than_was_declared_is_an_error_and_cuts(caplog) -> None:
    seen = []

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"4")))
        await send(body(b"four", more_body=True))
        try:
            await send(body(b"five!"))
        except ValueError as error:
            seen.append(error)

    assert (await ask(app, GET)).endswith(b"\r\n\r\nfour")
    assert len(seen) == 1


async def test_less_than_was_declared_is_a_warning_and_cuts(caplog) -> None:
    app = sending(start(200, (b"content-length", b"9")), body(b"four", more_body=True), body())
    assert (await ask(app, GET + GET)).endswith(b"\r\n\r\nfour")
    assert len(texts(caplog)) == 1
    assert "too short" in texts(caplog)[0]


async def test_a_wrong_event_changes_nothing() -> None:
    async def app(scope, receive, send):
        with pytest.raises(TypeError):
            await send({"type": "http.response.start", "status": "200"})
        await send({**START, "unknown": "key"})
        with pytest.raises(TypeError):
            await send({"type": "http.response.body", "body": "text"})
        await send(BODY)

    assert statuses(await ask(app)) == [200]


async def test_a_cancelled_send_has_sent_nothing() -> None:
    async def app(scope, receive, send):
        for event in (START, body(b"one", more_body=True)):
            with trio.CancelScope() as scope:
                scope.cancel()
                await send(event)
            assert scope.cancelled_caught
            await send(event)
        await send(body(b""))

    assert (await ask(app)).endswith(b"\r\n\r\n3\r\none\r\n0\r\n\r\n")


# ---- who goes first --------------------------------------------------------------------------


async def test_the_next_request_does_not_wait_for_what_follows_an_answer() -> None:
    done: list[str] = []

    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        if scope["path"] == "/first":
            await go.wait()
            done.append("background")

    go = trio.Event()
    async with served(app) as here:
        await here.client.send(GET.replace(b"/ ", b"/first ") + CLOSING)
        assert statuses(await here.client.read_all()) == [200, 200]
        await here.client.stream.aclose()
        assert done == []
        go.set()
    assert done == ["background"]


async def test_the_client_goes_the_application_is_told_and_cancelled_later(
    autojump_clock, caplog
) -> None:
    seen: list[Any] = []

    async def app(scope, receive, send):
        await receive()
        event = await receive()
        seen.append((trio.current_time() - began, event["type"]))
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time() - began)

    async with served(app, cancel_after=7) as here:
        began = trio.current_time()
        await here.client.send(GET)
        await trio.sleep(2)
        await trio.aclose_forcefully(here.client.stream)
        await trio.sleep(20)
        assert seen == [(2, "http.disconnect"), pytest.approx(9)]
    assert len(texts(caplog)) == 1


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_send_after_the_client_has_gone(version, caplog) -> None:
    seen = []

    async def app(scope, receive, send):
        assert scope["asgi"]["spec_version"] == version
        await receive()
        await receive()
        for event in (START, BODY, BODY):
            try:
                await send(event)
            except ClientDisconnected as error:
                seen.append(event)
                done.set()
                raise error
        done.set()

    done = trio.Event()
    async with served(app, http_spec_version=version) as here:
        await here.client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(here.client.stream)
        await done.wait()
    assert len(seen) == (version == "2.4")
    assert texts(caplog) == []


async def test_an_answer_that_never_ends_is_cancelled_when_the_server_stops(autojump_clock) -> None:
    async def app(scope, receive, send):
        await trio.sleep_forever()

    began = trio.current_time()
    async with served(app, timeouts=Timeouts(grace=3)) as here:
        await here.client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() - began < 5


async def test_what_follows_an_answer_is_bounded_when_the_server_stops(autojump_clock) -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(BODY)
        await trio.sleep_forever()

    async with served(app, cancel_after=4) as here:
        await here.client.send(CLOSING)
        await here.client.read_all()
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(4, abs=0.5)


async def test_too_many_calls_are_answered_with_503() -> None:
    async def app(scope, receive, send):
        await go.wait()
        await send(START)
        await send(BODY)

    go = trio.Event()
    async with served(app, max_calls=1) as here:
        await here.client.send(CLOSING)
        await trio.testing.wait_all_tasks_blocked()
        other = await here.another()
        await other.send(CLOSING)
        assert statuses(await other.read_all()) == [503]
        await other.stream.aclose()
        go.set()
        assert statuses(await here.client.read_all()) == [200]
