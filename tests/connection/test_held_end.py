"""A close or a violation takes effect in its place in the stream, however the bytes are cut."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import Clock, Peer, away, both_forms, half_pair, served, settle
from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ConnectionEnded,
    ConnectionLost,
    Limits,
    PingFrame,
    PongFrame,
    TextFrame,
    Timeouts,
)

pytestmark = both_forms

MASKED = b"\x80\x00\x00\x00\x00"
#: What ends the stream, and the code that the peer is told.
ENDS: dict[str, tuple[bytes, int | None]] = {
    "opcode": (b"\x83" + MASKED, 1002),
    "size": (b"\x82\xfe\x03\xe9\x00\x00\x00\x00", 1009),
    "utf-8": (b"\x81\x82\x00\x00\x00\x00\xff\xff", 1007),
    "fragments": (b"\x01" + MASKED + (b"\x00" + MASKED) * 4, 1008),
    "unmasked": (b"\x81\x00", 1002),
    "close": (b"\x88\x82\x00\x00\x00\x00\x03\xe8", 1000),
    "close 4000": (b"\x88\x82\x00\x00\x00\x00\x0f\xa0", 4000),
    "empty close": (b"\x88" + MASKED, None),
}
LIMITS = Limits(message_size=1000, fragments=4)


def stream_of(peer: Peer, end: bytes) -> bytes:
    return peer.to_bytes(TextFrame("one"), TextFrame("two")) + end


async def echo(connection: Connection, thinking: float) -> list[str]:
    """Answer each message after a while; return what there was."""
    seen = []
    try:
        while True:
            message = await connection.receive()
            await trio.sleep(thinking)
            await connection.send(message)
            seen.append(str(message))
    except (ConnectionEnded, ConnectionLost):
        return seen


def expected(code: int | None) -> list[tuple[str, bytes]]:
    return [("text", b"one"), ("text", b"two"), ("close", code.to_bytes(2, "big") if code else b"")]


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("thinking", [0, 0.9])
async def test_what_came_before_is_answered_first_however_it_is_cut(
    name: str, thinking: float
) -> None:
    end, code = ENDS[name]
    size = len(stream_of(Peer(trio.testing.memory_stream_pair()[0], masks=True), end))
    for place in range(size + 1):
        async with (
            served(limits=LIMITS) as (connection, peer),
            trio.open_nursery() as nursery,
        ):
            data = stream_of(peer, end)
            seen: list[str] = []

            async def run(connection: Connection = connection, seen: list[str] = seen) -> None:
                seen += await echo(connection, thinking)

            nursery.start_soon(run)
            await peer.stream.send_all(data[:place])
            await trio.sleep(0.3 if place % 2 else 0)
            await peer.stream.send_all(data[place:])
            got: list[tuple[str, bytes]] = []
            while not got or got[-1][0] != "close":
                frame = await peer.next_frame()
                assert frame is not None
                got.append(
                    (frame.type, frame.payload[:2] if frame.type == "close" else frame.payload)
                )
            assert got == expected(code), place
            await peer.end_sending()
            await connection.wait_closed()
            assert seen == ["one", "two"]


@pytest.mark.parametrize("name", ["opcode", "close"])
async def test_byte_by_byte(name: str) -> None:
    end, code = ENDS[name]
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=LIMITS) as (connection, peer):
        ours.chop = 1
        await peer.stream.send_all(stream_of(peer, end))
        assert await echo(connection, 0.5) == ["one", "two"]
        frames = [await peer.next_frame() for _ in range(3)]
        assert [one.type for one in frames if one is not None] == ["text", "text", "close"]
        assert isinstance(frames[2], CloseFrame)
        assert frames[2].code == code


@pytest.mark.parametrize("name", ["opcode", "close"])
async def test_without_a_message_before_it_there_is_nothing_to_wait_for(name: str) -> None:
    async with served() as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(ENDS[name][0])
        assert (await peer.expect_close())[0] == ENDS[name][1]
        assert clock.is_at(0)
        assert not connection.is_open


@pytest.mark.parametrize("name", ["opcode", "close"])
async def test_a_message_of_long_ago_holds_nothing_up(name: str) -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("one"))
        assert await connection.receive() == "one"
        await trio.sleep(1)
        clock = Clock()
        await peer.stream.send_all(ENDS[name][0])
        assert (await peer.expect_close())[0] == ENDS[name][1]
        assert clock.now == 0


@pytest.mark.parametrize("name", ["opcode", "close"])
async def test_an_app_that_takes_the_messages_and_does_not_come_back(name: str) -> None:
    end, code = ENDS[name]
    async with served(timeouts=Timeouts(answer=2, close=7)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(stream_of(peer, end))
        await connection.receive()
        await trio.sleep(1)
        await connection.receive()
        assert connection.is_open
        await connection.send("an answer")
        assert await peer.next_frame() == TextFrame("an answer")
        assert (await peer.expect_close())[0] == code
        assert clock.now == 1 + 2
        with pytest.raises(ConnectionLost):
            await connection.send("too late")


@pytest.mark.parametrize("name", ["opcode", "close"])
@pytest.mark.parametrize("taken", [0, 1])
async def test_an_app_that_never_takes_the_messages(name: str, taken: int) -> None:
    end, code = ENDS[name]
    async with served(timeouts=Timeouts(answer=2, close=7)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(stream_of(peer, end))
        for _ in range(taken):
            await connection.receive()
        assert (await peer.expect_close())[0] == code
        assert clock.is_at(2)
        # What was received can still be read.
        assert [await connection.receive() for _ in range(2 - taken)] == ["one", "two"][taken:]
        with pytest.raises(ConnectionEnded if code == 1000 else ConnectionLost):
            await connection.receive()


async def test_an_app_that_polls() -> None:
    async with served(timeouts=Timeouts(answer=2)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(stream_of(peer, ENDS["close"][0]))
        await away()
        assert [connection.receive_nowait(), connection.receive_nowait()] == ["one", "two"]
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()
        assert (await peer.expect_close())[0] == 1000
        assert clock.is_at(2)


async def test_the_peer_is_not_judged_by_the_heartbeat_meanwhile() -> None:
    from trio_wsendpoint import Heartbeat

    async with served(
        timeouts=Timeouts(answer=100, close=100), heartbeat=Heartbeat(interval=1, max_pings=1)
    ) as (connection, peer):
        await peer.stream.send_all(stream_of(peer, ENDS["close"][0]))
        await connection.receive()
        await connection.receive()
        await trio.sleep(90)
        await connection.send("an answer at last")
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        assert await peer.next_frame() == TextFrame("an answer at last")
        assert await peer.expect_close() == (1000, "")


async def test_pings_before_the_end_are_answered_before_it() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("x"), PingFrame(b"?"))
        await peer.stream.send_all(ENDS["opcode"][0])
        assert await echo(connection, 0.1) == ["x"]
        assert await peer.next_frame() == PongFrame(b"?")
        assert await peer.next_frame() == TextFrame("x")
        assert (await peer.expect_close())[0] == 1002


@pytest.mark.parametrize("name", ["opcode", "close"])
async def test_our_own_close_while_the_end_is_held(name: str) -> None:
    async with served(timeouts=Timeouts(answer=50, close=60)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(stream_of(peer, ENDS[name][0]))
        await connection.receive()
        await settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose, 4000)
            assert await peer.expect_close() == (4000, "")
            await peer.end_sending()
        assert clock.now == 0


async def test_a_block_that_is_left_while_the_end_is_held() -> None:
    ours, theirs = half_pair()
    clock = Clock()
    async with served((ours, theirs), timeouts=Timeouts(answer=50, close=60)) as (connection, peer):
        await peer.stream.send_all(stream_of(peer, ENDS["close"][0]))
        await settle()
        assert connection.is_open
    assert clock.now == 0
    assert ours.closes >= 1


async def test_an_owner_that_is_cancelled_while_the_end_is_held() -> None:
    with trio.CancelScope() as scope:
        async with served(timeouts=Timeouts(answer=50, close=60)) as (connection, peer):
            clock = Clock()
            await peer.stream.send_all(stream_of(peer, ENDS["close"][0]))
            await connection.receive()
            await settle()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert clock.now == 0
    assert await peer.rest() == [("close", b"\x03\xe9")]


async def test_writing_breaks_while_the_end_is_held() -> None:
    ours, theirs = half_pair()
    timeouts = Timeouts(answer=50, close=3)
    async with served((ours, theirs), timeouts=timeouts) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(stream_of(peer, ENDS["close"][0]))
        await settle()
        ours.send_error = trio.BrokenResourceError("gone")
        await connection.send("x")
        await settle()
        assert [await connection.receive(), await connection.receive()] == ["one", "two"]
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        assert clock.now == 0
        await connection.wait_closed()
        assert clock.now <= 3
        with pytest.raises(ConnectionLost, match="the connection was lost"):
            await connection.send("x")
