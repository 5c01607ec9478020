"""What a server tells of itself: sums over connections past and present, and how they ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    CloseCause,
    Connection,
    Instrument,
    Peer,
    ServerLimits,
    ServerStatistics,
    connect_endpoint,
)

from .helpers import echo, open_raw, read_response, request, serve_memory

URL = "ws://example.test/"


async def test_nothing_yet():
    async with serve_memory() as served:
        now = served.server.statistics()
        assert now == ServerStatistics()
        assert not any(dataclasses.astuple(dataclasses.replace(now, closes={})))
        with pytest.raises(AttributeError):
            now.opened = 1
        with pytest.raises(TypeError):
            now.closes[CloseCause.PEER] = 1
        assert hash(now) == hash(served.server.statistics())


async def test_sums_of_past_and_present(autojump_clock):
    async with serve_memory() as served:
        server = served.server
        before = server.statistics()
        for number in (1, 2):
            async with connect_endpoint(URL, stream=served.connect()) as client:
                await client.send("x" * number)
                assert await client.receive() == "x" * number
                now = server.statistics()
                assert (now.messages_sent, now.messages_received) == (number, number)
                assert now.payload_sent == now.payload_received == number * (number + 1) // 2
            await trio.testing.wait_all_tasks_blocked()
        ended = server.statistics()
        assert ended.connections == 0
        assert (ended.messages_sent, ended.messages_received) == (2, 2)
        assert (ended.frames_sent, ended.frames_received) == (4, 4)
        assert (ended.control_frames_sent, ended.control_frames_received) == (2, 2)
        assert (ended.bytes_sent, ended.bytes_received) == (3 + 4 + 4 + 4, 7 + 8 + 8 + 8)
        assert ended.closes == {CloseCause.PEER: 2}
        assert before.closes == {}
        assert ended.compression_ratio_sent is None


async def test_no_count_ever_falls(autojump_clock):
    """Not even while a connection has ended for its handler, and not yet for the server."""
    released = trio.Event()

    async def handler(connection):
        await connection.send("hello")
        await released.wait()

    async with serve_memory(handler) as served:
        stream = await served.connect_raw()
        await trio.testing.wait_all_tasks_blocked()
        released.set()
        await trio.testing.wait_all_tasks_blocked()
        now = served.server.statistics()
        assert now.connections == 0  # its handler has returned, its peer does not answer
        assert (now.messages_sent, now.frames_sent, now.closes) == (1, 2, {})
        await trio.sleep(60)
        now = served.server.statistics()
        assert (now.messages_sent, now.frames_sent) == (1, 2)
        assert now.closes == {CloseCause.LOCAL: 1}
        await stream.aclose()


async def test_causes(autojump_clock, caplog):
    async def handler(connection):
        if connection.request.path == "/fail":
            raise RuntimeError("on purpose")
        await echo(connection)

    async with serve_memory(handler) as served:
        for path, data in (("/fail", b""), ("/", b"\xff"), ("/", b""), ("/", b"")):
            stream = await served.connect_raw(request(path))
            if data:
                await stream.send_all(data)
            await stream.send_eof()
            await trio.sleep(10)
            await stream.aclose()
        silent = await served.connect_raw()
        await trio.sleep(120)
        await silent.aclose()
        closes = served.server.statistics().closes
        assert closes == {
            CloseCause.INTERNAL_ERROR: 1,
            CloseCause.PROTOCOL_ERROR: 1,
            CloseCause.LOST: 2,
            CloseCause.TIMEOUT: 1,
        }
        assert closes["lost"] == 2


async def test_queues_are_of_the_present(autojump_clock):
    async def handler(connection):
        await trio.sleep(1)
        while connection.is_open:
            await connection.receive()

    async with serve_memory(handler) as served:
        async with connect_endpoint(URL, stream=served.connect()) as client:
            await client.send("abc")
            await client.send("de")
            await trio.testing.wait_all_tasks_blocked()
            now = served.server.statistics()
            assert (now.inbox_messages, now.inbox_bytes) == (2, 5 + 256)
            await trio.sleep(2)
            assert served.server.statistics().inbox_messages == 0
        await trio.testing.wait_all_tasks_blocked()
        now = served.server.statistics()
        assert (now.write_queue_frames, now.write_queue_bytes, now.tasks_waiting_send) == (0, 0, 0)


async def test_instruments_of_a_server(autojump_clock):
    class Recorder(Instrument):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def connection_opened(self, connection: Connection) -> None:
            self.heard.append(("opened", connection.id))

        def connection_closed(self, connection: Connection, statistics: Any) -> None:
            self.heard.append(("closed", connection.id, str(statistics.close_cause)))

        def handshake_refused(self, error: Exception, peer: Peer | None) -> None:
            self.heard.append(("refused", type(error).__name__, str(error), peer))

    recorder = Recorder()
    limits = ServerLimits(connections=2)
    async with serve_memory(instruments=[recorder], server_limits=limits) as served:
        first = await served.connect_raw()
        silent = served.connect()
        await trio.testing.wait_all_tasks_blocked()
        third = served.connect()
        await third.send_all(request())
        assert (await read_response(third)).status == 503
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await silent.aclose()
        await trio.testing.wait_all_tasks_blocked()
        last = served.connect()
        assert await open_raw(last) == b""
    memory = Peer(address=None, transport="stream")
    gone = "the client closed the connection before its request was read"
    assert recorder.heard == [
        ("opened", "1"),
        (
            "refused",
            "HandshakeError",
            "the server has as many connections as it takes (ServerLimits.connections)",
            memory,
        ),
        ("closed", "1", "lost"),
        ("refused", "HandshakeError", gone, memory),
        ("opened", "4"),
        ("closed", "4", "local"),
    ]
