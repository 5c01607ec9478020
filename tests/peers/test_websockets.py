"""Against `websockets`: its client (sync, asyncio, CLI) and its server, over loopback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest
import trio

from trio_wsendpoint import (
    ConnectionClosed,
    Deflate,
    HandshakeRefused,
    Limits,
    Response,
    connect_endpoint,
    serve_endpoint,
)

pytestmark = pytest.mark.peer

exceptions = pytest.importorskip("websockets.exceptions")
asyncio_client = pytest.importorskip("websockets.asyncio.client")
sync_client = pytest.importorskip("websockets.sync.client")
sync_server = pytest.importorskip("websockets.sync.server")

MIB = 1024 * 1024
SIZES = [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537]
MESSAGES: list[str | bytes] = [
    "text",
    "žluťoučký \U0001f40e",
    "",
    b"binary",
    b"",
    b"x" * MIB,
    "ž" * (MIB // 2),
]


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def ours(handler=echo, **options):
    async with serve_endpoint(handler, 0, host="127.0.0.1", **options) as server:
        yield server.urls[0]


async def in_thread(function, *args):
    with trio.fail_after(60):
        await trio.to_thread.run_sync(function, *args)


@contextmanager
def _serving(handler, options):
    with sync_server.serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def theirs(handler, **options):
    options.setdefault("compression", None)
    with _serving(handler, options) as url, trio.fail_after(60):
        yield url


def echo_sync(websocket):
    for message in websocket:
        websocket.send(message)


# ---- their client, our server ------------------------------------------------------------------


async def test_their_sync_client_echoes():
    def talk(url):
        with sync_client.connect(url, compression=None, max_size=None) as websocket:
            for message in MESSAGES:
                websocket.send(message)
                assert websocket.recv() == message
            for size in SIZES:
                websocket.send(b"\x5a" * size)
                assert websocket.recv() == b"\x5a" * size
                websocket.send("z" * size)
                assert websocket.recv() == "z" * size

    async with ours() as url:
        await in_thread(talk, url)


async def test_their_sync_client_with_compression():
    def talk(url):
        with sync_client.connect(url, max_size=None) as websocket:
            assert "permessage-deflate" in websocket.response.headers["Sec-WebSocket-Extensions"]
            for message in MESSAGES:
                websocket.send(message)
                assert websocket.recv() == message

    async with ours(deflate=Deflate()) as url:
        await in_thread(talk, url)


async def test_their_client_sends_fragments_and_pings():
    def talk(url):
        with sync_client.connect(url, compression=None) as websocket:
            websocket.send(iter(["one ", "", "two ", "three"]))
            assert websocket.recv() == "one two three"
            websocket.send(iter([b"1", b"2"]))
            assert websocket.recv() == b"12"
            assert websocket.ping(b"payload").wait(5)
            assert websocket.ping().wait(5)
            websocket.pong(b"nobody asked")
            websocket.send("still here")
            assert websocket.recv() == "still here"

    async with ours() as url:
        await in_thread(talk, url)


async def test_our_server_sends_fragments_and_pings():
    times = []

    async def handler(connection):
        await connection.send("x" * 100)
        times.append(await connection.ping())
        await connection.send("pinged")
        await connection.receive()

    def talk(url):
        with sync_client.connect(url, compression=None) as websocket:
            assert list(websocket.recv_streaming()) == ["x" * 10] * 10
            # It must not leave before the ping has come, which nobody would answer then.
            assert "".join(websocket.recv_streaming()) == "pinged"
            websocket.send("done")

    async with ours(handler, limits=Limits(fragment_size=10)) as url:
        await in_thread(talk, url)
    assert times[0] > 0


async def test_subprotocols_with_their_client():
    async def handler(connection):
        await connection.send(str(connection.subprotocol))

    def talk(url):
        for offered, agreed in ((["x", "b", "a"], "b"), (["x"], None), (None, None)):
            with sync_client.connect(url, subprotocols=offered) as websocket:
                assert websocket.subprotocol == agreed
                assert websocket.recv() == str(agreed)

    async with ours(handler, subprotocols=["a", "b"]) as url:
        await in_thread(talk, url)


async def test_their_client_closes():
    ends = []

    async def handler(connection):
        with pytest.raises(ConnectionClosed) as caught:
            await connection.receive()
        ends.append((caught.value.code, caught.value.reason))

    def talk(url):
        for code, reason in ((1000, ""), (1001, "away"), (4999, "ž" * 61)):
            with sync_client.connect(url) as websocket:
                websocket.close(code, reason)
            assert (websocket.close_code, websocket.close_reason) == (code, reason)

    async with ours(handler) as url:
        await in_thread(talk, url)
    assert ends == [(1000, ""), (1001, "away"), (4999, "ž" * 61)]


async def test_our_server_closes():
    async def handler(connection):
        await connection.aclose(4321, "that is all")

    def talk(url):
        with sync_client.connect(url) as websocket:
            with pytest.raises(exceptions.ConnectionClosedError) as caught:
                websocket.recv()
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "that is all")
            assert caught.value.sent.code == 4321

    async with ours(handler) as url:
        await in_thread(talk, url)


async def test_their_client_is_refused():
    async def process_request(opening):
        return Response(403, {"X-Why": "you"}, "go away")

    def talk(url):
        with pytest.raises(exceptions.InvalidStatus) as caught, sync_client.connect(url):
            raise AssertionError
        response = caught.value.response
        assert (response.status_code, response.body) == (403, b"go away")
        assert response.headers["X-Why"] == "you"

    async with ours(process_request=process_request) as url:
        await in_thread(talk, url)


async def test_their_client_comes_from_another_page():
    def talk(url):
        with (
            pytest.raises(exceptions.InvalidStatus, match="403"),
            sync_client.connect(url, origin="https://evil.test"),
        ):
            raise AssertionError

    async with ours() as url:
        await in_thread(talk, url)


async def test_their_asyncio_client():
    async def talk(url):
        async with asyncio_client.connect(url, max_size=None) as websocket:
            for message in MESSAGES:
                await websocket.send(message)
                assert await websocket.recv() == message
            await (await websocket.ping())
            for number in range(500):
                await websocket.send(str(number))
            assert [await websocket.recv() for _ in range(500)] == list(map(str, range(500)))

    async with ours(deflate=Deflate()) as url:
        await in_thread(asyncio.run, talk(url))


async def test_both_close_at_once_with_their_asyncio_client():
    async def handler(connection):
        await connection.receive()
        await connection.aclose(4001)

    async def talk(url):
        for _ in range(20):
            async with asyncio_client.connect(url) as websocket:
                await websocket.send("go")
                await websocket.close(4002)
                assert websocket.close_code in {4001, 4002}

    async with ours(handler) as url:
        await in_thread(asyncio.run, talk(url))


async def test_their_command_line():
    heard = []

    async def handler(connection):
        await connection.send("hello")
        async for message in connection:
            heard.append(message)
            await connection.send(f"you said {message}")

    command = [sys.executable, "-m", "websockets"]
    async with ours(handler) as url, trio.open_nursery() as nursery:
        with trio.fail_after(60):
            process = await nursery.start(
                partial(
                    trio.run_process, [*command, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            said = b""
            # Its prompt is drawn by two threads, so that each line is awaited before the next.
            for line, answer in ((b"first", b"said first"), (b"second", b"said second")):
                await process.stdin.send_all(line + b"\n")
                while answer not in said:
                    said += await process.stdout.receive_some()
            await process.stdin.aclose()
            while await process.stdout.receive_some():
                pass
    assert heard == ["first", "second"]
    assert b"hello" in said


# ---- our client, their server ------------------------------------------------------------------


async def test_our_client_echoes():
    async with (
        theirs(echo_sync, max_size=None) as url,
        connect_endpoint(url, limits=Limits(message_size=2 * MIB)) as client,
    ):
        for message in MESSAGES:
            await client.send(message)
            assert await client.receive() == message
        for size in SIZES:
            await client.send(bytes(size))
            assert await client.receive() == bytes(size)
        assert await client.ping() > 0


async def test_our_client_with_compression():
    async with (
        theirs(echo_sync, compression="deflate", max_size=None) as url,
        connect_endpoint(url, deflate=Deflate()) as client,
    ):
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in MESSAGES:
            await client.send(message)
            assert await client.receive() == message


async def test_fragments_both_ways_with_their_server():
    got = []

    def handler(websocket):
        got.extend(websocket.recv_streaming())
        websocket.send(iter([b"1", b"", b"23"]))
        assert websocket.ping().wait(5)

    async with (
        theirs(handler) as url,
        connect_endpoint(url, limits=Limits(fragment_size=4)) as client,
    ):
        await client.send(b"0123456789")
        assert await client.receive() == b"123"
        with pytest.raises(trio.EndOfChannel):
            await client.receive()
    assert got == [b"0123", b"4567", b"89"]


async def test_subprotocols_with_their_server():
    async with theirs(echo_sync, subprotocols=["b", "a"]) as url:
        async with connect_endpoint(url, subprotocols=["a", "b"]) as client:
            assert client.subprotocol in {"a", "b"}
        with pytest.raises(HandshakeRefused, match=r"400 .*missing subprotocol"):
            async with connect_endpoint(url):
                raise AssertionError


async def test_their_server_closes():
    def handler(websocket):
        websocket.close(4000, "bye")

    async with theirs(handler) as url, connect_endpoint(url) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "bye")


async def test_our_client_closes():
    ends = []

    def handler(websocket):
        with pytest.raises(exceptions.ConnectionClosed) as caught:
            websocket.recv()
        ends.append((caught.value.rcvd.code, caught.value.rcvd.reason))

    async with theirs(handler) as url:
        for code, reason in ((1000, ""), (4000, "ž")):
            async with connect_endpoint(url) as client:
                await client.aclose(code, reason)
    assert ends == [(1000, ""), (4000, "ž")]


async def test_their_server_refuses_our_client():
    def process_request(connection, _request):
        return connection.respond(418, "tea only\n")

    async with theirs(echo_sync, process_request=process_request) as url:
        with pytest.raises(HandshakeRefused, match=r"418 .*tea only") as caught:
            async with connect_endpoint(url):
                raise AssertionError
        assert caught.value.response.body == b"tea only\n"
