"""`EndpointServer.drain`: openings are finished, and goodbyes are spread."""

from __future__ import annotations

import errno
import itertools
import socket
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    InvalidCloseCode,
    Response,
    Timeouts,
    connect_endpoint,
    serve_endpoint,
)

from .helpers import MemoryListener, echo, hold, open_raw, read_all, request, serve_memory


def drawing(*shares: float) -> Any:
    """Random bytes that draw these shares of the time, again and again."""
    endless = itertools.cycle(shares)

    def random_bytes(size: int) -> bytes:
        return int(next(endless) * 2 ** (8 * size)).to_bytes(size, "big")

    return random_bytes


async def ended(served: Any, found: list[tuple[float, int]]) -> None:
    stream = served.connect()
    async with connect_endpoint("ws://example.test/", stream=stream) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        found.append((round(trio.current_time(), 3), caught.value.code))


@pytest.mark.parametrize("code", [1001, 1012])
async def test_goodbyes_are_spread(code: int, autojump_clock: object) -> None:
    found: list[tuple[float, int]] = []
    options: Any = {"random_bytes": drawing(0.75, 0.25, 0.5)}
    async with trio.open_nursery() as nursery, serve_memory(hold, **options) as served:
        for _ in range(3):
            nursery.start_soon(ended, served, found)
        await trio.testing.wait_all_tasks_blocked()
        await served.server.drain(over=20, code=code)
        assert repr(served.server) == "<EndpointServer closed>"
    assert found == [(5.0, code), (10.0, code), (15.0, code)]


async def test_an_opening_under_way_is_finished(autojump_clock: object) -> None:
    async with serve_memory(echo, random_bytes=drawing(0.5)) as served:
        stream = served.connect()
        await stream.send_all(request()[:20])
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.drain, 2)
            await trio.sleep(1)
            assert served.listener.is_closed
            assert repr(served.server).startswith("<EndpointServer draining")
            await open_raw(stream, request()[20:])
            assert len(served.server.connections) == 1
            # Half of the second that is left.
            with trio.fail_after(0.6):
                data = await read_all_until_close(stream)
            assert data[:2] == b"\x88\x02"
            await stream.aclose()
        assert trio.current_time() < 3


async def read_all_until_close(stream: Any) -> bytes:
    return bytes(await stream.receive_some(100))


async def test_an_opening_that_stays_silent_has_its_own_deadline(autojump_clock: object) -> None:
    async with serve_memory(echo, timeouts=Timeouts(open=3, linger=1)) as served:
        stream = served.connect()
        await trio.testing.wait_all_tasks_blocked()
        await served.server.drain(over=0)
        assert 3 <= trio.current_time() <= 5
        assert (await read_all(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_stream_of_plain_requests_ends_after_its_answer(autojump_clock: object) -> None:
    async def answer(_: object) -> Response:
        await trio.sleep(2)
        return Response(200, body="done")

    async with serve_memory(echo, http_handler=answer) as served:
        busy, idle = served.connect(), served.connect()
        for stream in (busy, idle):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"done" in await idle.receive_some(1000)
        await busy.receive_some(1000)
        await busy.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.drain, 10)
            with trio.fail_after(1):
                assert await read_all(idle) == b""
            assert b"Connection: close" in await read_all(busy)
            assert trio.current_time() == pytest.approx(4, abs=0.1)


async def test_closing_ends_a_drain_at_once(autojump_clock: object) -> None:
    found: list[tuple[float, int]] = []
    async with trio.open_nursery() as nursery:
        async with serve_memory(hold, random_bytes=drawing(0.9)) as served:
            nursery.start_soon(ended, served, found)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(served.server.drain, 1000)
            await trio.sleep(1)
        assert trio.current_time() == 1
    assert found == [(1.0, 1001)]


async def test_cancelled_the_server_goes_on_draining(autojump_clock: object) -> None:
    found: list[tuple[float, int]] = []
    async with (
        trio.open_nursery() as nursery,
        serve_memory(hold, random_bytes=drawing(0.5)) as served,
    ):
        nursery.start_soon(ended, served, found)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await served.server.drain(10)
        assert scope.cancelled_caught
        await served.server.drain()  # waits for the end
    assert found == [(5.0, 1001)]


async def test_from_inside_a_handler_it_does_not_wait(autojump_clock: object) -> None:
    async def handler(connection: Any) -> None:
        await served.server.drain(over=4)
        await connection.send("draining")
        await connection.wait_closed()

    async with serve_memory(handler, random_bytes=drawing(0.5)) as served:
        async with connect_endpoint("ws://example.test/", stream=served.connect()) as client:
            assert await client.receive() == "draining"
            await client.wait_closed()
        await served.server.wait_closed()
    assert trio.current_time() == pytest.approx(2)


async def test_without_connections_it_is_over_at_once(autojump_clock: object) -> None:
    async with serve_memory(echo) as served:
        await served.server.drain(over=100)
    assert trio.current_time() == 0
    await served.server.drain()


async def test_what_waits_to_be_accepted_is_served() -> None:
    """A server that closed its port at once would reset them."""
    async with serve_endpoint(
        echo, 0, host="127.0.0.1", random_bytes=drawing(1 - 2**-20)
    ) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        port = server.port
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.drain, 0.2)
            for client in clients:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
                await open_raw(stream)
                nursery.start_soon(stream.aclose)
            with pytest.raises(OSError, match="Connection refused") as caught:
                socket.create_connection(("127.0.0.1", port))
            assert caught.value.errno == errno.ECONNREFUSED


async def test_an_inherited_socket_stays_open() -> None:
    """Connections wait in it for the other process that has it."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        number, port = shared.dup().detach(), shared.getsockname()[1]
        async with (
            serve_endpoint(hold, listen=[f"fd:{number}"], random_bytes=drawing(0.5)) as server,
            connect_endpoint(server.urls[0]) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(server.drain, 0.2)
            await client.wait_closed()
            with socket.create_connection(("127.0.0.1", port)):
                shared.accept()[0].close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"over": -1}, ValueError),
        ({"over": float("nan")}, ValueError),
        ({"grace": -1}, ValueError),
        ({"code": 1005}, InvalidCloseCode),
    ],
)
async def test_wrong_arguments(options: dict[str, Any], error: type[Exception]) -> None:
    async with serve_endpoint(echo, listeners=[MemoryListener()]) as server:
        with pytest.raises(error):
            await server.drain(**options)
        assert "draining" not in repr(server)
