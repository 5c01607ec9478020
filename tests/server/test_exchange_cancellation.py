"""Cancellation, Ctrl-C and broken streams at every checkpoint of an exchange."""

from __future__ import annotations

import contextlib

import pytest
import trio

from trio_wsendpoint.handshake import Response
from trio_wsendpoint.http import StreamedResponse
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint

from .http_helpers import GET, LOGGER, PEER, post

BODY = b"b" * 100_000
REQUESTS = GET + post(BODY) + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def pieces(body):
    for at in range(0, len(body), 30_000):
        yield body[at : at + 30_000]
        await trio.lowlevel.checkpoint()


async def echo(request):
    if request.method == "GET":
        return Response(200, body="got")
    return StreamedResponse(200, body=pieces(await request.read()))


async def talk(stream):
    """What a client gets that sends three requests at once."""
    came = b""

    async def send():
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(REQUESTS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while more := await stream.receive_some(5000):
                came += more
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)
    return came


async def serve(stream, nursery):
    link = HttpLink(stream, nursery=nursery)
    try:
        while (head := await link.next_request()) is not None:
            await answer_request(HttpRequest(Exchange(link, head), peer=PEER), echo, logger=LOGGER)
    finally:
        with trio.CancelScope(shield=True):
            await link.aclose()


async def scenario(run: Run) -> None:
    """A server answers a client; the server's task is struck."""
    ends = run.network.pair(client=run.faults(20_000), server=run.faults(20_000))
    came = []

    async def client():
        came.append(await talk(ends.client))

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            end = await run.victim(serve, ends.server, nursery)
            with trio.move_on_after(100):
                while len(came) == 0:
                    await trio.sleep(1)
            assert came
    assert not scope.cancelled_caught
    if end.is_complete and run.injection.kind in {"cancel", "interrupt"}:
        assert came[0].count(b"HTTP/1.1 200 OK") == 3
        assert came[0].endswith(b"got")


@pytest.mark.parametrize("nonblocking", [True, False])
def test_a_server_is_struck(nonblocking: bool) -> None:
    report = cancel_at_every_checkpoint(
        scenario,
        seeds=range(2),
        inject=("cancel", "interrupt", "client error", "server error"),
        nonblocking=nonblocking,
    )
    assert not report.failures
    assert report.runs > 50


async def reading_and_writing(run: Run) -> None:
    """A writer is cancelled, and goes on: each piece is written once, or not at all."""
    ends = run.network.pair(capacity=1000)
    came = bytearray()
    written: list[bytes] = []

    async def client():
        with contextlib.suppress(trio.BrokenResourceError):
            await ends.client.send_all(GET)
            while more := await ends.client.receive_some(700):
                came.extend(more)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        link = HttpLink(ends.server, nursery=nursery)
        head = await link.next_request()
        assert head is not None
        exchange = Exchange(link, head)
        nursery.start_soon(exchange.wait_gone)

        async def write(piece: bytes) -> None:
            await exchange.write(piece)
            written.append(piece)

        async def write_all() -> None:
            exchange.start(200, length=None, headers={"Connection": "close"})
            for number in range(4):
                await write(b"%d" % number * 3000)

        await run.victim(write_all)
        with trio.CancelScope(shield=True):
            if exchange.phase.value == "begun":
                await exchange.finish()
                assert await link.next_request() is None
            else:
                await link.aclose()
        nursery.cancel_scope.cancel()
    await ends.client.aclose()
    for piece in written:
        assert came.count(b"bb8\r\n" + piece + b"\r\n") == 1
    assert came.count(b"bb8\r\n") == len(written)


@pytest.mark.parametrize("nonblocking", [True, False])
def test_a_writer_is_struck(nonblocking: bool) -> None:
    report = cancel_at_every_checkpoint(
        reading_and_writing, seeds=range(4), inject=("cancel",), nonblocking=nonblocking
    )
    assert not report.failures
