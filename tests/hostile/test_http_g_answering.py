"""Section G: what takes a handler, a stream, or a server that stops."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from tests.server.helpers import loud, only_error
from tests.server.http_helpers import (
    GET,
    both_forms,
    http_client,
    link_and_client,
    post,
    serve,
    statuses,
)
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.http import BodyTooLarge, HttpLimits, StreamedResponse
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.transport.streams import NonBlockingStream

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class CrossingStream(NonBlockingStream):
    """A socket whose readers are told nothing, though a request has come `at` that time."""

    def __init__(self, at, request=GET):
        self._at = at
        self._request = request
        self.written = b""
        self.is_closed = False

    def receive_nowait(self, max_bytes):
        if trio.current_time() < self._at:
            return None
        request, self._request = self._request, None
        return request

    def send_nowait(self, data):
        self.written += data
        return len(data)

    async def wait_readable(self):
        await trio.sleep_forever()

    async def wait_writable(self):
        raise NotImplementedError

    def interrupt(self):
        raise NotImplementedError

    async def receive_some(self, max_bytes=None):
        return b""  # the end, behind ours

    async def send_all(self, data):
        raise NotImplementedError

    async def wait_send_all_might_not_block(self):
        raise NotImplementedError

    async def aclose(self):
        self.is_closed = True
        await trio.lowlevel.checkpoint()


async def ok(exchange):
    await exchange.respond(Response(200))


async def test_g141_a_request_that_crosses_the_end_of_an_idle_link(autojump_clock):
    stream = CrossingStream(75)
    link = HttpLink(stream, timeouts=Timeouts(open=75))
    await serve(link, ok)
    assert trio.current_time() >= 150  # it was kept, and idle again
    assert statuses(stream.written) == [200]
    assert stream.is_closed


@both_forms
async def test_g141_an_idle_link(nonblocking, caplog, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(GET)
        began = trio.current_time()
        assert statuses(await client.read_all()) == [200]
        assert trio.current_time() - began == 75
    assert loud(caplog) == []


@both_forms
async def test_g158_a_chunked_body_over_the_handlers_limit(nonblocking, caplog, autojump_clock):
    body = b"4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n"

    async def limited(request):
        return Response(200, body=await request.read(5))

    async def catching(request):
        try:
            await request.read(5)
        except BodyTooLarge as error:
            return Response(400, body=f"at most {error.limit}")
        raise AssertionError

    for handler, status in ((limited, 413), (catching, 400)):
        async with http_client(handler, nonblocking) as client:
            await client.send(CHUNKED + body)
            came = await client.read_until(b" 5") if status == 400 else await client.read_all()
            assert statuses(came) == [status]
            assert (b"Connection: close" in came) == (status == 413)
    assert loud(caplog) == []


async def raises(request):
    raise KeyError("secret")


async def returns_a_text(request):
    return "secret"


@both_forms
@pytest.mark.parametrize("handler", [raises, returns_a_text])
async def test_g160_a_handler_that_raises_or_returns_a_wrong_type(
    nonblocking, handler, caplog, autojump_clock
):
    async with http_client(handler, nonblocking) as client:
        await client.send(GET + GET)
        came = await client.read_all()
    assert statuses(came) == [500]
    assert b"Connection: close" in came
    assert b"secret" not in came
    assert only_error(caplog).levelno == logging.ERROR


@both_forms
async def test_g160_a_handler_that_never_returns(nonblocking, caplog, autojump_clock):
    async def never(request):
        await trio.sleep_forever()

    async with http_client(never, nonblocking, http=HttpLimits(handler=5)) as client:
        await client.send(GET)
        came = await client.read_all()
    assert (statuses(came), trio.current_time()) == ([503], 5)
    assert b"Connection: close" in came
    assert only_error(caplog).levelno == logging.WARNING


@both_forms
async def test_g160_a_handler_whose_answer_has_begun(nonblocking, caplog, autojump_clock):
    async def broken():
        yield b"abc"
        raise KeyError

    async def stream(request):
        return StreamedResponse(200, body=broken())

    async with http_client(stream, nonblocking) as client:
        await client.send(GET)
        came = await client.read_all()
    assert statuses(came) == [200]
    assert came.endswith(b"\r\n\r\n3\r\nabc\r\n")  # no last chunk
    assert only_error(caplog).levelno == logging.ERROR


@both_forms
async def test_g166_a_reset_while_the_handler_works(nonblocking, caplog, autojump_clock):
    ended = trio.Event()

    async def wait(request):
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    caplog.set_level(logging.DEBUG, logger="trio_wsendpoint")
    async with http_client(wait, nonblocking) as client:
        await client.send(GET)
        await trio.sleep(1)
        client.stream.reset()
        with trio.fail_after(1):
            await ended.wait()
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


@both_forms
async def test_g166_a_reader_that_stops(nonblocking, caplog, autojump_clock):
    pulled = 0

    async def endless():
        nonlocal pulled
        while True:
            pulled += 1024
            yield b"x" * 1024

    async def stream(request):
        return StreamedResponse(200, body=endless())

    async with http_client(stream, nonblocking, timeouts=Timeouts(write=4)) as client:
        await client.send(GET)
        while client.link.lost is None:
            await trio.sleep(0.5)
        assert 4 <= trio.current_time() <= 5
        assert pulled <= 65536 + 65536  # what the network holds, and what was pulled ahead
    assert loud(caplog) == []


# ---- a server that stops -------------------------------------------------------------------------


@both_forms
async def test_g167_idle(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(GET)
        await trio.sleep(1)
        link.stop()
        with trio.fail_after(1):
            assert statuses(await client.read_all()) == [200]


async def test_g167_a_request_that_crosses_the_end(autojump_clock):
    stream = CrossingStream(5)
    link = HttpLink(stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await trio.sleep(5)
        link.stop()
    assert statuses(stream.written) == [200]
    assert b"Connection: close" in stream.written


@both_forms
async def test_g167_a_head_half_read_has_its_time(nonblocking, autojump_clock):
    for is_completed in (True, False):
        async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(serve, link, ok)
            await client.send(GET[:9])
            await trio.sleep(4)
            link.stop()
            await trio.sleep(4)
            if is_completed:
                await client.send(GET[9:])
            came = await client.read_all()
            assert statuses(came) == [200 if is_completed else 408]
            assert b"Connection: close" in came
            assert trio.current_time() - began == (8 if is_completed else 10)
            await client.stream.aclose()


@both_forms
async def test_g167_in_work_and_streaming(nonblocking, autojump_clock):
    async def slow():
        yield b"a"
        await trio.sleep(10)
        yield b"b"

    async def handler(request):
        await trio.sleep(5)
        return StreamedResponse(200, body=slow()) if request.path == "/s" else Response(200)

    for path, end in ((b"/", b"close\r\n\r\n"), (b"/s", b"b\r\n0\r\n\r\n")):
        async with http_client(handler, nonblocking) as client:
            await client.send(GET.replace(b"/ ", path + b" ", 1))
            await trio.sleep(1)
            client.link.stop()
            came = await client.read_all()
            assert came.endswith(end)
            assert b"Connection: close" in came


@both_forms
async def test_g167_a_body_that_still_comes(nonblocking, autojump_clock):
    async def handler(request):
        return Response(200, body=await request.read())

    async with http_client(handler, nonblocking) as client:
        await client.send(post(b"abc")[:-1])
        await trio.sleep(1)
        client.link.stop()
        await client.send(b"c")
        assert (await client.read_all()).endswith(b"\r\n\r\nabc")
