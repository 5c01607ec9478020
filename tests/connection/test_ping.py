"""`ping()`, and the pongs that we owe."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    AWAY,
    Clock,
    away,
    both_forms,
    connection_pair,
    half_pair,
    is_non_blocking,
    served,
    settle,
)
from trio_wsendpoint import (
    ConnectionClosedLocally,
    ConnectionLost,
    Heartbeat,
    Limits,
    PingFrame,
    PingStore,
    PongFrame,
    TextFrame,
    Timeouts,
)

pytestmark = both_forms


async def test_the_round_trip_in_seconds() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        times = []

        async def ping() -> None:
            times.append(await connection.ping())

        nursery.start_soon(ping)
        frame = await peer.next_frame()
        assert frame is not None
        await trio.sleep(0.125)
        await peer.send(PongFrame(frame.payload))
        await settle()
        assert times == [0.125]


async def test_two_of_ours() -> None:
    async with connection_pair() as (client, server):
        # Nobody is in receive(): it takes a moment until the reader tasks read, once.
        assert await client.ping() <= (AWAY if is_non_blocking() else 0)
        await away()
        assert await client.ping() == 0
        with trio.testing.assert_checkpoints():
            assert await server.ping() == 0


async def test_the_clock_starts_when_the_ping_leaves() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.room = 0
        await connection.send("before it")
        await settle()
        times = []

        async def ping() -> None:
            times.append(await connection.ping())

        nursery.start_soon(ping)
        await trio.sleep(5)
        ours.room = None
        assert await peer.next_frame() == TextFrame("before it")
        frame = await peer.next_frame()
        assert frame is not None
        await trio.sleep(0.5)
        await peer.send(PongFrame(frame.payload))
        await settle()
        assert times == [0.5]


async def test_one_pong_answers_the_pings_before_it_too() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        clock = Clock()
        done: list[tuple[int, float, float]] = []

        async def ping(number: int) -> None:
            done.append((number, await connection.ping(), clock.now))

        frames = []
        for number in range(4):
            nursery.start_soon(ping, number)
            frames.append(await peer.next_frame())
            await trio.sleep(1)
        assert frames[2] is not None
        await peer.send(PongFrame(frames[2].payload))
        await settle()
        assert sorted(done) == [(0, 4, 4), (1, 3, 4), (2, 2, 4)]
        await peer.send(PongFrame(frames[2].payload))  # again: recognised, and of no use
        await settle()
        assert len(done) == 3
        assert frames[3] is not None
        await trio.sleep(1)
        await peer.send(PongFrame(frames[3].payload))
        await settle()
        assert done[3] == (3, 2, 5)


async def test_a_pong_for_a_later_ping_of_the_heartbeat_answers_too() -> None:
    """RFC 6455 section 5.5.3: a peer may answer the most recent ping only."""
    async with (
        served(heartbeat=Heartbeat(interval=4)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        done = []

        async def ping() -> None:
            done.append(await connection.ping())

        nursery.start_soon(ping)
        assert await peer.next_frame() is not None
        beat = await peer.next_frame()
        assert beat is not None
        assert done == []
        await peer.send(PongFrame(beat.payload))
        await settle()
        assert done == [4]


async def test_a_pong_for_a_later_ping_that_was_cancelled_answers_too() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        done = []

        async def ping() -> None:
            done.append(await connection.ping())

        nursery.start_soon(ping)
        assert await peer.next_frame() is not None
        with trio.move_on_after(1):
            await connection.ping()
        later = await peer.next_frame()
        assert later is not None
        await peer.send(PongFrame(later.payload))
        await settle()
        assert done == [1]


async def test_a_pong_for_a_ping_that_has_not_left_answers_nothing() -> None:
    """A peer that knew our secret would know the next ping."""
    ours, theirs = half_pair()
    twin = PingStore(lambda size: bytes(range(size)))
    async with (
        served((ours, theirs), random_bytes=lambda size: bytes(range(size))) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        done = 0

        async def ping() -> None:
            nonlocal done
            await connection.ping()
            done += 1

        nursery.start_soon(ping)
        first = await peer.next_frame()
        assert first is not None
        assert first.payload == twin.add()
        await peer.send(PongFrame(first.payload))
        await settle()
        ours.room = 0
        await connection.send("stuck")
        await settle()
        nursery.start_soon(ping)
        await settle()
        guess = PongFrame(twin.add())
        await peer.send(guess)
        await settle()
        assert done == 1
        ours.room = None
        assert await peer.next_frame() == TextFrame("stuck")
        await peer.next_frame()
        await peer.send(guess)
        await settle()
        assert done == 2


async def test_at_most_16_are_out_at_a_time() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        done = 0

        async def ping() -> None:
            nonlocal done
            await connection.ping()
            done += 1

        for _ in range(40):
            nursery.start_soon(ping)
        await settle()
        for expected in (16, 32, 40):
            frames = [await peer.next_frame() for _ in range(expected - done)]
            with trio.move_on_after(0.1) as scope:
                await peer.next_frame()
            assert scope.cancelled_caught
            last = frames[-1]
            assert last is not None
            await peer.send(PongFrame(last.payload))
            await settle()
            assert done == expected


async def test_a_cancelled_ping_frees_its_place() -> None:
    async with served() as (connection, peer):
        for _ in range(20):
            with trio.move_on_after(0.01) as scope:
                await connection.ping()
            assert scope.cancelled_caught
        frames = [await peer.next_frame() for _ in range(20)]
        assert all(frame is not None and frame.type == "ping" for frame in frames)
        assert connection.is_open
        # The pong of a ping that nobody waits for is no error.
        assert frames[0] is not None
        await peer.send(PongFrame(frames[0].payload), TextFrame("x"))
        assert await connection.receive() == "x"
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.ping()
        assert scope.cancelled_caught


@pytest.mark.parametrize("by_us", [True, False])
async def test_pings_end_with_the_connection(by_us: bool) -> None:
    async with served(timeouts=Timeouts(close=1)) as (connection, peer):
        ended = 0

        async def ping() -> None:
            nonlocal ended
            with pytest.raises(ConnectionClosedLocally if by_us else ConnectionLost):
                await connection.ping()
            ended += 1

        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(ping)
            await settle()
            if by_us:
                await connection.aclose()
            else:
                await peer.stream.aclose()
        assert ended == 40


# ---- the pongs that we owe -------------------------------------------------------------------


async def test_pings_are_answered_while_the_app_is_busy() -> None:
    async with served() as (_, peer):
        await peer.send(PingFrame(b"are you there?"))
        assert await peer.next_frame() == PongFrame(b"are you there?")


async def test_pongs_pass_messages_that_have_not_begun() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        ours.room = 0
        await connection.send("begun")
        await settle()
        await connection.send("waits")
        await peer.send(PingFrame(b"?"))
        await away()
        ours.room = None
        assert await peer.next_frame() == TextFrame("begun")
        assert await peer.next_frame() == PongFrame(b"?")
        assert await peer.next_frame() == TextFrame("waits")


async def test_a_pong_passes_the_fragments_of_a_large_message() -> None:
    ours, theirs = half_pair()
    limits = Limits(fragment_size=262_144)
    async with served((ours, theirs), limits=limits) as (connection, peer):
        ours.room = 0
        await connection.send(b"x" * 1_000_000)
        await settle()
        await peer.send(PingFrame(b"?"))
        await away()
        ours.room = None
        types: list[str] = []
        while len(types) < 5:
            frame = await peer.next_frame()
            assert frame is not None
            types.append(frame.type)
        assert types == ["binary", "pong", "continuation", "continuation", "continuation"]


async def test_one_pong_waits_the_latest() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(control_rate=20_000)) as (connection, peer):
        ours.room = 0
        await connection.send("stuck")
        await settle()
        for number in range(2_000):
            await peer.stream.send_all(peer.to_bytes(PingFrame(str(number).encode())))
        await away()
        now = connection.statistics()
        assert now.write_queue_frames == 1
        assert now.write_queue_bytes <= 125 + 14
        ours.room = None
        assert await peer.next_frame() == TextFrame("stuck")
        assert await peer.next_frame() == PongFrame(b"1999")


async def test_no_flood_of_pings_displaces_our_close() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.room = 0
        await connection.send("stuck")
        await settle()
        await peer.send(PingFrame(b"before"))
        await away()
        nursery.start_soon(connection.aclose)
        await settle()
        await peer.send(*(PingFrame(b"after") for _ in range(1000)))
        await settle()
        ours.room = None
        assert await peer.next_frame() == TextFrame("stuck")
        assert await peer.next_frame() == PongFrame(b"before")
        assert await peer.answer_close() == (1000, "")


async def test_latency_is_that_of_the_last_ping_that_was_answered() -> None:
    heartbeat = Heartbeat(interval=4)
    async with served(heartbeat=heartbeat) as (connection, peer):
        assert connection.latency is None
        frame = await peer.next_frame()  # the heartbeat's
        assert isinstance(frame, PingFrame)
        await trio.sleep(0.25)
        await peer.send(PongFrame(frame.payload))
        await away()
        assert connection.latency == pytest.approx(0.25, abs=0.07)
        assert connection.statistics().round_trip is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.ping)
            frame = await peer.next_frame()
            assert isinstance(frame, PingFrame)
            await peer.send(PongFrame(b"another"))
            await trio.sleep(0.5)
            await peer.send(PongFrame(frame.payload))
        assert connection.latency == connection.statistics().round_trip
        assert connection.latency == pytest.approx(0.5, abs=0.07)
