"""Memory is bounded in bytes, both ways."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    away,
    both_forms,
    connection_pair,
    half_pair,
    may_lose,
    served,
    settle,
    tight_pair,
)
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionEnded,
    ConnectionLost,
    Limits,
    PingFrame,
    PongFrame,
    TextFrame,
)

pytestmark = both_forms

OVERHEAD = 128


@pytest.mark.parametrize(("size", "held"), [(0, 8), (1, 8), (128, 4), (1000, 1)])
async def test_reading_stops_at_the_receive_buffer(size: int, held: int) -> None:
    limits = Limits(receive_buffer=1024)
    ours, theirs = half_pair()
    ours.chop = 100
    async with served((ours, theirs), limits=limits) as (connection, peer):
        await peer.send(*(BinaryFrame(bytes(size)) for _ in range(100)))
        await away()
        now = connection.statistics()
        assert now.inbox_messages == held
        assert now.inbox_bytes == held * (size + OVERHEAD)
        assert ours.unread > 0
        before = ours.unread
        await trio.sleep(10)
        assert ours.unread == before
        for number in range(100):
            assert await connection.receive() == bytes(size)
            await settle()
            assert connection.statistics().inbox_messages == min(held, 99 - number)
        assert ours.unread == 0


async def test_reading_stops_inside_a_message_that_nobody_waits_for() -> None:
    ours, theirs = half_pair()
    ours.chop = 100
    async with served((ours, theirs), limits=Limits(receive_buffer=1024)) as (connection, peer):
        await peer.send(BinaryFrame(bytes(5000)), BinaryFrame(b"next"))
        await away()
        assert 3500 < ours.unread < 4100
        assert connection.statistics().inbox_messages == 0
        with trio.move_on_after(0):
            await trio.lowlevel.checkpoint()
        assert await connection.receive() == bytes(5000)
        assert await connection.receive() == b"next"


async def test_reading_resumes_as_the_app_takes() -> None:
    async with connection_pair(
        streams=tight_pair(),
        client={"limits": Limits(send_buffer=1)},
        server={"limits": Limits(receive_buffer=1)},
    ) as (client, server):
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(50):
                await client.send(b"x" * 70_000)
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await settle()
            assert sent <= 4
            for number in range(50):
                assert len(await server.receive()) == 70_000
                await settle()
                assert sent <= number + 5
        assert sent == 50


async def test_pings_wait_unread_while_the_inbox_is_full_and_are_answered_then() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(receive_buffer=1)) as (connection, peer):
        await peer.send(TextFrame("a"))
        await settle()
        await peer.send(PingFrame(b"?"))
        await settle()
        assert ours.unread > 0
        assert await connection.receive() == "a"
        assert await peer.next_frame() == PongFrame(b"?")


@pytest.mark.parametrize("way", ["close", "eof", "aclose"])
async def test_an_end_while_the_inbox_is_full(way: str) -> None:
    async with served(limits=Limits(receive_buffer=1)) as (connection, peer):
        await peer.send(TextFrame("a"), TextFrame("b"), TextFrame("c"))
        if way == "close":
            await peer.send(CloseFrame(1000))
        await peer.end_sending()
        await settle()
        if way == "aclose":
            await connection.aclose()
            assert connection.statistics().inbox_messages == 0
            return
        assert [await connection.receive() for _ in range(3)] == ["a", "b", "c"]
        with pytest.raises(ConnectionEnded if way == "close" else ConnectionLost):
            await connection.receive()


async def test_sending_waits_above_the_send_buffer() -> None:
    ours, theirs = half_pair()
    async with (
        may_lose(),
        served((ours, theirs), limits=Limits(send_buffer=1000)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send("the writer has this one")
        await settle()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                await connection.send(b"x" * 100)
                sent += 1

        nursery.start_soon(send)
        await settle()
        assert 8 <= sent <= 10
        now = connection.statistics()
        assert now.write_queue_bytes >= 1000
        assert now.tasks_waiting_send == 1
        held = sent
        await trio.sleep(10)
        assert sent == held
        ours.room = None
        assert await peer.next_frame() == TextFrame("the writer has this one")
        for _ in range(held + 10):
            assert await peer.next_frame() == BinaryFrame(b"x" * 100)
        nursery.cancel_scope.cancel()


async def test_fragments_are_joined_as_they_come_and_counted() -> None:
    async with served(limits=Limits(message_size=100)) as (connection, peer):
        await peer.send(TextFrame("x" * 60, fin=False))
        await peer.stream.send_all(b"\x80\xa9\x00\x00\x00\x00")  # 41 bytes more: one too many
        with pytest.raises(ConnectionLost, match="101 bytes"):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1009


async def test_a_message_of_exactly_the_limit() -> None:
    async with served(limits=Limits(message_size=100)) as (connection, peer):
        await peer.send(BinaryFrame(bytes(100)))
        assert await connection.receive() == bytes(100)


#: What is held for a connection, without what its memory streams hold.
OURS = [
    tracemalloc.Filter(True, "*/trio_wsendpoint/*"),
    tracemalloc.Filter(False, "*/trio_wsendpoint/testing/*"),
]
#: What `docs/limits.md` states for a connection whose peer does not read, in bytes.
STATED = 256 * 1024


@pytest.mark.parametrize(
    "size",
    [0, 100, 1_000, 4_000, 9_000, 16_384, 21_000, 22_000, 32_000, 33_000, 45_000, 60_000, 65_536],
)
@pytest.mark.parametrize("cut", [1, 3])
async def test_an_echo_to_a_peer_that_reads_nothing_holds_what_is_stated(
    size: int, cut: int
) -> None:
    ours, theirs = half_pair()
    async with (
        may_lose(),
        served((ours, theirs)) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        ours.room = size // cut  # so a frame is half written
        frame = BinaryFrame(bytes(size), mask=b"abcd").to_bytes()
        frames = memoryview(frame * (500_000 // len(frame)))

        async def echo() -> None:
            async for message in connection:
                await connection.send(message)

        await settle()
        gc.collect()
        tracemalloc.start()
        try:
            nursery.start_soon(echo)
            while not ours.unread:
                piece, frames = frames[:8192], frames[8192:]
                await theirs.send_all(piece)
                await away()
            gc.collect()
            snapshot = tracemalloc.take_snapshot().filter_traces(OURS)
            held = sum(trace.size for trace in snapshot.traces)
        finally:
            tracemalloc.stop()
        assert frames  # reading has stopped
        assert held <= STATED - 16 * 1024  # an idle one costs the rest
        nursery.cancel_scope.cancel()
