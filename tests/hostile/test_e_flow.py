"""Rows E80 to E94: peers that do not read, do not stop, do not answer, or do not end well."""

from __future__ import annotations

import gc
import socket
import struct
import time
import tracemalloc
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import Clock, HalfStream, Peer, half_pair
from tests.hostile.measure_memory import fragments, ping_flood, pinned
from tests.hostile.server_under_test import (
    hold,
    open_raw,
    poll,
    read_all,
    request,
    server_under_test,
)
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    from_client,
    server,
)
from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ConnectionClosed,
    ConnectionLost,
    Heartbeat,
    Limits,
    PingFrame,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.testing import connection_pair, memory_stream_pair

KIB = 1024


class Throttled:
    """Streams for the server of which the last can be told how much the peer accepts."""

    def __init__(self) -> None:
        self.ours: HalfStream

    def __call__(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        self.ours, theirs = half_pair()
        return theirs, self.ours


async def visitor_of(under_test: Any) -> Connection:
    """The server's connection to the one peer that is not a bystander."""
    await poll(lambda: under_test.visitors() == 1 and not under_test.server.statistics().opening)
    (visitor,) = under_test.server.connections[len(under_test.bystanders) :]
    assert isinstance(visitor, Connection)
    return visitor


async def open_small(port: int) -> trio.SocketStream:
    """A raw WebSocket whose peer has little room for what it does not read."""
    made = trio.socket.socket(socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await made.connect(("127.0.0.1", port))
    stream = trio.SocketStream(made)
    await open_raw(stream)
    return stream


async def test_e80_a_peer_that_reads_nothing():
    raised = trio.Event()

    async def flood(connection: Connection) -> None:
        with pytest.raises(ConnectionLost, match="accepted nothing for 0") as caught:  # noqa: PT012
            while True:
                await connection.send(bytes(50_000))
                # What is held is bounded, whatever the kernel takes.
                assert connection.statistics().write_queue_bytes <= 64 * KIB + 50_100
        assert caught.value.code == 1006
        raised.set()

    async with server_under_test(flood, timeouts=Timeouts(write=0.4)) as under_test:
        stream = await open_small(under_test.server.port)
        under_test.streams.append(stream)
        with trio.fail_after(60):
            await raised.wait()
        await under_test.check_bystanders()


async def test_e80_a_peer_that_reads_slowly_but_reads(autojump_clock):
    """Progress is a byte, not a message or a buffer of ours."""

    async def handler(connection: Connection) -> None:
        await connection.send(bytes(250_000))
        await connection.wait_closed()

    async with server_under_test(
        handler,
        timeouts=Timeouts(write=0.5),
        make_pair=lambda: memory_stream_pair(capacity=4096),
    ) as under_test:
        stream = await under_test.connect()
        got = len(await open_raw(stream))
        visitor = await visitor_of(under_test)
        for _ in range(60):  # 1.2 s
            await trio.sleep(0.02)
            got += len(await stream.receive_some(500))
        assert 20_000 < got < 40_000  # not one piece of 64 KiB was taken whole
        assert visitor.is_open


async def test_e81_the_heartbeat_does_not_wait_behind_data(autojump_clock):
    throttled = Throttled()
    ended: list[float] = []
    clock = Clock()

    async def handler(connection: Connection) -> None:
        throttled.ours.room = 0
        with pytest.raises(ConnectionLost):  # noqa: PT012 - some time, it does
            while True:
                await connection.send(bytes(100_000))
        await connection.wait_closed()
        ended.append(clock.now)

    async with server_under_test(
        handler,
        make_pair=throttled,
        heartbeat=Heartbeat(interval=5, max_pings=1),
        timeouts=Timeouts(write=1000, close=3),
    ) as under_test:
        await under_test.open()
        await trio.sleep(20)
        assert ended == [5 * 2 + 3]


async def test_e82_a_ping_flood_from_a_peer_that_does_not_read(autojump_clock):
    throttled = Throttled()
    seen: list[Connection] = []

    async def handler(connection: Connection) -> None:
        seen.append(connection)
        await hold(connection)

    async with server_under_test(
        handler, make_pair=throttled, timeouts=Timeouts(write=7), heartbeat=None
    ) as under_test:
        stream = await under_test.open()
        throttled.ours.room = 0
        clock = Clock()
        for number in range(900):
            await stream.send_all(from_client(PING, b"%3d" % number + b"x" * 120))
            await trio.testing.wait_all_tasks_blocked()
            assert seen[0].statistics().write_queue_frames <= 1
        # The one that the writer has in hand, and the latest; none of those between.
        throttled.ours.room = 100_000
        peer = Peer(stream, masks=True)
        pongs = [await peer.next_frame(), await peer.next_frame()]
        assert [pong is not None and pong.payload[:3] for pong in pongs] == [b"  0", b"899"]
        throttled.ours.room = 0
        await stream.send_all(from_client(PING, b""))
        await seen[0].wait_closed()
        assert clock.now == 7  # whatever it sends, it has to read some time
    held, peak = await ping_flood(20_000)
    print(f"E82: {held} bytes are held, {peak} at the most")
    assert held <= 64 * KIB


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_e83_floods_of_control_frames(opcode, autojump_clock):
    async with server_under_test() as under_test:
        # A thousand in a second are welcome, however they come.
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        for _ in range(3):
            await stream.send_all(from_client(opcode, b"x") * 1000)
            if opcode == PING:
                assert [await peer.next_frame() for _ in range(1000)].count(None) == 0
            await under_test.check_bystanders()
            await trio.sleep(1)
        await stream.send_all(from_client(opcode, b"x") * 1001)
        rest = await peer.rest()
        told = "more than 1000 control frames in a second (Limits.control_rate)"
        assert rest[-1][1] == close_payload(1008, told)
        assert [kind for kind, _ in rest[:-1]] == ["pong"] * (1001 if opcode == PING else 0)
        # One that closes with the last of them has closed in order.
        stream = await under_test.open()
        await stream.send_all(from_client(opcode, b"x") * 1000 + from_client(CLOSE, b"\x03\xe8"))
        assert (await Peer(stream, masks=True).rest())[-1] == ("close", b"\x03\xe8")
    endpoint = server(unrecognized_pong="ignore")
    endpoint.receive_data(from_client(opcode, b"x" * 8) * 5000)
    assert endpoint.get_next_message() is None
    assert endpoint.get_write_queue_size() == (opcode == PING)


@pytest.mark.figure
@pytest.mark.parametrize("opcode", [PING, PONG])
def test_e83_a_control_frame_takes_200_us_of_cpu(opcode):
    count = 5000
    endpoint = server(unrecognized_pong="ignore")
    flood = from_client(opcode, b"x" * 8) * count
    began = time.process_time()
    endpoint.receive_data(flood)
    endpoint.get_next_message()
    assert (time.process_time() - began) / count * 1e6 < 200


@pytest.mark.parametrize("in_parts", [False, True])
async def test_e84_a_million_empty_fragments(in_parts, autojump_clock):
    told: list[ConnectionClosed] = []

    async def handler(connection: Connection) -> None:
        with pytest.raises(ConnectionLost) as caught:  # noqa: PT012 - one of two calls
            if in_parts:
                async with connection.receive_stream() as chunks:
                    async for _ in chunks:
                        raise AssertionError("a chunk of nothing")
            else:
                await connection.receive()
        told.append(caught.value)

    start = from_client(TEXT, b"", fin=False)
    async with server_under_test(handler) as under_test:
        stream = await under_test.open()
        await stream.send_all(start + from_client(CONTINUATION, b"", fin=False) * 1_000_000)
        code, reason = await Peer(stream, masks=True).expect_close()
        limit = "the limit is 4096 (Limits.fragments)"
        assert (code, reason) == (1008, f"a message of 0 bytes in 4097 frames, {limit}")
        await trio.testing.wait_all_tasks_blocked()
        assert str(told[0]).startswith("a message of 0 bytes in 4097 frames")
    # What is legal: 4 MiB in fragments of 64 octets (Autobahn 9.3.1).
    endpoint = server(limits=Limits(message_size=4096 * KIB))
    endpoint.receive_data(from_client(BINARY, b"x" * 64, fin=False))
    more = from_client(CONTINUATION, b"x" * 64, fin=False)
    endpoint.receive_data(more * (65536 - 2))
    assert endpoint.get_next_message() is None
    endpoint.receive_data(from_client(CONTINUATION, b"x" * 64))
    message = endpoint.get_next_message()
    assert message is not None
    assert message.size == 4096 * KIB


def test_e85_fragments_are_counted_per_message():
    endpoint = server()
    one = from_client(TEXT, b"")
    fragmented = (
        from_client(TEXT, b"", fin=False)
        + from_client(CONTINUATION, b"", fin=False) * 4094
        + from_client(CONTINUATION, b"")
    )
    got = 0
    for _ in range(10):
        for data in one * 2000, fragmented:
            endpoint.receive_data(data)
            while endpoint.get_next_message() is not None:
                got += 1
    assert got == 10 * 2001
    assert endpoint.is_open


def test_e86_what_fragments_cost_while_they_are_held():
    each = pinned(fragments=4095, connections=3)
    print(f"E86: {each:.1f} bytes a fragment beside its payload")
    # Nine of them say where it began, for `Message.get_frames()`; the rest is the growing room.
    assert each < 13
    held, peak = fragments(20_000)
    print(f"E86: {held} bytes are held, {peak} at the most")
    assert peak <= 1.1 * 1024 * KIB


async def test_e87_an_app_that_does_not_read(autojump_clock):
    seen: list[Connection] = []

    async def handler(connection: Connection) -> None:
        seen.append(connection)
        await hold(connection)

    # That its peer has gone shows when a heartbeat's ping cannot be written: it does not read.
    async with server_under_test(handler, settle_within=60) as under_test:
        for size in 0, 1, 5000, 1024 * KIB:
            stream = await under_test.open()
            data = from_client(BINARY, b"x" * size) * (4096 * KIB // (size + 14))
            gc.collect()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                await stream.send_all(data)
                await trio.testing.wait_all_tasks_blocked()
                # The kernel's part is played by the memory stream, which has copied `data`.
                statistics = seen[-1].statistics()
                in_stream = len(data) - statistics.bytes_received
                held = tracemalloc.get_traced_memory()[0] - before - in_stream
            finally:
                tracemalloc.stop()
            print(f"E87: messages of {size} bytes: {held} bytes held")
            assert statistics.bytes_received <= 3 * 64 * KIB
            assert statistics.inbox_bytes <= 64 * KIB + 5200
            assert held <= 1024 * KIB + 64 * KIB


async def test_e88_a_slow_app_keeps_its_healthy_peer(autojump_clock):
    received: list[str | bytes] = []
    over = trio.Event()

    async def handler(connection: Connection) -> None:
        async for message in connection:
            received.append(message)
            with trio.move_on_after(100):
                await over.wait()

    heartbeat = Heartbeat(interval=5, max_pings=2)
    async with server_under_test(
        handler,
        heartbeat=heartbeat,
        limits=Limits(control_rate=20, message_rate=10),
    ) as under_test:
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        async with trio.open_nursery() as nursery:

            async def talk() -> None:
                # A large message a second, pings between, pongs for whatever comes: all of it
                # in order, and all of it behind what the app does not take.
                for number in range(12):
                    await peer.send(TextFrame(f"{number}" + "x" * 40_000))
                    await trio.sleep(1)
                while True:
                    await peer.send(PingFrame(b"I live"))
                    await trio.sleep(1)

            nursery.start_soon(talk)
            nursery.start_soon(peer.answer_pings)
            while len(received) < 12:
                await trio.sleep(10)
                assert under_test.visitors() == 1
            over.set()
            nursery.cancel_scope.cancel()


async def test_e89_a_peer_that_has_gone_without_a_word(autojump_clock):
    throttled = Throttled()
    heartbeat = Heartbeat(interval=5, max_pings=2)
    timeouts = Timeouts(close=3)
    ended: list[float] = []
    clock = Clock()

    async def handler(connection: Connection) -> None:
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.sent == CloseFrame(1002, "Unanswered ping(s): 2")
        assert clock.now == 5 * 3
        await connection.wait_closed()
        ended.append(clock.now)

    async with server_under_test(
        handler, make_pair=throttled, heartbeat=heartbeat, timeouts=timeouts
    ) as under_test:
        tasks = under_test.tasks
        await under_test.open()
        await trio.sleep(5 * 3 + 3.5)
        assert ended == [5 * 3 + 3]
        assert trio.lowlevel.current_statistics().tasks_living <= tasks


def reset(stream: trio.SocketStream) -> None:
    """Close with a RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@pytest.mark.parametrize("how", ["reset", "fin", "fin between frames"])
async def test_e90_connections_that_break_off(how):
    received: list[Any] = []
    done = trio.Event()
    gone = trio.Event()

    async def handler(connection: Connection) -> None:
        await gone.wait()
        try:
            while True:
                received.append(await connection.receive())
        except ConnectionLost as error:
            received.append(error.code)
        await connection.wait_closed()
        done.set()

    async with server_under_test(handler) as under_test:
        # Inside the opening handshake.
        stream = await under_test.connect()
        await stream.send_all(request()[:40])
        reset(stream) if how == "reset" else await stream.aclose()
        # Inside a frame, behind two whole messages.
        stream = await under_test.open()
        await stream.send_all(from_client(TEXT, b"one") + from_client(TEXT, b"two"))
        if how != "fin between frames":
            await stream.send_all(from_client(TEXT, b"truncated")[:-1])
        visitor = await visitor_of(under_test)
        while visitor.statistics().bytes_received < 18:
            await trio.sleep(0.001)
        reset(stream) if how == "reset" else await stream.aclose()
        gone.set()
        with trio.fail_after(60):
            await done.wait()
        assert received == ["one", "two", 1006]


async def test_e90_tls_that_ends_without_saying_so(server_context, client_context, autojump_clock):
    ends: list[int] = []

    async def handler(connection: Connection) -> None:
        assert await connection.receive() == "whole"
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        ends.append(caught.value.code)

    async with server_under_test(
        handler, ssl_context=server_context, client_context=client_context
    ) as under_test:
        raw = await under_test.connect()
        stream = trio.SSLStream(raw, client_context, server_hostname="example.test")
        await open_raw(stream)
        await stream.send_all(from_client(TEXT, b"whole") + b"\x81")
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(raw)  # no close_notify
        await under_test.settled()
    assert ends == [1006]


async def test_e91_tls_where_none_is_and_the_reverse(server_context, client_context):
    async with server_under_test(timeouts=Timeouts(open=1, linger=0.2)) as under_test:
        stream = await under_test.connect()
        tls = trio.SSLStream(stream, client_context, server_hostname="localhost")
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            await tls.do_handshake()
        await under_test.settled()
    async with server_under_test(
        ssl_context=server_context, client_context=client_context, timeouts=Timeouts(open=0.5)
    ) as under_test:
        stream = await under_test.connect()
        await stream.send_all(request())  # HTTP to the TLS port
        with trio.fail_after(60):
            await read_all(stream)
        stream = await under_test.connect()  # a handshake that is never finished
        await stream.send_all(b"\x16\x03\x01\x02\x00\x01")
        with trio.fail_after(60):
            await read_all(stream)
        await under_test.settled()
    assert server_context.minimum_version.name == "TLSv1_2"


async def test_e92_a_peer_that_does_not_answer_our_close(autojump_clock):
    clock = Clock()

    async def handler(connection: Connection) -> None:
        connection.endpoint.close(1000)  # not even our aclose() is called
        connection._tasks.act()
        await trio.sleep(60)

    async with server_under_test(handler, heartbeat=None) as under_test:
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        assert await peer.rest() == [("close", b"\x03\xe8")]
        assert clock.now == 5
        await trio.sleep(56)


@pytest.mark.parametrize("first", ["client", "server", "both"])
async def test_e93_both_sides_close(first, autojump_clock):
    for _ in range(10):  # Trio draws the order of the tasks
        clock = Clock()
        async with connection_pair() as pair, trio.open_nursery() as nursery:
            if first != "server":
                nursery.start_soon(pair.client.aclose, 4001, "the client's")
                if first == "client":
                    await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(pair.server.aclose, 4002, "the server's")
            if first == "server":
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(pair.client.aclose, 4001, "the client's")
        assert clock.now == 0
        client, ours = pair.client.endpoint.closing, pair.server.endpoint.closing
        assert client.sent is not None
        assert ours.sent is not None
        assert str(client.sent) == str(ours.received)
        assert str(ours.sent) == str(client.received)
    async with server_under_test() as under_test:
        stream = await under_test.open()
        visitor = await visitor_of(under_test)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visitor.aclose, 4002)
            peer = Peer(stream, masks=True)
            await peer.send(CloseFrame(4001))
            assert [kind for kind, _ in await peer.rest()] == ["close"]


async def test_e94_frames_that_come_after_our_close(autojump_clock):
    async def handler(connection: Connection) -> None:
        await connection.receive()
        await connection.aclose()

    async with server_under_test(handler) as under_test:
        for data in (
            from_client(PING, b"x") * 3,
            from_client(PONG, b"x") * 3,
            from_client(TEXT, b"x") + from_client(BINARY, b"x", fin=False),
            from_client(TEXT, b"\xff"),
            from_client(TEXT, b"x" * 70_000),
            b"",
        ):
            stream = await under_test.open()
            peer = Peer(stream, masks=True)
            await peer.send(TextFrame("close, please"))
            assert await peer.expect_close() == (1000, "")
            clock = Clock()
            await stream.send_all(data)
            await peer.send(CloseFrame(1000), TextFrame("one more"), CloseFrame(1001))
            assert await peer.rest() == []  # neither a pong nor a second close
            assert clock.now == 0
