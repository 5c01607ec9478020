"""Every wait has an end, at the virtual second that the options say."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    Clock,
    both_forms,
    connected,
    half_pair,
    loud_records,
    plain_pair,
    served,
    settle,
)
from trio_wsendpoint import (
    CloseFrame,
    ConnectionClosedLocally,
    ConnectionLost,
    Limits,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.errors import PeerTooSlow

pytestmark = both_forms


async def test_a_peer_that_stops_reading(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(write=7)) as (connection, _peer):
        await settle()
        ours.room = 100_000
        clock = Clock()
        with pytest.raises(ConnectionLost) as caught:  # noqa: PT012
            while True:
                await connection.send(b"x" * 10_000)
        assert clock.now == 7
        error = caught.value
        assert error.code == 1006
        assert str(error) == "the peer accepted nothing for 7 s"
        assert type(error.__cause__) is PeerTooSlow
        await connection.wait_closed()
        assert clock.now == 7
        assert ours.closes >= 1
    assert loud_records(caplog) == []


async def test_a_peer_that_stops_reading_wakes_those_who_wait() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(write=7)) as (connection, _):
        ours.room = 0
        clock = Clock()
        woken = []

        async def wait(call) -> None:
            with pytest.raises(ConnectionLost):
                await call()
            woken.append(clock.now)

        await connection.send(b"x" * 30_000)
        await settle()
        await connection.send(b"x" * 65_536)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, connection.receive)
            nursery.start_soon(wait, connection.ping)
            nursery.start_soon(wait, lambda: connection.send("x"))
            nursery.start_soon(connection.wait_closed)
        assert woken == [7, 7, 7]


async def test_a_peer_that_reads_slowly_is_borne_with() -> None:
    ours, theirs = half_pair()
    async with (
        served(
            (ours, theirs),
            timeouts=Timeouts(write=5),
            heartbeat=None,
            limits=Limits(fragment_size=262_144),
        ) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send(b"x" * 1_000_000)

        async def read_slowly() -> None:
            while True:
                await trio.sleep(4)
                ours.room = 65_536

        nursery.start_soon(read_slowly)
        clock = Clock()
        frames = [await peer.next_frame() for _ in range(4)]
        assert sum(len(frame.payload) for frame in frames if frame is not None) == 1_000_000
        assert clock.now > 50
        assert connection.is_open
        nursery.cancel_scope.cancel()


async def test_a_peer_that_never_answers_our_close() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(close=3)) as (connection, peer):
        clock = Clock()
        await connection.aclose()
        assert clock.now == 3
        assert await peer.rest() == [("close", b"\x03\xe8")]
        with pytest.raises(ConnectionClosedLocally) as caught:
            await connection.receive()
        assert "did not close in time" in str(caught.value)
        assert caught.value.code == 1006


async def test_the_closing_has_one_deadline_whatever_the_peer_does_meanwhile() -> None:
    async with (
        served(timeouts=Timeouts(close=3)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):

        async def chat() -> None:
            while True:
                await trio.sleep(0.4)
                await peer.send(TextFrame("and another thing"))

        nursery.start_soon(chat)
        clock = Clock()
        nursery.start_soon(connection.aclose)
        await trio.sleep(1)
        nursery.start_soon(connection.aclose)
        await connection.wait_closed()
        assert clock.now == 3
        nursery.cancel_scope.cancel()


async def test_nobody_need_call_anything_for_a_close_to_end() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(close=2.9, linger=9)) as (_, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000))  # and then nothing, not even the end of the bytes
        while not ours.closes:
            await trio.sleep(0.25)
        assert clock.now == 3


async def test_a_peer_that_takes_nothing_after_its_close() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(write=3)) as (connection, peer):
        ours.room = 0
        clock = Clock()
        await peer.send(CloseFrame(1000))
        await connection.wait_closed()
        assert clock.now == 3
        assert ours.closes >= 1


@pytest.mark.parametrize("opened", [served, connected])
async def test_a_peer_that_violates_and_holds_on(opened) -> None:
    async with opened(timeouts=Timeouts(linger=0.75)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(b"\xff")
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert clock.now == 0
        await connection.wait_closed()
        assert clock.now == 0.75
        assert (await peer.expect_close())[0] == 1002


async def test_a_peer_that_violates_and_goes_on_sending_gets_to_read_why() -> None:
    ours, theirs = plain_pair()
    async with served((ours, theirs), timeouts=Timeouts(linger=2)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(b"\xff" + bytes(1 << 20))
        assert (await peer.expect_close())[0] == 1002
        await trio.sleep(0.5)
        await peer.stream.aclose()
        await connection.wait_closed()
        assert clock.is_at(0.5)


async def test_a_peer_that_violates_and_takes_nothing() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), timeouts=Timeouts(close=3, linger=1)) as (connection, peer):
        ours.room = 0
        clock = Clock()
        await peer.stream.send_all(b"\xff")
        await connection.wait_closed()
        assert clock.now == 3


async def test_no_deadline_at_all_may_be_asked_for() -> None:
    limitless = Timeouts(
        write=math.inf, drain=math.inf, close=math.inf, answer=math.inf, linger=math.inf
    )
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), timeouts=limitless, heartbeat=None) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send("x")
        nursery.start_soon(connection.aclose)
        await trio.sleep(1e6)
        assert ours.closes == 0
        ours.room = None
        assert await peer.next_frame() == TextFrame("x")
        await trio.sleep(1e6)
        await peer.answer_close()


@pytest.mark.parametrize(("drain", "arrives"), [(60, True), (4, False)])
async def test_a_close_behind_a_long_queue_waits_while_the_peer_takes_some(
    drain: float, arrives: bool
) -> None:
    ours, theirs = half_pair()
    limits, timeouts = Limits(send_buffer=1 << 20), Timeouts(write=1, drain=drain, close=3)
    async with (
        served((ours, theirs), limits=limits, timeouts=timeouts) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        for _ in range(10):
            await connection.send(b"x" * 60_000)

        async def read_slowly() -> None:
            while True:
                await trio.sleep(0.5)
                ours.room = 60_000

        nursery.start_soon(read_slowly)
        clock = Clock()
        if arrives:
            await connection.aclose()
            assert clock.now == 8.5  # all is taken after 5.5 s, and then the peer has 3
            assert connection.statistics().bytes_sent == 10 * 60_004 + 4
        else:
            with pytest.raises(ConnectionLost, match=r"bytes of messages could not be sent"):
                await connection.aclose()
            assert clock.now == 4
        nursery.cancel_scope.cancel()
