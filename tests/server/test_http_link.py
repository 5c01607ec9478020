"""`HttpLink`: when it reads, writes, waits and closes."""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio.testing

from tests.http.wire import phase
from tests.server.helpers import KEY
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import Phase
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.exchange import AnswerPhase, Exchange
from trio_wsendpoint.server.looks import LOOKS

from .http_helpers import GET, both_forms, link_and_client, post, serve, statuses


async def ok(exchange):
    await exchange.respond(Response(200, body=exchange.head.request.path))


@both_forms
async def test_requests_one_after_the_other(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        for path in (b"/a", b"/b"):
            await client.send(GET.replace(b"/ ", path + b" "))
            assert (await client.read_until(path)).startswith(b"HTTP/1.1 200 ")
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b"Connection: close" in await client.read_all()
        await client.stream.aclose()


@both_forms
async def test_pipelined_requests(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(GET * 1000)
        assert statuses(await client.read_all()) == [200] * 1000


async def test_a_request_that_is_here_takes_no_task_switch():
    ran = []

    async def other():
        ran.append("another task")

    async with link_and_client() as (link, client), trio.open_nursery() as nursery:
        await client.send(GET)
        nursery.start_soon(other)
        await ok(Exchange(link, await link.next_request()))
        assert ran == []
        assert statuses(await client.read_until(b"\r\n\r\n/")) == [200]


@both_forms
async def test_an_idle_link_is_closed_in_time(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(GET)
        began = trio.current_time()
        assert statuses(await client.read_all()) == [200]
        assert trio.current_time() - began == 75


@both_forms
async def test_a_head_that_is_late(nonblocking, autojump_clock):
    refused: list[BadRequest] = []
    options = {"timeouts": Timeouts(open=4), "on_refusal": refused.append}
    for data in (b"", b"GET / HT"):
        async with (
            link_and_client(nonblocking, **options) as (link, client),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(serve, link, ok)
            began = trio.current_time()
            await client.send(data)
            assert statuses(await client.read_all()) == [408]
            assert trio.current_time() - began == 4
            await client.stream.aclose()
    assert [error.response.status for error in refused] == [408, 408]


@both_forms
async def test_a_bad_request_is_answered(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        await client.send(b"GET /\r\n\r\n" + b"x" * 50_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, link, ok)
            assert statuses(await client.read_all()) == [400]
            assert phase(link.http) is Phase.LINGERING
            await client.stream.aclose()
        assert phase(link.http) is Phase.CLOSED


@both_forms
@pytest.mark.parametrize("with_nursery", [True, False])
async def test_an_early_answer_arrives(nonblocking, with_nursery, autojump_clock):
    """The client reads nothing before it has sent all."""

    async def too_large(exchange):
        await exchange.respond(Response(413, body=b"x" * 1000))

    async with (
        link_and_client(nonblocking, with_nursery=with_nursery) as (link, client),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve, link, too_large)
        await client.send(post(b"b" * 1_000_000))
        assert statuses(await client.read_all()) == [413]
        await client.stream.aclose()


@both_forms
async def test_the_linger_is_bounded_by_time(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(b"GET /\r\n\r\n")
        began = trio.current_time()
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await client.send(b"x" * 1000)
                await trio.sleep(0.5)
        assert 5 <= trio.current_time() - began <= 6


@both_forms
async def test_the_linger_begins_when_the_answer_has_left(nonblocking, autojump_clock):
    async def large(exchange):
        await exchange.respond(Response(200, {"Connection": "close"}, b"x" * 300_000))

    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, large)
        await client.send(GET)
        size = 0
        while data := await client.stream.receive_some(10_000):
            size += len(data)
            await trio.sleep(0.3)  # 9 s in all
        assert size > 300_000
        await client.stream.aclose()


@both_forms
async def test_a_client_that_takes_nothing(nonblocking, autojump_clock):
    async def large(exchange):
        await exchange.respond(Response(200, body=b"x" * 300_000))

    async with link_and_client(nonblocking, timeouts=Timeouts(write=3)) as (link, client):
        await client.send(GET)
        began = trio.current_time()
        await serve(link, large)
        assert trio.current_time() - began == 3
        assert isinstance(link.lost, ClientGone)


@both_forms
async def test_a_lost_client(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(b"GET / HTTP/1.1\r\n")
        await trio.testing.wait_all_tasks_blocked()
        client.stream.reset()
        nursery.cancel_scope.deadline = trio.current_time() + 1
    assert link.lost is not None
    assert link.stream.is_closed


@both_forms
async def test_an_answer_that_is_cut_off_is_the_last(nonblocking, autojump_clock):
    async with link_and_client(nonblocking, with_nursery=False) as (link, client):
        await client.send(GET)
        exchange = Exchange(link, await link.next_request())
        with trio.move_on_after(1) as scope:
            await exchange.respond(Response(200, body=b"x" * 300_000))
        assert scope.cancelled_caught
        assert isinstance(link.lost, ClientGone)
        with pytest.raises(ClientGone, match="cancelled within an answer"):
            await link.write(lambda: b"more")
        await link.end_with(Response(500))
        await link.aclose()
        assert b"500" not in await client.read_all()


async def test_what_waits_for_its_turn_is_not_made_for_a_lost_client(autojump_clock):
    async with link_and_client() as (link, client), trio.open_nursery() as nursery:
        await client.send(GET)
        exchange = Exchange(link, await link.next_request())
        exchange.start(200)
        await exchange.write(b"x" * 300_000)

        async def finish():
            with pytest.raises(ClientGone):
                await exchange.finish()

        nursery.start_soon(finish)
        await trio.testing.wait_all_tasks_blocked()
        client.stream.reset()
        await link.wait()
    assert exchange.phase is AnswerPhase.BEGUN


@both_forms
async def test_stop_ends_an_idle_link(nonblocking, autojump_clock):
    for first in (b"", GET):
        async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
            nursery.start_soon(serve, link, ok)
            await client.send(first)
            await trio.testing.wait_all_tasks_blocked()
            link.stop()
            with trio.fail_after(1):
                assert statuses(await client.read_all()) == [200] * bool(first)


async def test_a_request_that_came_before_stop_is_answered_after_many_looks_in_vain():
    async with link_and_client() as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        for _ in range(LOOKS + 1):
            await trio.testing.wait_all_tasks_blocked()
            await client.send(GET)
            await client.read_until(b"\r\n\r\n/")
        await trio.testing.wait_all_tasks_blocked()
        await client.send(GET)
        link.stop()
        assert b"Connection: close" in await client.read_all()


@both_forms
async def test_stop_waits_for_a_head_that_has_begun(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(serve, link, ok)
        await client.send(GET[:10])
        await trio.testing.wait_all_tasks_blocked()
        link.stop()
        await trio.sleep(3)
        await client.send(GET[10:])
        assert b"Connection: close" in await client.read_all()
        await client.stream.aclose()


@both_forms
@pytest.mark.parametrize("before", [b"", GET])
async def test_an_opening_switches(nonblocking, before, autojump_clock):
    opening = (
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    async with link_and_client(nonblocking) as (link, client):
        await client.send(before + opening + b"frames")
        head = await link.next_request()
        if before:
            await ok(Exchange(link, head))
            head = await link.next_request()
        assert head.is_opening
        await link.switch(Response(101, {"Upgrade": "websocket", "Connection": "Upgrade"}))
        assert link.trailing == b"frames"
        assert b"HTTP/1.1 101 " in await client.read_until(b"Connection: Upgrade\r\n\r\n")


@both_forms
async def test_cancelled_it_loses_no_byte(nonblocking, autojump_clock):
    async with link_and_client(nonblocking) as (link, client):
        for at in range(0, len(GET), 5):
            await client.send(GET[at : at + 5])
            with trio.move_on_after(1):
                head = await link.next_request()
        assert head.request.path == "/"


async def test_over_tls(server_context, client_context, autojump_clock):
    from trio_wsendpoint.server.lingering import say_and_close
    from trio_wsendpoint.testing import memory_stream_pair
    from trio_wsendpoint.transport.any_tls import over_tls

    for nonblocking in (True, False):
        ends = memory_stream_pair(nonblocking=nonblocking)
        client_tls = over_tls(ends.client, client_context, server_hostname="example.test")
        server_tls = over_tls(ends.server, server_context, server_side=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client_tls.do_handshake)
            await server_tls.do_handshake()
        async with (
            link_and_client(pair=(client_tls, server_tls)) as (link, client),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(serve, link, ok)
            await client.send(GET)
            assert statuses(await client.read_until(b"\r\n\r\n/")) == [200]
            await client.send(post(b"b" * 100_000))
            assert statuses(await client.read_all()) == [200]
            # A client that ends TLS too: Trio's no longer knows then what is below it.
            await say_and_close(client_tls, b"", seconds=1)
        assert ends.server.is_closed
