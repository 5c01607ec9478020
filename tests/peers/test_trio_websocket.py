"""Against `trio-websocket`, both ways, natively in Trio."""

from __future__ import annotations

import gc
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from trio_wsendpoint import (
    ConnectionClosed,
    HandshakeRefused,
    Limits,
    Response,
    connect_endpoint,
    serve_endpoint,
)

pytestmark = [
    pytest.mark.peer,
    # Its client lets go of its socket unclosed when the server was the one to close or refuse.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

peer = pytest.importorskip("trio_websocket")

MIB = 1024 * 1024
MESSAGES: list[str | bytes] = ["text", "ž" * 100, "", b"binary", b"", b"x" * MIB]
MESSAGES += [bytes(size) for size in (125, 126, 127, 65535, 65536)]


@pytest.fixture(autouse=True)
def collected():
    """Let the socket go here, not in somebody else's test."""
    yield
    gc.collect()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def ours(handler=echo, **options):
    async with serve_endpoint(handler, 0, host="127.0.0.1", **options) as server:
        with trio.fail_after(60):
            yield server.urls[0]


@asynccontextmanager
async def theirs(handler):
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(peer.serve_websocket, handler, "127.0.0.1", 0, ssl_context=None)
            )
            yield f"ws://127.0.0.1:{server.port}/"
            nursery.cancel_scope.cancel()


async def echo_theirs(request):
    websocket = await request.accept()
    try:
        while True:
            await websocket.send_message(await websocket.get_message())
    except peer.ConnectionClosed:
        pass


async def test_their_client_echoes():
    async with ours() as url, peer.open_websocket_url(url) as websocket:
        for message in MESSAGES:
            await websocket.send_message(message)
            assert await websocket.get_message() == message
        await websocket.ping(b"payload")
        await websocket.pong(b"unasked")
        await websocket.send_message("still here")
        assert await websocket.get_message() == "still here"


async def test_our_server_sends_them_fragments_and_pings():
    times = []

    async def handler(connection):
        await connection.send("x" * 1000)
        times.append(await connection.ping())
        await connection.receive()

    async with (
        ours(handler, limits=Limits(fragment_size=10)) as url,
        peer.open_websocket_url(url) as websocket,
    ):
        assert await websocket.get_message() == "x" * 1000
        while not times:
            await trio.sleep(0.001)
        await websocket.send_message("done")


async def test_subprotocols_with_their_client():
    async with (
        ours(subprotocols=["a", "b"]) as url,
        peer.open_websocket_url(url, subprotocols=["b", "a"]) as websocket,
    ):
        assert websocket.subprotocol == "b"


async def test_their_client_closes():
    ends = []

    async def handler(connection):
        with pytest.raises(ConnectionClosed) as caught:
            await connection.receive()
        ends.append((caught.value.code, caught.value.reason))

    async with ours(handler) as url:
        async with peer.open_websocket_url(url) as websocket:
            await websocket.aclose(4000, "bye")
        while not ends:
            await trio.sleep(0.001)
    assert ends == [(4000, "bye")]


async def test_our_server_closes():
    async def handler(connection):
        await connection.aclose(4001, "that is all")

    async with ours(handler) as url, peer.open_websocket_url(url) as websocket:
        with pytest.raises(peer.ConnectionClosed):
            await websocket.get_message()
        assert (websocket.closed.code, websocket.closed.reason) == (4001, "that is all")


async def test_both_close_at_once():
    async def handler(connection):
        await connection.receive()
        await connection.aclose(4001)

    async with ours(handler) as url:
        for _ in range(20):
            async with peer.open_websocket_url(url) as websocket:
                await websocket.send_message("go")
                await websocket.aclose(4002)


async def test_their_client_is_refused():
    async def process_request(opening):
        return Response(403, {"X-Why": "you"}, "go away")

    async with ours(process_request=process_request) as url:
        with pytest.raises(peer.ConnectionRejected) as caught:
            async with peer.open_websocket_url(url):
                raise AssertionError
        assert caught.value.status_code == 403


async def test_our_client_echoes():
    async with (
        theirs(echo_theirs) as url,
        connect_endpoint(url, limits=Limits(fragment_size=100_000)) as client,
    ):
        for message in MESSAGES:
            await client.send(message)
            assert await client.receive() == message
        assert await client.ping() > 0


async def test_subprotocols_with_their_server():
    async def handler(request):
        websocket = await request.accept(subprotocol=request.proposed_subprotocols[-1])
        await websocket.send_message("agreed")

    async with (
        theirs(handler) as url,
        connect_endpoint(url, subprotocols=["a", "b"]) as client,
    ):
        assert client.subprotocol == "b"
        assert [message async for message in client] == ["agreed"]


async def test_their_server_closes():
    async def handler(request):
        websocket = await request.accept()
        await websocket.aclose(4000, "bye")

    async with theirs(handler) as url, connect_endpoint(url) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "bye")


async def test_our_client_closes():
    ends = []

    async def handler(request):
        websocket = await request.accept()
        with pytest.raises(peer.ConnectionClosed):
            await websocket.get_message()
        ends.append((websocket.closed.code, websocket.closed.reason))

    async with theirs(handler) as url:
        async with connect_endpoint(url) as client:
            await client.aclose(4000, "ž")
        while not ends:
            await trio.sleep(0.001)
    assert ends == [(4000, "ž")]


async def test_their_server_refuses_our_client():
    async def handler(request):
        await request.reject(401, body=b"who are you?")

    async with theirs(handler) as url:
        with pytest.raises(HandshakeRefused, match=r"401 .*who are you\?") as caught:
            async with connect_endpoint(url):
                raise AssertionError
        assert caught.value.response.body == b"who are you?"
