"""`send` and `send_nowait`: what goes out, in which order, and what is refused."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    away,
    both_forms,
    connection_pair,
    half_pair,
    is_non_blocking,
    served,
    settle,
    tight_pair,
)
from trio_wsendpoint import BinaryFrame, Limits, TextFrame

pytestmark = both_forms


async def test_a_connection_is_a_channel() -> None:
    async with connection_pair() as (client, server):
        assert isinstance(client, trio.abc.Channel)
        await client.send("text")
        await client.send(b"bytes")
        assert [await server.receive(), await server.receive()] == ["text", b"bytes"]
        await server.send("")
        await server.send(b"")
        assert [await client.receive(), await client.receive()] == ["", b""]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_every_buffer_is_a_binary_message(kind: type) -> None:
    async with connection_pair() as (client, server):
        await client.send(kind(b"abc"))
        assert await server.receive() == b"abc"


@pytest.mark.parametrize("size", [3, 300_000])
async def test_a_buffer_is_copied(size: int) -> None:
    async with served() as (connection, peer):
        buffer = bytearray(b"a" * size)
        await connection.send(buffer)
        connection.send_nowait(memoryview(buffer)) if size == 3 else None
        buffer[:] = b"b" * size
        received = b""
        while len(received) < size:
            frame = await peer.next_frame()
            assert frame is not None
            received += frame.payload
        assert received == b"a" * size
        if size == 3:
            assert (await peer.next_frame()) == BinaryFrame(b"aaa")


@pytest.mark.parametrize("wrong", [1, None, ["a"], object(), 1.5])
async def test_what_is_no_message_is_refused(wrong: object) -> None:
    async with connection_pair() as (client, server):
        name = type(wrong).__name__
        text = rf"^send\(\) takes str \(a text message\) or bytes .* not {name}$"
        with pytest.raises(TypeError, match=text):
            await client.send(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=text):
            client.send_nowait(wrong)  # type: ignore[arg-type]
        await client.send("still")
        assert await server.receive() == "still"


async def test_a_lone_surrogate_is_refused_and_nothing_is_sent() -> None:
    async with connection_pair() as (client, server):
        with pytest.raises(UnicodeEncodeError):
            await client.send("\ud800")
        with pytest.raises(UnicodeEncodeError):
            client.send_nowait("a\udfff")
        await client.send("still")
        assert await server.receive() == "still"
        assert client.statistics().messages_sent == 1


async def test_a_lone_surrogate_that_waited_lets_the_next_sender_go_on() -> None:
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send("first")
        await settle()
        await connection.send("second")

        async def send_wrong() -> None:
            with pytest.raises(UnicodeEncodeError):
                await connection.send("\ud800")

        nursery.start_soon(send_wrong)
        await settle()
        nursery.start_soon(connection.send, "third")
        await settle()
        assert connection.statistics().tasks_waiting_send == 2
        ours.room = None
        received = [await peer.next_frame() for _ in range(3)]
        assert received == [TextFrame("first"), TextFrame("second"), TextFrame("third")]


async def test_send_nowait_sends_while_there_is_room() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(send_buffer=100)) as (connection, peer):
        ours.room = 0
        await settle()
        connection.send_nowait("a")
        await settle()  # the writer has it, and waits
        connection.send_nowait(b"b" * 100)
        with pytest.raises(trio.WouldBlock):
            connection.send_nowait("c")
        ours.room = None
        assert await peer.next_frame() == TextFrame("a")
        assert await peer.next_frame() == BinaryFrame(b"b" * 100)
        connection.send_nowait("d")
        assert await peer.next_frame() == TextFrame("d")


async def test_send_nowait_does_not_pass_those_who_wait() -> None:
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send("a")
        await settle()
        await connection.send("b")
        nursery.start_soon(connection.send, "c")
        await settle()

        async def poll() -> None:
            sent = False
            while not sent:
                try:
                    connection.send_nowait("d")
                    sent = True
                except trio.WouldBlock:
                    await trio.lowlevel.checkpoint()

        with trio.move_on_after(1):
            async with trio.open_nursery() as inner:
                inner.start_soon(poll)
                ours.room = None
                frames = [await peer.next_frame() for _ in range(4)]
        assert frames == [TextFrame(one) for one in "abcd"]


async def test_a_message_larger_than_the_buffer_is_sent_when_there_is_room() -> None:
    async with connection_pair(
        client={"limits": Limits(send_buffer=10)}, server={"limits": Limits(message_size=1 << 22)}
    ) as (client, server):
        await client.send(b"x" * (1 << 22))
        assert await server.receive() == b"x" * (1 << 22)


async def test_several_senders_take_turns_and_do_not_mix() -> None:
    limits = Limits(send_buffer=40, fragment_size=7)
    async with connection_pair(streams=tight_pair(10), client={"limits": limits}) as (
        client,
        server,
    ):

        async def send_all(name: str) -> None:
            for number in range(20):
                await client.send(f"{name}{number:03}" * 10)

        async with trio.open_nursery() as nursery:
            for name in "abcde":
                nursery.start_soon(send_all, name)
            received = [await server.receive() for _ in range(100)]
        assert all(message == str(message)[:4] * 10 for message in received)
        order = [str(message)[0] for message in received]
        for name in "abcde":
            mine = [str(message)[:4] for message in received if str(message)[0] == name]
            assert mine == [f"{name}{number:03}" for number in range(20)]
        # Each waits in line: in the long run nobody is passed twice by the same one.
        for start in range(5, 90):
            assert len(set(order[start : start + 5])) >= 4


async def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0
        await connection.send("a")
        await settle()
        await connection.send("b")
        for name in "cdefgh":
            nursery.start_soon(connection.send, name)
            await settle()
        assert connection.statistics().tasks_waiting_send == 6
        ours.room = None
        assert [await peer.next_frame() for _ in range(8)] == [TextFrame(one) for one in "abcdefgh"]
        assert connection.statistics().tasks_waiting_send == 0


async def test_a_large_message_leaves_in_fragments_of_the_size_asked_for() -> None:
    async with served(limits=Limits(fragment_size=4)) as (connection, peer):
        await connection.send("0123456789")
        frames = [await peer.next_frame() for _ in range(3)]
        assert [(one.type, one.payload, one.fin) for one in frames if one is not None] == [
            ("text", b"0123", False),
            ("continuation", b"4567", False),
            ("continuation", b"89", True),
        ]


async def test_small_messages_leave_in_one_write() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        ours.writes.clear()
        for number in range(50):
            connection.send_nowait(str(number))
        for number in range(50):
            assert await peer.next_frame() == TextFrame(str(number))
        # Where it takes no waiting each leaves at once; else those that wait are joined.
        assert len(ours.writes) == (50 if is_non_blocking() else 1)
        ours.room = 0
        for number in range(50):
            connection.send_nowait(str(number))
        await settle()
        ours.writes.clear()
        ours.room = None
        for number in range(50):
            assert await peer.next_frame() == TextFrame(str(number))
        assert len(ours.writes) <= 2


async def test_a_loop_of_sends_lets_others_run_once_in_64() -> None:
    async with connection_pair(client={"limits": Limits(send_buffer=1 << 24)}) as (client, _):
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(1000):
                await client.send("x")
            nursery.cancel_scope.cancel()
        assert turns >= 1000 // 64 - 2  # the first and the last turn may go by


async def test_send_is_a_cancel_point_every_time_and_a_schedule_point_once_in_64() -> None:
    async with connection_pair(client={"limits": Limits(send_buffer=1 << 24)}) as (client, server):
        for _ in range(130):
            with trio.CancelScope() as scope:
                scope.cancel()
                await client.send("never")
            assert scope.cancelled_caught
        await client.send("once")
        assert await server.receive() == "once"
        for _ in range(62):
            await client.send("x")
        with trio.testing.assert_checkpoints():
            await client.send("the 64th")


async def test_another_thread_is_refused_before_anything_is_touched() -> None:
    async with connection_pair() as (client, server):
        await server.send("for the right thread")
        await away()
        for call in (lambda: client.send_nowait("x"), client.receive_nowait):
            with pytest.raises(RuntimeError, match=r"belongs to the thread that opened it"):
                await trio.to_thread.run_sync(call)
        assert client.receive_nowait() == "for the right thread"
        assert client.statistics().messages_sent == 0
