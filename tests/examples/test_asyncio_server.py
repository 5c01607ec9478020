"""`examples/asyncio_server.py`: a session that asyncio drives, against another library."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import trio

from tests.examples.programs import EXAMPLES, PATIENCE, example
from trio_wsendpoint import ConnectionLost, Heartbeat, Timeouts, connect_endpoint

NAME = "asyncio_server.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("asyncio_server", EXAMPLES / NAME)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def listening(
    heartbeat: Heartbeat | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[int]:
    """Run the server in this process; yield its port."""
    serve = partial(load().serve, heartbeat or Heartbeat(), timeouts or Timeouts())
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def run(body: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await body()

    asyncio.run(main())


@pytest.mark.peer
def test_it_echoes_for_another_library() -> None:
    from websockets.asyncio.client import connect

    async def body() -> None:
        async with listening() as port, connect(f"ws://127.0.0.1:{port}/") as client:
            for message in ("grüße", b"\x00\xff", "", bytes(900_000)):
                await client.send(message)
                assert await client.recv() == message
            await (await client.ping())
            await client.close(4000, "enough")
            assert (client.close_code, client.close_reason) == (4000, "enough")

    run(body)


@pytest.mark.peer
def test_it_closes_for_a_violation() -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def body() -> None:
        async with listening() as port, connect(f"ws://127.0.0.1:{port}/") as client:
            client.transport.write(b"\x81\x01a")  # without a mask
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1002

    run(body)


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_it_gives_up_a_silent_peer() -> None:
    async def body() -> None:
        heartbeat = Heartbeat(interval=0.02, max_pings=2)
        async with listening(heartbeat=heartbeat, timeouts=Timeouts(close=0.05)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await reader.readexactly(1 << 20)
            frames = caught.value.partial.partition(b"\r\n\r\n")[2]
            assert frames.count(b"\x89\x08") == 2
            assert b"\x03\xeaUnanswered ping(s): 2" in frames
            writer.close()

    run(body)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_what_is_no_request_is_refused(sent: bytes) -> None:
    async def body() -> None:
        async with listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            assert (await reader.read()).startswith(b"HTTP/1.1 40")
            writer.close()

    run(body)


async def test_it_runs_as_a_program_and_ends_by_ctrl_c() -> None:
    async with example("asyncio_server.py", "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(url) as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
            async with connect_endpoint(url) as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
                server.interrupt()
                with pytest.raises(ConnectionLost):
                    await connection.receive()
        await server.check_end()
