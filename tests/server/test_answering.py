"""`answer_request`: whatever a handler does, its exchange ends well."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from trio_wsendpoint.errors import PeerTooSlow
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.http import (
    BodyTooLarge,
    HttpLimits,
    StreamedResponse,
    Unauthorized,
    basic_auth,
)
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_request import HttpRequest

from .helpers import loud, only_error
from .http_helpers import (
    CONTINUE,
    GET,
    LOGGER,
    PEER,
    both_forms,
    http_client,
    link_and_client,
    post,
    statuses,
)

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


@pytest.fixture(autouse=True)
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG, logger="trio_wsendpoint")


async def echo(request):
    return Response(200, {"Content-Type": "text/x"}, await request.read())


async def pieces(*data, closed=None):
    try:
        for piece in data:
            yield piece
    finally:
        if closed is not None:
            closed.append(True)


# ---- what a handler is given ---------------------------------------------------------------------


@both_forms
async def test_a_request(nonblocking, autojump_clock):
    seen = []

    async def look(request):
        seen.append(request)
        request.state.user = "me"
        return Response(204)

    async with http_client(look, nonblocking) as client:
        await client.send(b"PUT /a%20b?c=d HTTP/1.0\r\nHost: x\r\n\r\n")
        assert statuses(await client.read_all()) == [204]
    [request] = seen
    assert (request.method, request.http_version, request.host) == ("PUT", "1.0", "x")
    assert (request.peer, request.local, request.state.user) == (PEER, None, "me")
    assert repr(request).startswith("<HttpRequest 'PUT' '/a")
    assert "c=d" not in repr(request)
    assert request != seen
    assert len({request, request}) == 1


@both_forms
async def test_bodies(nonblocking, autojump_clock):
    async with http_client(echo, nonblocking) as client:
        for request, body in (
            (GET, b""),
            (post(b"abc"), b"abc"),
            (CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
            (post(b"x" * 200_000), b"x" * 200_000),
        ):
            await client.send(request)
            came = await client.read_until(b"\r\n\r\n" + body)
            assert statuses(came) == [200]
            assert b"Content-Length: %d\r\n" % len(body) in came


@both_forms
@pytest.mark.parametrize("data", [post(b"abcdef"), CHUNKED + b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"])
async def test_a_limit_of_its_own(nonblocking, data, caplog, autojump_clock):
    async def limited(request):
        return Response(200, body=await request.read(5))

    failures: list[Exception | None] = []
    async with http_client(limited, nonblocking, failures=failures) as client:
        await client.send(data)
        came = await client.read_all()
        assert statuses(came) == [413]
        assert b"Connection: close" in came
    assert failures == [None]
    assert loud(caplog) == []


async def test_a_limit_that_is_kept(autojump_clock):
    async def limited(request):
        return Response(200, body=await request.read(6))

    async with http_client(limited) as client:
        for data in (post(b"abcdef"), CHUNKED + b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"):
            await client.send(data)
            assert statuses(await client.read_until(b"abcdef")) == [200]


async def test_no_100_for_a_body_over_the_limit(autojump_clock):
    async def limited(request):
        return Response(200, body=await request.read(5))

    async with http_client(limited) as client:
        await client.send(post(b"abcdef", "Expect: 100-continue")[:-6])
        came = await client.read_all()
        assert CONTINUE not in came
        assert statuses(came) == [413]


async def test_an_error_of_the_body_that_is_caught(autojump_clock):
    async def limited(request):
        try:
            await request.read(5)
        except BodyTooLarge:
            return Response(200, body="never mind")

    async with http_client(limited) as client:
        await client.send(post(b"abcdef"))
        assert statuses(await client.read_until(b"never mind")) == [200]


@both_forms
async def test_what_is_wrong_with_a_body_is_answered(nonblocking, caplog, autojump_clock):
    for data, status in ((CHUNKED + b"x\r\n", 400), (CHUNKED + b"99\r\n", 413)):
        async with http_client(echo, nonblocking, http=HttpLimits(body_size=50)) as client:
            await client.send(data)
            came = await client.read_all()
            assert statuses(came) == [status]
            assert b"Connection: close" in came
    assert loud(caplog) == []


async def test_an_error_in_a_group_of_the_handlers_nursery(autojump_clock):
    async def grouped(request):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.read, 5)
            await trio.sleep(1)
        return Response(200)

    async with http_client(grouped) as client:
        await client.send(post(b"abcdef"))
        assert statuses(await client.read_all()) == [413]


async def test_an_authentication_that_fails(caplog, autojump_clock):
    check = basic_auth({"me": "secret"})

    async def guarded(request):
        return Response(200, body=await check(request))

    async with http_client(guarded) as client:
        await client.send(GET)
        came = await client.read_until(b"required\n")
        assert statuses(came) == [401]
        assert b"close" not in came
        await client.send(
            GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic bWU6c2VjcmV0\r\n\r\n")
        )
        assert (await client.read_until(b"me")).startswith(b"HTTP/1.1 200 ")
    assert loud(caplog) == []


# ---- handlers that fail --------------------------------------------------------------------------


async def raises(request):
    raise RuntimeError("a secret")


async def returns_text(request):
    return "a secret"


async def returns_nothing(request):
    pass


async def returns_101(request):
    return Response(101)


async def declares_more(request):
    return Response(200, {"Content-Length": "9"}, b"abc")


def plain(request):
    return Response(200)


@both_forms
@pytest.mark.parametrize(
    "handler", [raises, returns_text, returns_nothing, returns_101, declares_more, plain]
)
async def test_a_handler_that_fails(nonblocking, handler, caplog, autojump_clock):
    failures: list[Exception] = []
    async with http_client(handler, nonblocking, failures=failures) as client:
        await client.send(GET.replace(b"/ ", b"/%1b?secret "))
        came = await client.read_all()
    assert statuses(came) == [500]
    assert b"Connection: close" in came
    assert b"secret" not in came
    record = only_error(caplog)
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "the HTTP handler failed for 'GET' '/%1b'"
    assert [record.exc_info[1]] == failures
    assert "a secret" not in str(failures[0]) or handler is raises


@both_forms
async def test_a_handler_that_never_returns(nonblocking, caplog, autojump_clock):
    async def never(request):
        await trio.sleep_forever()

    async with http_client(never, nonblocking, http=HttpLimits(handler=7)) as client:
        began = trio.current_time()
        await client.send(GET)
        came = await client.read_all()
        assert trio.current_time() - began == 7
    assert statuses(came) == [503]
    assert b"Connection: close" in came
    [record] = loud(caplog)
    assert record.levelno == logging.WARNING


async def test_a_slow_answer_that_has_begun_in_time(autojump_clock):
    async def slowly():
        yield b"a"
        await trio.sleep(100)
        yield b"b"

    async def stream(request):
        return StreamedResponse(200, body=slowly())

    async with http_client(stream, http=HttpLimits(handler=7)) as client:
        await client.send(GET)
        await client.read_until(b"1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize("piece", ["text", None])
@both_forms
async def test_an_iterator_that_fails(nonblocking, piece, caplog, autojump_clock):
    """The client sees that the answer is cut: there is no last chunk."""
    closed: list[bool] = []

    async def stream(request):
        return StreamedResponse(200, body=pieces(b"abc", piece, closed=closed))

    async with http_client(stream, nonblocking) as client:
        await client.send(GET)
        assert (await client.read_all()).endswith(b"3\r\nabc\r\n")
    assert closed == [True]
    assert only_error(caplog).exc_info[0] is TypeError


@pytest.mark.parametrize("body", [(b"ab",), (b"ab", b"cd"), ()])
async def test_an_iterator_of_another_length(body, caplog, autojump_clock):
    async def stream(request):
        return StreamedResponse(200, {"Content-Length": "3"}, body=pieces(*body))

    async with http_client(stream) as client:
        await client.send(GET)
        head, _, came = (await client.read_all()).partition(b"\r\n\r\n")
        assert b"Content-Length: 3" in head
        assert len(came) < 3
    assert only_error(caplog)


async def test_the_caller_may_log(caplog, autojump_clock):
    async with link_and_client() as (link, client):
        await client.send(GET)
        request = HttpRequest(Exchange(link, await link.next_request()), peer=PEER)
        error = await answer_request(request, raises, logger=LOGGER, log_errors=False)
    assert isinstance(error, RuntimeError)
    assert loud(caplog) == []


@both_forms
async def test_a_handler_that_answers_through_the_exchange(nonblocking, autojump_clock):
    async def raw(request):
        request.exchange.start(200)
        await request.exchange.finish(b"raw")

    async with http_client(raw, nonblocking) as client:
        for _ in range(2):
            await client.send(GET)
            assert statuses(await client.read_until(b"raw\r\n0\r\n\r\n")) == [200]


# ---- streamed answers ----------------------------------------------------------------------------


def without_date(head: bytes) -> list[bytes]:
    """The lines of a head but its Date, which may be a second later."""
    return [line for line in head.splitlines() if line and b"Date: " not in line]


@both_forms
async def test_a_streamed_answer(nonblocking, autojump_clock):
    closed: list[bool] = []

    async def stream(request):
        return StreamedResponse(
            200, {"Content-Type": "text/x"}, body=pieces(b"abc", b"", b"d", closed=closed)
        )

    async with http_client(stream, nonblocking) as client:
        await client.send(GET)
        came = await client.read_until(b"0\r\n\r\n")
        assert came.endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
        await client.send(HEAD)
        head = await client.read_until(b"\r\n\r\n")
        assert without_date(head) == without_date(came.partition(b"\r\n\r\n")[0])
        await client.send(GET.replace(b"1.1", b"1.0"))
        assert (await client.read_all()).endswith(b"\r\n\r\nabcd")
    assert closed == [True, True]  # an unread generator has not begun


async def test_an_iterator_is_closed_unread():
    class Body:
        is_closed = False

        def __aiter__(self):
            raise AssertionError("nothing is to be read")

        async def aclose(self):
            self.is_closed = True

    bodies = []

    async def stream(request):
        bodies.append(Body())
        return StreamedResponse(304 if request.method == "GET" else 200, body=bodies[-1])

    async with http_client(stream) as client:
        for request in (HEAD, GET):
            await client.send(request)
            await client.read_until(b"\r\n\r\n")
    assert [body.is_closed for body in bodies] == [True, True]


@both_forms
async def test_the_head_of_a_streamed_answer_does_not_wait(nonblocking, autojump_clock):
    async def waiting():
        await trio.sleep(50)
        yield b"data"

    async def stream(request):
        return StreamedResponse(200, body=waiting())

    async with http_client(stream, nonblocking) as client:
        await client.send(GET)
        with trio.fail_after(1):
            await client.read_until(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((101, {}, pieces()), ValueError),
        ((200, {"A": "\n"}, pieces()), ValueError),
        ((200, {}, [b"abc"]), TypeError),
        (("200", {}, pieces()), TypeError),
    ],
)
def test_a_streamed_response_that_cannot_be(arguments, error):
    status, headers, body = arguments
    with pytest.raises(error):
        StreamedResponse(status, headers, body=body)


# ---- clients that go -----------------------------------------------------------------------------


@both_forms
@pytest.mark.parametrize("with_heartbeat", [True, False])
async def test_a_reset_cancels_the_handler(nonblocking, with_heartbeat, caplog, autojump_clock):
    ended = []

    async def wait(request):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with http_client(wait, nonblocking, with_heartbeat=with_heartbeat) as client:
        await client.send(GET)
        await trio.sleep(5)
        client.stream.reset()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [trio.current_time()]
    assert loud(caplog) == []


@both_forms
async def test_an_end_behind_the_request_does_not(nonblocking, autojump_clock):
    async def slow(request):
        await trio.sleep(5)
        return Response(200, body="slow")

    async with http_client(slow, nonblocking) as client:
        await client.send(GET)
        await client.stream.send_eof()
        assert (await client.read_all()).endswith(b"slow")


@both_forms
async def test_a_client_that_stops_reading(nonblocking, caplog, autojump_clock):
    pulled = []

    async def endless():
        while True:
            pulled.append(trio.current_time())
            yield b"x" * 16384

    async def stream(request):
        return StreamedResponse(200, body=endless())

    async with http_client(stream, nonblocking, timeouts=Timeouts(write=3)) as client:
        await client.send(GET)
        await trio.sleep(2)
        assert len(pulled) * 16384 <= 65536 + 65536  # the network's, and ours ahead of it
        assert not client.link.is_gone
        await trio.sleep(2)
        assert isinstance(client.link.lost.__cause__, PeerTooSlow)
    assert loud(caplog) == []


@both_forms
async def test_pipelined_requests_wait_for_the_first(nonblocking, autojump_clock):
    at_work = 0

    async def one(request):
        nonlocal at_work
        at_work += 1
        assert at_work == 1
        await trio.sleep(1)
        at_work -= 1
        return Response(200)

    async with http_client(one, nonblocking) as client:
        await client.send(GET * 300)  # more than Limits.pipelined bytes
        came = b""
        while came.count(b"HTTP/1.1 200 ") < 300:
            came += await client.read_until(b"\r\n\r\n")


@both_forms
async def test_an_early_answer_to_a_large_body(nonblocking, autojump_clock):
    async def refuse(request):
        return Response(413, body="too large\n")

    for _ in range(40):
        async with http_client(refuse, nonblocking) as client:
            await client.send(post(b"x" * 1_000_000))
            assert statuses(await client.read_all()) == [413]


async def test_without_a_nursery(autojump_clock):
    async with http_client(echo, with_nursery=False) as client:
        for _ in range(2):
            await client.send(post(b"abc"))
            await client.read_until(b"\r\n\r\nabc")


async def test_an_iterator_that_cannot_be_closed(autojump_clock):
    class Body:
        def __init__(self):
            self.left = 2

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return b"abc"

    async def stream(request):
        return StreamedResponse(200, body=Body())

    async with http_client(stream) as client:
        await client.send(GET)
        await client.read_until(b"3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n")


@both_forms
async def test_a_bad_request_once_the_answer_has_begun(nonblocking, caplog, autojump_clock):
    """Of the request's own body, and of the handler's: the answer is cut."""

    async def own(request):
        yield b"abc"
        await request.read(1)

    async def others():
        yield b"abc"
        raise Unauthorized("no", "Basic")

    async def stream(request):
        body = own(request) if request.method == "POST" else others()
        return StreamedResponse(200, body=body)

    for data in (GET, post(b"abc")):
        async with http_client(stream, nonblocking) as client:
            await client.send(data)
            assert (await client.read_all()).endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert loud(caplog) == []


@both_forms
async def test_a_failure_that_cannot_be_told(nonblocking, caplog, autojump_clock):
    async def fails(request):
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        raise RuntimeError

    async with http_client(fails, nonblocking, with_heartbeat=False) as client:
        await client.send(GET)
        await trio.sleep(0.5)
        client.stream.reset()
        await trio.sleep(1)
        assert client.link.is_gone
    assert only_error(caplog)


async def test_an_unnamed_stream_failure(caplog, autojump_clock):
    """A stream that raises what no stream should loses this connection alone."""

    async def large(request):
        return Response(200, body=b"x" * 300_000)

    async with http_client(large) as client:
        await client.send(GET)
        await trio.testing.wait_all_tasks_blocked()
        client.stream.fail(OSError("odd"))
        await trio.testing.wait_all_tasks_blocked()
        assert client.link.is_gone
