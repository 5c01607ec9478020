"""`receive`, `receive_message`, `receive_nowait`, `async for`."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    away,
    both_forms,
    connection_pair,
    half_pair,
    served,
    settle,
    tight_pair,
)
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionClosedLocally,
    ConnectionEnded,
    ContinuationFrame,
    Frame,
    Limits,
    PingFrame,
    PongFrame,
    TextFrame,
)

pytestmark = both_forms


async def test_async_for_ends_when_the_peer_closes() -> None:
    async with connection_pair() as (client, server):
        for number in range(3):
            await client.send(f"{number}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            assert [message async for message in server] == ["0", "1", "2"]
        assert [message async for message in server] == []


async def test_async_for_raises_when_the_peer_is_lost() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("a"))
        await peer.stream.aclose()
        got = []
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            async for message in connection:
                got.append(message)  # noqa: PERF401
        assert got == ["a"]


async def test_receive_message_tells_type_and_frames() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("ab", fin=False), ContinuationFrame("ü".encode()))
        await peer.send(BinaryFrame(b"\x00"))
        message = await connection.receive_message()
        assert (message.type, message.payload) == ("text", "abü")
        assert [frame.type for frame in message.get_frames()] == ["text", "continuation"]
        message = await connection.receive_message()
        assert (message.type, message.payload) == ("binary", b"\x00")


async def test_receive_nowait() -> None:
    async with served() as (connection, peer):
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()
        await peer.send(TextFrame("a"), BinaryFrame(b"b"))
        await settle()
        assert connection.receive_nowait() == "a"
        assert connection.receive_nowait() == b"b"
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()
        await peer.send(TextFrame("c"), CloseFrame(1000))
        await settle()
        assert connection.receive_nowait() == "c"
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()  # the close waits for the answer to "c"
        await trio.sleep(2)
        with pytest.raises(ConnectionEnded):
            connection.receive_nowait()
        await connection.aclose()
        with pytest.raises(ConnectionClosedLocally):
            connection.receive_nowait()


async def test_two_receivers_are_one_too_many() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        got = []

        async def receive() -> None:
            got.append(await connection.receive())

        nursery.start_soon(receive)
        await settle()
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            await connection.receive()
        with pytest.raises(trio.BusyResourceError):
            await connection.receive_message()
        with pytest.raises(trio.BusyResourceError):
            connection.receive_nowait()
        await peer.send(TextFrame("a"), TextFrame("b"))
        await settle()
        assert got == ["a"]
        assert await connection.receive() == "b"


async def test_a_cancelled_receiver_leaves_its_place() -> None:
    async with served() as (connection, peer):
        for _ in range(3):
            with trio.move_on_after(1):
                await connection.receive()
        await peer.send(TextFrame("a"))
        assert await connection.receive() == "a"


@pytest.mark.parametrize("chop", [1, 2, 3, 7])
async def test_bytes_may_come_in_any_pieces(chop: int) -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        ours.chop = chop
        await peer.send(
            TextFrame("h\u00e4", fin=False), PingFrame(b"?"), ContinuationFrame("\u20ac".encode())
        )
        await peer.send(BinaryFrame(b"x" * 300))
        assert await connection.receive() == "h\u00e4\u20ac"
        assert await connection.receive() == b"x" * 300
        assert await peer.next_frame() == PongFrame(b"?")


async def test_a_loop_of_receives_lets_others_run_once_in_64() -> None:
    async with served(limits=Limits(receive_buffer=1 << 24)) as (connection, peer):
        await peer.send(*(TextFrame("x") for _ in range(1000)))
        await away()
        assert connection.statistics().inbox_messages == 1000
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(1000):
                await connection.receive()
            nursery.cancel_scope.cancel()
        assert turns >= 1000 // 64 - 2  # the first and the last turn may go by


async def test_receive_is_a_cancel_point_also_when_a_message_is_here() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("a"))
        await settle()
        for _ in range(100):
            with trio.CancelScope() as scope:
                scope.cancel()
                await connection.receive()
            assert scope.cancelled_caught
        assert await connection.receive() == "a"


async def test_waiting_for_a_message_is_a_checkpoint() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, TextFrame("a"))
        with trio.testing.assert_checkpoints():
            await connection.receive()


@pytest.mark.parametrize("kind", ["ping", "pong", "empty fragment"])
async def test_a_flood_of_frames_does_not_starve_others(kind: str) -> None:
    limits = Limits(fragments=20_000, control_rate=20_000)
    async with served(limits=limits) as (connection, peer):
        frames: list[Frame] = [TextFrame("", fin=False)]
        last: Frame = ContinuationFrame(b"end")
        if kind == "empty fragment":
            frames += [ContinuationFrame(fin=False) for _ in range(10_000)]
        else:
            frames += [PingFrame(b"x") if kind == "ping" else PongFrame(b"x")] * 10_000
        await peer.send(*frames, last)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            assert await connection.receive() == "end"
            nursery.cancel_scope.cancel()
        assert turns > 10_000 // 64 - 10


async def test_two_peers_that_send_20_mb_each_before_they_read() -> None:
    size = 20_000_000
    limits = Limits(message_size=size)
    async with connection_pair(client={"limits": limits}, server={"limits": limits}) as (one, two):
        finished = []

        async def talk(connection: trio.abc.Channel[str | bytes], byte: bytes) -> None:
            await connection.send(byte * size)
            received = await connection.receive()
            assert len(received) == size
            finished.append(received[:1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, one, b"1")
            nursery.start_soon(talk, two, b"2")
        assert sorted(finished) == [b"1", b"2"]


async def test_two_peers_that_send_20_mb_in_pieces_before_they_read() -> None:
    count, size = 305, 65_536
    limits = Limits(receive_buffer=count * (size + 128), send_buffer=1000)
    async with connection_pair(
        streams=tight_pair(),
        client={"limits": limits},
        server={"limits": limits},
    ) as (one, two):
        finished = 0

        async def talk(connection: trio.abc.Channel[str | bytes]) -> None:
            nonlocal finished
            piece = bytes(size)
            for _ in range(count):
                await connection.send(piece)
            for _ in range(count):
                assert await connection.receive() == piece
            finished += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, one)
            nursery.start_soon(talk, two)
        assert finished == 2
