"""`EndpointServer.drain`: openings are finished, and goodbyes are spread."""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    ConnectionClosedLocally,
    InvalidCloseCode,
    Limits,
    Response,
    ServerLimits,
    Timeouts,
    connect_endpoint,
    serve_endpoint,
)

from .helpers import (
    MemoryListener,
    echo,
    hold,
    open_raw,
    read_all,
    read_response,
    request,
    serve_memory,
)


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
    # Within the first four fifths: the last one is for those that are slow.
    assert found == [(4.0, code), (8.0, code), (12.0, code)]


class Told:
    """A handler that notes when each connection is told, and by which path it was opened.

    On a path with "slow" it has sent more by then than the peer reads.
    """

    def __init__(self) -> None:
        self.found: list[tuple[float, str]] = []

    async def handle(self, connection: Any) -> None:
        path = connection.request.target
        try:
            if "slow" in path:
                await connection.send(bytes(4000))
                await connection.send(bytes(4000))
            await connection.receive()
        except ConnectionClosedLocally:
            self.found.append((round(trio.current_time(), 3), path))


@asynccontextmanager
async def serve_narrow(*shares: float) -> AsyncIterator[tuple[Told, Any, Any]]:
    """Serve over streams that hold nothing: a peer that does not read is slow at once."""
    told, listener = Told(), MemoryListener(trio.testing.lockstep_stream_pair)
    options: Any = {"random_bytes": drawing(*shares), "timeouts": Timeouts(write=1000)}
    limits = Limits(send_buffer=1000)
    async with serve_endpoint(
        told.handle, listeners=[listener], limits=limits, **options
    ) as server:

        async def open_(path: str) -> Any:
            stream = listener.connect()
            await open_raw(stream, request(path))
            await trio.testing.wait_all_tasks_blocked()
            return stream

        yield told, server, open_


async def test_slow_ones_are_told_last(autojump_clock: object) -> None:
    """Each of two slow ones gets another moment after the quick one's, and one of its own."""
    async with serve_narrow(0.1, 0.3, 0.99, 0.75, 0.25) as (told, server, open_):
        streams = [await open_(path) for path in ("/slow/1", "/slow/2", "/quick")]
        with trio.move_on_after(19.9):
            await server.drain(20, 1012)
        assert told.found == [(15.84, "/quick"), (17.0, "/slow/2"), (19.0, "/slow/1")]
        for stream in streams:
            await stream.aclose()


async def test_one_that_has_caught_up_by_its_moment_is_told_then(autojump_clock: object) -> None:
    async with serve_narrow(0.5) as (told, server, open_), trio.open_nursery() as nursery:
        stream = await open_("/slow")
        nursery.start_soon(server.drain, 20, 1012)
        await trio.sleep(7.9)
        assert not told.found
        nursery.start_soon(read_all, stream)
        await trio.sleep(0.2)
        assert told.found == [(8.0, "/slow")]
        await stream.aclose()


async def test_without_time_the_slow_ones_are_told_at_once_too(autojump_clock: object) -> None:
    async with serve_narrow(0.5) as (told, server, open_), trio.open_nursery() as nursery:
        streams = [await open_(path) for path in ("/slow", "/1", "/2")]
        nursery.start_soon(server.drain, 0)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(told.found) == [(0.0, "/1"), (0.0, "/2"), (0.0, "/slow")]
        for stream in streams:
            await stream.aclose()


async def test_one_that_opens_in_the_last_fifth_has_a_moment_there(autojump_clock: object) -> None:
    async with serve_memory(echo, random_bytes=drawing(0.5)) as served:
        stream = served.connect()
        await stream.send_all(request()[:20])
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.drain, 10)
            await trio.sleep(9)
            await open_raw(stream, request()[20:])
            assert (await read_all_until_close(stream))[:2] == b"\x88\x02"
            assert trio.current_time() == 9.5
            await stream.aclose()


@pytest.mark.parametrize("end", ["too late", "closed"])
async def test_what_is_refused_meanwhile_is_told_when_to_come_again(
    end: str, autojump_clock: object
) -> None:
    """An app that does not decide in time, and a server that is closed while it drains."""

    async def decide(_: object) -> None:
        await trio.sleep_forever()

    options: Any = {"timeouts": Timeouts(process=3), "server_limits": ServerLimits(retry_after=17)}
    async with serve_memory(hold, process_request=decide, **options) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.drain, 10)
            await trio.sleep(1)
            if end == "closed":
                nursery.start_soon(served.server.aclose)
            response = await read_response(stream)
            assert (response.status, response.headers["Retry-After"]) == (503, "17")
            assert trio.current_time() == (1 if end == "closed" else 3)
            await stream.aclose()


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
            # Half of what is left of the second until the last fifth.
            with trio.fail_after(0.4):
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
    assert found == [(4.0, 1001)]


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
    assert trio.current_time() == pytest.approx(1.6)


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
