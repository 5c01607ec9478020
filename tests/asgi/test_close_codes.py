"""Who ends a WebSocket, and how: what the application is told, and its client, over TCP."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from tests.server.helpers import read_head, request
from trio_wsendpoint import Timeouts
from trio_wsendpoint.asgi import serve_asgi


class Talk:
    """An application that echoes, and what it was told at the end."""

    def __init__(self, last=None) -> None:
        self._last = last
        self.told: list[tuple[int, str]] = []
        self.is_open = trio.Event()

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.is_open.set()
        if self._last is not None:
            await self._last(send)
            return
        event = await receive()
        assert event["type"] == "websocket.disconnect"
        assert await receive() == event, "it is told again and again"
        self.told.append((event["code"], event["reason"]))


def close_frame(code=None, reason=b""):
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return bytes([0x88, 0x80 | len(payload)]) + bytes(4) + payload


async def opened(port):
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(request())
    head, rest = await read_head(stream)
    assert head.startswith(b"HTTP/1.1 101 ")
    return stream, rest


async def send(stream, data):
    await stream.send_all(data)


async def fin(stream):
    await stream.send_eof()


async def rst(stream):
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        (lambda stream: send(stream, close_frame(4002, b"mine")), (4002, "mine")),
        (lambda stream: send(stream, close_frame(1000)), (1000, "")),
        (lambda stream: send(stream, close_frame()), (1005, "")),
        (fin, (1006, "")),
        (rst, (1006, "")),
    ],
    ids=["4002", "1000", "empty", "FIN", "RST"],
)
async def test_the_client_leaves(leave, told) -> None:
    app = Talk()
    with trio.fail_after(30):
        async with serve_asgi(app, 0, lifespan="off") as server:
            stream, _ = await opened(server.port)
            async with stream:
                await app.is_open.wait()
                await leave(stream)
                while not app.told:
                    await trio.sleep(0.001)
    assert app.told == [told]


async def raises(send):
    raise ValueError("a fault of the application")


async def returns(send):
    await trio.lowlevel.checkpoint()


async def closes(send):
    await send({"type": "websocket.close", "code": 4003, "reason": "enough"})


@pytest.mark.parametrize(
    ("last", "payload"),
    [
        (raises, (1011).to_bytes(2, "big")),
        (returns, (1000).to_bytes(2, "big")),
        (closes, (4003).to_bytes(2, "big") + b"enough"),
    ],
    ids=["raises", "returns", "closes"],
)
async def test_the_application_leaves(last, payload) -> None:
    with trio.fail_after(30):
        async with serve_asgi(Talk(last), 0, lifespan="off") as server:
            stream, came = await opened(server.port)
            async with stream:
                while len(came) < 4:
                    came += await stream.receive_some(100)
    assert came[0] == 0x88
    assert came[2:].startswith(payload)


async def test_the_server_stops() -> None:
    app = Talk()
    with trio.fail_after(30):
        async with serve_asgi(app, 0, lifespan="off", timeouts=Timeouts(close=5.0)) as server:
            stream, came = await opened(server.port)
            await app.is_open.wait()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.aclose)
                while len(came) < 4:
                    came += await stream.receive_some(100)
                await stream.send_all(close_frame(int.from_bytes(came[2:4], "big")))
                await stream.aclose()
    assert (came[0], came[2:4]) == (0x88, (1001).to_bytes(2, "big"))
    assert app.told == [(1012, "")]
