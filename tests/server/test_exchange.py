"""`Exchange`: one request and its answer, read and written by one task or two."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_wsendpoint.handshake import Response
from trio_wsendpoint.http import (
    BodyCutShort,
    BodyMismatch,
    BodyTooLarge,
    HttpLimits,
    OutOfTime,
    WrongOrder,
)
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.exchange import AnswerPhase, Exchange

from .http_helpers import CONTINUE, GET, both_forms, fixed_date, link_and_client, post

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def asked(link, client, data=GET):
    """The exchange of the request `data`."""
    await client.send(data)
    head = await link.next_request()
    assert head is not None
    return Exchange(link, head)


async def body_of(exchange):
    body = b""
    while data := await exchange.read_some():
        body += data
    return body


def told(exchange):
    return exchange.status, exchange.size


@both_forms
async def test_a_body_and_a_streamed_answer(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client, post(b"abc"))
        assert await body_of(exchange) == b"abc"
        assert await exchange.read_some() == b""
        assert exchange.is_body_read
        exchange.start(200)
        assert exchange.status is None
        await exchange.write(b"one")
        await exchange.write(b"")
        await exchange.finish(b"two")
        assert exchange.phase is AnswerPhase.COMPLETE
        assert told(exchange) == (200, 6)
        came = await client.read_until(b"0\r\n\r\n")
        assert came.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@both_forms
async def test_a_body_comes_while_the_answer_leaves(nonblocking, autojump_clock):
    """Each waits for the other: an echo of 1 MB whose client reads as it sends."""
    size = 1_000_000
    async with link_and_client(nonblocking, http=HttpLimits(drain=size)) as (link, client):
        exchange = await asked(link, client, post(b"b" * size)[:1000])
        exchange.start(200, length=size)

        async def echo():
            while data := await exchange.read_some():
                await exchange.write(data)
            await exchange.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            nursery.start_soon(client.send, post(b"b" * size)[1000:])
            came = await client.read_until(b"b" * size)
        assert came.endswith(b"\r\n\r\n" + b"b" * size)


@both_forms
async def test_the_head_is_held_until_something_is_written(nonblocking, autojump_clock):
    async with link_and_client(nonblocking, date=fixed_date()) as (link, client):
        exchange = await asked(link, client)
        exchange.start(200, {"X": "y"}, length=3)
        await exchange.refuse(OutOfTime(503, "instead"))
        assert told(exchange) == (503, 8)
        assert (await client.read_until(b"instead\n")).startswith(b"HTTP/1.1 503 ")
    async with link_and_client(nonblocking, date=fixed_date()) as (link, client):
        exchange = await asked(link, client)
        exchange.start(200, {"X": "y"}, length=3)
        await exchange.write(b"")
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\nX: y\r\n")


@both_forms
async def test_the_order_of_an_answer(nonblocking):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client)
        for step in (exchange.write, exchange.finish):
            with pytest.raises(WrongOrder, match="not started"):
                await step(b"")
        with pytest.raises(ValueError, match="no final one"):
            exchange.start(101)
        with pytest.raises(ValueError, match="header"):
            exchange.start(200, {"A": "b\r\nc"})
        exchange.start(200, length=1)
        with pytest.raises(WrongOrder):
            exchange.start(200)
        with pytest.raises(WrongOrder):
            await exchange.respond(Response(200))
        with pytest.raises(TypeError):
            await exchange.write("text")
        await exchange.finish(b"x")
        for step in (exchange.write, exchange.finish):
            with pytest.raises(WrongOrder, match="complete"):
                await step(b"")
        with pytest.raises(WrongOrder):
            await exchange.read_some()


@both_forms
async def test_a_body_shorter_or_longer_than_declared(nonblocking, autojump_clock):
    for data in (b"ab", b"abcd"):
        async with link_and_client(nonblocking) as (link, client):
            exchange = await asked(link, client)
            exchange.start(200, length=3)
            with pytest.raises(BodyMismatch):
                await exchange.finish(data)
            exchange.abort()
            assert await link.next_request() is None
            await client.read_all()


@both_forms
async def test_100_is_sent_when_the_body_is_asked_for(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        request = post(b"abc", "Expect: 100-continue")
        exchange = await asked(link, client, request[:-3])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.read_some)
            assert await client.read_until(CONTINUE) == CONTINUE
            await client.send(b"abc")


@both_forms
async def test_what_is_wrong_with_a_body(nonblocking, autojump_clock):
    for data, error in (
        (CHUNKED + b"6\r\n", BodyTooLarge),
        (CHUNKED + b"3\r\nab", BodyCutShort),
        (post(b"abc")[:-1], BodyCutShort),
    ):
        async with link_and_client(nonblocking, http=HttpLimits(body_size=5)) as (link, client):
            exchange = await asked(link, client, data)
            await client.stream.send_eof()
            with pytest.raises(error) as caught:
                await body_of(exchange)
            assert exchange.is_own(caught.value)
            assert not exchange.is_own(BodyTooLarge(5))
            with pytest.raises(error):
                await exchange.read_some()
            await exchange.refuse(caught.value)
            assert await link.next_request() is None
            status = b"HTTP/1.1 %d " % caught.value.response.status
            assert (await client.read_all()).startswith(status)


@both_forms
async def test_a_body_that_is_late(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client, post(b"abc")[:-1])
        assert await exchange.read_some() == b"ab"
        began = trio.current_time()
        with pytest.raises(OutOfTime) as caught:
            await exchange.read_some()
        assert caught.value.response.status == 408
        assert 10 <= trio.current_time() - began <= 10.1


async def test_a_body_is_read_without_waiting():
    async with link_and_client() as (link, client):
        exchange = await asked(link, client, post(b"abc", "Expect: 100-continue")[:-3])
        with trio.testing.assert_no_checkpoints():
            assert exchange.read_nowait() is None
            client.stream.send_nowait(b"ab")
            assert exchange.read_nowait() == b"ab"
            assert not exchange.is_body_read
            client.stream.send_nowait(b"c")
            assert exchange.read_nowait() == b"c"
            assert exchange.read_nowait() == b""
        assert exchange.is_body_read
        await exchange.respond(Response(200))
        assert CONTINUE not in await client.read_until(b"\r\n\r\n")


# ---- the client's end ----------------------------------------------------------------------------


@both_forms
@pytest.mark.parametrize("how", ["send_eof", "reset"])
async def test_the_end_is_waited_for_by_two_tasks(nonblocking, how, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client, GET)
        assert not exchange.is_gone()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.wait_gone)
            nursery.start_soon(exchange.wait_gone)
            await trio.testing.wait_all_tasks_blocked()
            await client.send(GET)  # a pipelined request is no end
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 2
            step = getattr(client.stream, how)()
            if step is not None:
                await step
        assert exchange.is_gone()
        assert (link.lost is not None) == (how == "reset")


async def test_the_end_is_seen_without_waiting():
    async with link_and_client() as (link, client):
        exchange = await asked(link, client)
        with trio.testing.assert_no_checkpoints():
            assert not exchange.is_gone()
        await client.stream.send_eof()
        with trio.CancelScope() as scope:  # as Starlette asks
            scope.cancel()
            assert exchange.is_gone()
        await exchange.respond(Response(200))
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@both_forms
async def test_a_reader_goes_on_when_another_task_has_taken_the_bytes(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client, post(b"abc")[:-3])
        got = []

        async def read():
            got.append(await exchange.read_some())

        async with trio.open_nursery() as nursery:
            for first, second in ((exchange.wait_gone, read),):
                nursery.start_soon(first)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(second)
                await trio.testing.wait_all_tasks_blocked()
            await client.send(b"abc")
            await trio.testing.wait_all_tasks_blocked()
            assert got == [b"abc"]
            await exchange.respond(Response(200))  # ends the wait for the client's end


async def test_a_reader_goes_on_when_the_bytes_were_found_without_waiting(autojump_clock):
    async with link_and_client() as (link, client):
        exchange = await asked(link, client, post(b"abc")[:-3])
        got = []

        async def read():
            got.append(await exchange.read_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            client.stream.send_nowait(b"abc")
            assert not exchange.is_gone()
            await trio.testing.wait_all_tasks_blocked()
            assert got == [b"abc"]


@both_forms
async def test_a_task_that_waits_for_the_end_lets_the_next_request_be_read(
    nonblocking, autojump_clock
):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        exchange = await asked(link, client)
        nursery.start_soon(exchange.wait_gone)
        await trio.testing.wait_all_tasks_blocked()
        await exchange.respond(Response(200))
        with trio.fail_after(1):
            exchange = await asked(link, client)
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks


@both_forms
async def test_a_lost_client_is_told_to_reader_and_writer(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client, post(b"abc")[:-1])
        client.stream.reset()
        with pytest.raises(ClientGone) as caught:
            await body_of(exchange)
        assert exchange.is_own(caught.value)
        exchange.start(200)
        with pytest.raises(ClientGone):
            await exchange.write(b"")
        assert await link.next_request() is None


# ---- writing -------------------------------------------------------------------------------------


@both_forms
async def test_a_cancelled_write_has_written_nothing(nonblocking, autojump_clock):
    piece = b"x" * 100_000
    async with link_and_client(nonblocking) as (link, client):
        exchange = await asked(link, client)
        exchange.start(200)
        written = 0
        for _ in range(6):
            with trio.move_on_after(1) as scope:
                await exchange.write(piece)
                written += 1
            if scope.cancelled_caught:
                client.came += await client.stream.receive_some(30_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.finish)
            came = await client.read_until(b"\r\n0\r\n\r\n")
        assert 1 < written < 6
        assert came.count(b"\r\n186a0\r\n") == written


@both_forms
async def test_a_writer_waits_for_a_slow_client(nonblocking, autojump_clock):
    async with link_and_client(nonblocking, timeouts=Timeouts(write=2)) as (link, client):
        exchange = await asked(link, client)
        exchange.start(200, length=1_000_000)
        pulled = 0

        async def stream():
            nonlocal pulled
            for _ in range(100):
                pulled += 10_000
                await exchange.write(b"x" * 10_000)
            await exchange.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream)
            read = 0
            while read < 1_000_000:
                await trio.sleep(0.1)
                await trio.testing.wait_all_tasks_blocked()
                assert pulled - read <= 2 * 65536 + 20_000  # the network's, and ours
                read += len(await client.stream.receive_some(20_000))
