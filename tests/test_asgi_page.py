"""docs/asgi.md is true: its programs run and answer."""

from __future__ import annotations

import socket
from typing import Any

import trio
import trio.testing

from tests.pages.blocks import sources_of
from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.asgi import serve_asgi


def programs() -> dict[str, Any]:
    """Run all of the page's code; return its names."""
    names: dict[str, Any] = {}
    for code in sources_of("docs/asgi.md"):
        exec(compile(code, "docs/asgi.md", "exec"), names)
    return names


async def test_the_first_program_says_hello() -> None:
    async with serve_asgi(programs()["app"], 0, lifespan="off") as server:
        async with connect_endpoint(f"ws://127.0.0.1:{server.port}/ws") as connection:
            assert await connection.receive() == "hello from /ws"
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join([data async for data in stream])
    assert answer.endswith(b"\r\n\r\nhello")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_both_kinds_of_handlers() -> None:
    port = free_port()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(programs()["both"], port)
        await trio.testing.wait_all_tasks_blocked(0.01)
        for path, wanted in (("/ticker", "tick"), ("/ws", "hello from /ws")):
            async with connect_endpoint(f"ws://127.0.0.1:{port}{path}") as connection:
                assert await connection.receive() == wanted
        nursery.cancel_scope.cancel()
