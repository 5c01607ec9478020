"""Against `websockets`, over loopback: its client and its server, in all takeover combinations."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio

from trio_wsendpoint import Connection, Deflate, Limits, connect_endpoint, serve_endpoint
from trio_wsendpoint.extensions import DeflateOptions, PerMessageDeflate
from trio_wsendpoint.testing import seeded_bytes

pytestmark = pytest.mark.peer

extension = pytest.importorskip("websockets.extensions.permessage_deflate")
sync_client = pytest.importorskip("websockets.sync.client")
sync_server = pytest.importorskip("websockets.sync.server")

MESSAGES: list[str | bytes] = [
    "Hello",
    "Hello",
    "",
    b"",
    '{"id": 1, "name": "žluťoučký 😀"}' * 500,
    '{"id": 1, "name": "žluťoučký 😀"}' * 500,
    seeded_bytes(1)(100_000),
    bytes(1024 * 1024),
    seeded_bytes(2)(1024 * 1024),  # of exactly the size that we allow
    "Hello",
]
BOTH = [True, False]
COMBINATIONS = list(itertools.product(BOTH, repeat=4))
#: It counts the bytes of each frame on the wire as if they were the message's.
THEIRS: dict[str, Any] = {"compression": None, "max_size": None}
OPTIONS: dict[str, Any] = {"limits": Limits(fragment_size=50_000)}


def ours(takeover: bool, peer_takeover: bool) -> Deflate:
    return Deflate(context_takeover=takeover, peer_context_takeover=peer_takeover, threshold=0)


def split(message: str | bytes) -> Iterator[str] | Iterator[bytes]:
    """Return a message in three pieces, as a chunked `send` of either library takes them."""
    third = len(message) // 3 + 1
    if isinstance(message, str):
        return iter([message[:third], message[third : 2 * third], message[2 * third :]])
    return iter([message[:third], message[third : 2 * third], message[2 * third :]])


async def echo(connection: Connection) -> None:
    """Send each message back: as a message, and as a stream of what came in a stream."""
    while True:
        await connection.send(await connection.receive())
        async with connection.receive_stream() as chunks:
            kind: Any = chunks.type
            async with connection.send_stream(kind) as stream:
                async for chunk in chunks:
                    await stream.send(chunk)


def talk_sync(websocket: Any) -> None:
    """Send each message, whole and in fragments, and read it back, whole and in fragments."""
    for message in MESSAGES:
        websocket.send(message)
        pieces = list(websocket.recv_streaming())
        assert ("" if isinstance(message, str) else b"").join(pieces) == message
        websocket.send(split(message))
        assert websocket.recv() == message


def echo_sync(websocket: Any) -> None:
    """Send each message back, by turns whole and in fragments."""
    for number, message in enumerate(websocket):
        websocket.send(split(message) if number % 2 else message)


@contextmanager
def serving(options: dict[str, Any]) -> Iterator[str]:
    with sync_server.serve(echo_sync, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def theirs(**options: Any) -> AsyncIterator[str]:
    with serving({**THEIRS, **options}) as url, trio.fail_after(60):
        yield url


@pytest.mark.parametrize(("takeover", "peer_takeover", "no_server", "no_client"), COMBINATIONS)
async def test_their_client(
    takeover: bool, peer_takeover: bool, no_server: bool, no_client: bool
) -> None:
    factory = extension.ClientPerMessageDeflateFactory(
        server_no_context_takeover=no_server, client_no_context_takeover=no_client
    )
    agreed: list[DeflateOptions] = []

    async def handler(connection: Connection) -> None:
        assert isinstance(connection.endpoint.extension, PerMessageDeflate)
        agreed.append(connection.endpoint.extension.agreed)
        await echo(connection)

    def talk(url: str) -> None:
        with sync_client.connect(url, extensions=[factory], **THEIRS) as websocket:
            talk_sync(websocket)

    deflate = ours(takeover, peer_takeover)
    async with serve_endpoint(handler, 0, host="127.0.0.1", deflate=deflate, **OPTIONS) as server:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(talk, server.urls[0])
    assert agreed[0].context_takeover is (takeover and not no_server)
    assert agreed[0].peer_context_takeover is (peer_takeover and not no_client)


@pytest.mark.parametrize(("takeover", "peer_takeover", "no_server", "no_client"), COMBINATIONS)
async def test_their_server(
    takeover: bool, peer_takeover: bool, no_server: bool, no_client: bool
) -> None:
    factory = extension.ServerPerMessageDeflateFactory(
        server_no_context_takeover=no_server, client_no_context_takeover=no_client
    )
    deflate = ours(takeover, peer_takeover)
    async with (
        theirs(extensions=[factory]) as url,
        connect_endpoint(url, deflate=deflate, **OPTIONS) as connection,
    ):
        assert isinstance(connection.endpoint.extension, PerMessageDeflate)
        agreed = connection.endpoint.extension.agreed
        assert agreed.context_takeover is (takeover and not no_client)
        assert agreed.peer_context_takeover is (peer_takeover and not no_server)
        for message in MESSAGES:
            await connection.send(message)
            assert await connection.receive() == message
            async with connection.send_stream(
                "text" if isinstance(message, str) else "binary"
            ) as stream:
                for piece in split(message):
                    await stream.send(piece)
            async with connection.receive_stream() as chunks:
                pieces: list[Any] = [chunk async for chunk in chunks]
            assert ("" if isinstance(message, str) else b"").join(pieces) == message
            await connection.send(b"plain", compress=False)
            assert await connection.receive() == b"plain"
            await connection.send("again")
            assert await connection.receive() == "again"


@pytest.mark.parametrize("bits", [9, 11, 15])
async def test_their_client_with_smaller_windows(bits: int) -> None:
    factory = extension.ClientPerMessageDeflateFactory(
        server_max_window_bits=bits, client_max_window_bits=bits
    )

    def talk(url: str) -> None:
        with sync_client.connect(url, extensions=[factory], **THEIRS) as websocket:
            talk_sync(websocket)

    deflate = Deflate(threshold=0, window_bits=15, peer_window_bits=15)
    async with serve_endpoint(echo, 0, host="127.0.0.1", deflate=deflate) as server:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(talk, server.urls[0])


@pytest.mark.parametrize("bits", [9, 11, 15])
async def test_their_server_with_smaller_windows(bits: int) -> None:
    factory = extension.ServerPerMessageDeflateFactory(
        server_max_window_bits=bits, client_max_window_bits=bits
    )
    deflate = Deflate(threshold=0, window_bits=15, peer_window_bits=15)
    async with (
        theirs(extensions=[factory]) as url,
        connect_endpoint(url, deflate=deflate) as connection,
    ):
        for message in MESSAGES * 2:
            await connection.send(message)
            assert await connection.receive() == message
