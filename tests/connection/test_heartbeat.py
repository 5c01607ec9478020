"""Pings to a silent peer, and what counts as a sign of life."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    Clock,
    away,
    both_forms,
    connected,
    connection_pair,
    half_pair,
    loud_records,
    served,
    settle,
)
from trio_wsendpoint import (
    ConnectionClosed,
    ConnectionLost,
    Heartbeat,
    Limits,
    PongFrame,
    TextFrame,
    Timeouts,
)

pytestmark = both_forms


@pytest.mark.parametrize("opened", [served, connected])
@pytest.mark.parametrize(("interval", "max_pings"), [(15, 3), (4, 1), (2.5, 0)])
async def test_a_silent_peer_is_given_up(
    opened, interval: float, max_pings: int, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat = Heartbeat(interval=interval, max_pings=max_pings)
    async with (
        opened(heartbeat=heartbeat, timeouts=Timeouts(close=3)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        clock = Clock()
        seen = []

        async def watch() -> None:
            while (frame := await peer.next_frame()) is not None:
                seen.append((clock.now, frame.type))

        nursery.start_soon(watch)
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert clock.now == interval * (max_pings + 1)
        assert f"Unanswered ping(s): {max_pings}" in str(caught.value)
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002
        await connection.wait_closed()
        assert clock.now == interval * (max_pings + 1) + 3
        await settle()
        pings = [(interval * (number + 1), "ping") for number in range(max_pings)]
        assert seen == [*pings, (interval * (max_pings + 1), "close")]
    assert loud_records(caplog) == []


async def test_a_silent_peer_is_given_up_while_a_send_is_blocked() -> None:
    ours, theirs = half_pair()
    async with served(
        (ours, theirs),
        heartbeat=Heartbeat(interval=4, max_pings=2),
        timeouts=Timeouts(write=1000, close=3),
        limits=Limits(send_buffer=1),
    ) as (connection, _):
        ours.room = 0
        await connection.send("stuck")
        await settle()
        await connection.send("queued")
        clock = Clock()
        with pytest.raises(ConnectionLost) as caught:
            await connection.send("waits")
        assert clock.now == 12
        assert "Unanswered ping(s): 2" in str(caught.value)
        await connection.wait_closed()
        assert clock.now == 15
        assert ours.closes >= 1


async def test_a_peer_that_answers_lives_for_ever() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.answer_pings)
        await trio.sleep(5_000)
        assert connection.is_open
        nursery.cancel_scope.cancel()


async def test_two_of_ours_keep_each_other_alive() -> None:
    async with connection_pair() as (client, server):
        await trio.sleep(5_000)
        await client.send("there?")
        assert await server.receive() == "there?"


async def test_any_byte_is_a_sign_of_life() -> None:
    async with served(heartbeat=Heartbeat(interval=4, max_pings=1)) as (connection, peer):
        for byte in peer.to_bytes(TextFrame("x" * 50)):
            await trio.sleep(3.5)
            await peer.stream.send_all(bytes([byte]))
        assert await connection.receive() == "x" * 50
        await peer.end_sending()
        assert await peer.rest() == []  # not one ping was needed


async def test_data_is_as_good_as_a_pong() -> None:
    async with (
        served(heartbeat=Heartbeat(interval=4, max_pings=2)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        pings = 0

        async def count() -> None:
            nonlocal pings
            while await peer.next_frame() is not None:
                pings += 1

        nursery.start_soon(count)
        for _ in range(10):
            await trio.sleep(11.5)  # two pings have gone out, and the third beat is near
            await peer.send(TextFrame("x"))
            assert await connection.receive() == "x"
        assert connection.is_open
        assert pings == 20
        nursery.cancel_scope.cancel()


async def test_pongs_that_nobody_asked_for_are_ignored_unless_told_otherwise() -> None:
    async with served() as (connection, peer):
        await peer.send(PongFrame(b"unasked"), TextFrame("x"))
        assert await connection.receive() == "x"
        assert connection.is_open
    async with served(unrecognized_pong="close") as (connection, peer):
        await peer.send(PongFrame(b"unasked"))
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert await peer.expect_close() == (1002, "unrecognized pong")


async def test_no_heartbeat() -> None:
    async with served(heartbeat=None) as (connection, peer):
        await trio.sleep(1e6)
        assert connection.is_open
        await peer.end_sending()
        assert await peer.rest() == []


async def test_the_app_may_be_busy_for_minutes() -> None:
    """The reader answers while the app does something else."""
    async with connection_pair() as (client, server):
        await client.send("do something")
        assert await server.receive() == "do something"
        await trio.sleep(1000)
        await server.send("done")
        assert await client.receive() == "done"


async def test_a_peer_is_not_judged_while_we_do_not_read() -> None:
    limits = Limits(receive_buffer=1000)
    async with served(limits=limits, heartbeat=Heartbeat(interval=4, max_pings=1)) as (
        connection,
        peer,
    ):
        await peer.send(*(TextFrame("x") for _ in range(3_000)))
        await trio.sleep(1000)
        for _ in range(3_000):
            assert await connection.receive() == "x"
        assert connection.is_open
        # From now on it is.
        clock = Clock()
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert clock.now == 8


async def test_the_silence_is_counted_from_when_we_read_again() -> None:
    heartbeat = Heartbeat(interval=4)
    async with served(limits=Limits(receive_buffer=1), heartbeat=heartbeat) as (connection, peer):
        clock = Clock()
        await peer.send(TextFrame("a"), TextFrame("b"))
        await trio.sleep(3.5)
        assert [await connection.receive(), await connection.receive()] == ["a", "b"]
        frame = await peer.next_frame()
        assert frame is not None
        assert frame.type == "ping"
        assert clock.now == 7.5


async def test_two_of_ours_survive_an_app_that_is_busy_while_its_inbox_is_full() -> None:
    """A side that does not read cannot answer pings; it has to show otherwise that it lives."""
    async with connection_pair(server={"limits": Limits(receive_buffer=1000)}) as (client, server):
        for _ in range(3_000):
            await client.send("x")
        await away()
        assert server.statistics().inbox_bytes >= 1000
        await trio.sleep(1000)
        assert client.is_open
        assert server.is_open
        for _ in range(3_000):
            assert await server.receive() == "x"


async def test_the_process_was_asleep() -> None:
    """A suspended machine asks again before it judges (E105)."""
    heartbeat = Heartbeat(interval=4, max_pings=1)
    async with served(heartbeat=heartbeat) as (connection, peer):
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        await trio.sleep(4)
        await settle()
        assert (await peer.next_frame()) is not None  # the first ping, which nobody answers
        clock.jump(30_000)
        await settle()
        assert connection.is_open
        frame = await peer.next_frame()
        assert frame is not None
        assert frame.type == "ping"
        await trio.sleep(3.5)
        await peer.send(PongFrame(frame.payload))
        await trio.sleep(1)
        assert connection.is_open


async def test_bytes_that_came_while_the_process_was_asleep_count() -> None:
    """The reader gets its turn before the peer is judged (E106)."""
    heartbeat = Heartbeat(interval=4, max_pings=0)
    for _ in range(10):  # Trio draws the order of the tasks
        async with served(heartbeat=heartbeat) as (connection, peer):
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, trio.testing.MockClock)
            await settle()
            await peer.send(TextFrame("x"))
            clock.jump(5)
            assert await connection.receive() == "x"
            await settle()
            assert connection.is_open


async def test_the_app_s_own_pings_do_not_count_as_the_heartbeat_s() -> None:
    """`interval * (max_pings + 1)` holds, however many `ping()` calls are waiting."""
    async with (
        served(heartbeat=Heartbeat(interval=4, max_pings=2)) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        clock = Clock()

        async def ping() -> None:
            with pytest.raises(ConnectionClosed):
                await connection.ping()

        for _ in range(5):
            nursery.start_soon(ping)
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert clock.now == 12
