"""`send_stream`: when chunks leave, who waits for whom, and what leaving early does."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.connection.helpers import half_pair
from trio_wsendpoint import (
    CloseFrame,
    ConnectionClosedLocally,
    ConnectionLost,
    Limits,
    PingFrame,
    PongFrame,
    Timeouts,
)
from trio_wsendpoint.testing import seeded_bytes

from .helpers import collect, joined, pair, served, settle

PATIENT = Timeouts(write=1000.0)


# ---- what arrives ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_chunks_arrive_before_the_message_ends(kind: Any, deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        async with connection.send_stream(kind) as stream:
            assert stream.type == kind
            for number, chunk in enumerate(["Hello", " ", "wörld"]):
                await stream.send(chunk if kind == "text" else chunk.encode())
                expected = "continuation" if number else kind
                assert await peer.next_data() == (expected, chunk.encode())
        assert await peer.next_data() == ("continuation", b"")
        assert connection.statistics().messages_sent == 1
        await connection.send("next")
        assert await peer.next_data() == ("text", b"next")


async def test_the_peer_gets_one_message(deflated: bool) -> None:
    chunks = ["a", "é" * 1000, "", "€", "😀" * 30_000]
    async with pair(deflated) as (client, server):
        for sender, receiver in [(client, server), (server, client)]:
            async with sender.send_stream("text") as stream:
                for chunk in chunks:
                    await stream.send(chunk)
            assert await receiver.receive() == "".join(chunks)


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_no_chunk_is_an_empty_message(kind: Any, deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream(kind):
            pass
        async with client.send_stream(kind) as stream:
            await stream.send("" if kind == "text" else b"")
        empty = "" if kind == "text" else b""
        await client.send("last")
        assert [await server.receive() for _ in range(3)] == [empty, empty, "last"]
        assert client.statistics().messages_sent == 3


async def test_one_chunk_in_one_message(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream("binary") as stream:
            await stream.send(b"all of it")
        message = await server.receive_message()
        assert (message.type, message.payload) == ("binary", b"all of it")


async def test_a_large_chunk_is_cut_into_fragments() -> None:
    async with served(limits=Limits(fragment_size=1000)) as (connection, peer):
        async with connection.send_stream("binary") as stream:
            await stream.send(bytes(2500))
        sizes = [len((await peer.next_data())[1]) for _ in range(4)]
        assert sizes == [1000, 1000, 500, 0]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_buffer_is_copied(kind: Any, deflated: bool) -> None:
    buffer = bytearray(b"abc")
    async with pair(deflated) as (client, server):
        async with client.send_stream("binary") as stream:
            await stream.send(kind(buffer))
            buffer[:] = b"xyz"
        assert await server.receive() == b"abc"


async def test_compression_can_be_left_out() -> None:
    async with served(True) as (connection, peer):
        async with connection.send_stream("text", compress=False) as stream:
            await stream.send("Hello" * 100)
        frame = await peer.next_frame()
        assert frame is not None
        assert (frame.rsv, frame.payload) == (0, b"Hello" * 100)


async def test_a_stream_is_compressed_whatever_the_threshold(deflated: bool) -> None:
    """Nobody knows how long it will be."""
    async with served(deflated) as (connection, peer):
        async with connection.send_stream("text") as stream:
            await stream.send("Hello")
        frame = await peer.next_frame()
        assert frame is not None
        assert frame.rsv == (0b100 if deflated else 0)


# ---- beside others -----------------------------------------------------------------------------


async def test_other_senders_wait_and_never_interleave(deflated: bool) -> None:
    async with pair(deflated) as (client, server):

        async def send_messages(name: str) -> None:
            for number in range(3):
                await client.send(f"{name}{number}")

        async def send_stream(name: str) -> None:
            for number in range(3):
                async with client.send_stream("text") as stream:
                    for chunk in [name, str(number)]:
                        await stream.send(chunk)
                        await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(send_messages, name)
            for name in "cd":
                nursery.start_soon(send_stream, name)
            received = [await server.receive() for _ in range(12)]
        assert sorted(map(str, received)) == [f"{name}{n}" for name in "abcd" for n in range(3)]
        for name in "abcd":
            ours = [text for text in received if str(text).startswith(name)]
            assert ours == [f"{name}{number}" for number in range(3)]


async def test_send_nowait_would_block_while_a_stream_is_open() -> None:
    async with pair() as (client, server):
        async with client.send_stream("text") as stream:
            for _ in range(2):
                with pytest.raises(trio.WouldBlock):
                    client.send_nowait("between")
                await stream.send("chunk")
        client.send_nowait("after")
        assert [await server.receive(), await server.receive()] == ["chunkchunk", "after"]


async def test_pings_and_pongs_pass_between_chunks(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream("text") as stream:
            await stream.send("be")
            assert await client.ping() >= 0
            assert await server.ping() >= 0
            await stream.send("tween")
        assert await server.receive() == "between"


async def test_a_pong_passes_chunks_that_wait() -> None:
    ours, theirs = half_pair()
    async with served(streams=(ours, theirs), timeouts=PATIENT) as (connection, peer):
        async with connection.send_stream("binary") as stream:
            await settle()
            ours.room = 0
            await stream.send(b"a")  # the writer hangs with this one
            await settle()
            await stream.send(b"b")
            await peer.send(PingFrame(b"?"))
            await settle()
            ours.room = None
        frames = [await peer.next_frame() for _ in range(4)]
        assert [frame and frame.payload for frame in frames] == [b"a", b"?", b"b", b""]
        assert isinstance(frames[1], PongFrame)


async def test_a_task_that_would_wait_for_itself_is_told() -> None:
    async with pair() as (client, server):
        async with client.send_stream("text") as stream:
            await stream.send("out")
            with pytest.raises(RuntimeError, match="is sending a stream"):
                await client.send("inner")
            with pytest.raises(RuntimeError, match="is sending a stream"):
                async with client.send_stream("text"):
                    raise AssertionError
            await stream.send("er")
        await client.send("after")
        assert [await server.receive(), await server.receive()] == ["outer", "after"]


async def test_a_stream_can_be_handed_to_other_tasks() -> None:
    async with pair() as (client, server):
        async with client.send_stream("text") as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, "chunk")
        assert await server.receive() == "chunk"


async def test_tasks_that_share_a_stream_are_all_woken() -> None:
    ours, theirs = half_pair()
    limits = Limits(send_buffer=100)
    options: Any = {"limits": limits, "timeouts": PATIENT}
    async with served(streams=(ours, theirs), **options) as (connection, peer):
        async with connection.send_stream("binary") as stream:
            await settle()
            ours.room = 0
            await stream.send(b"a")
            await settle()
            await stream.send(bytes(200))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send, b"")
                await settle()
                nursery.start_soon(stream.send, b"c")
                await settle()
                ours.room = None
        payloads = [(await peer.next_data())[1] for _ in range(4)]
        assert payloads == [b"a", bytes(200), b"c", b""]


# ---- waiting and being cancelled ---------------------------------------------------------------


async def test_chunks_wait_above_send_buffer(deflated: bool) -> None:
    ours, theirs = half_pair()
    limits = Limits(send_buffer=10_000)
    options: Any = {"limits": limits, "timeouts": PATIENT}
    async with served(deflated, streams=(ours, theirs), **options) as (connection, peer):
        noise = seeded_bytes(1)(100_000)
        sent = 0

        async def send_chunks() -> None:
            nonlocal sent
            async with connection.send_stream("binary") as stream:
                for start in range(0, 100_000, 1000):
                    await stream.send(noise[start : start + 1000])
                    sent += 1

        async with trio.open_nursery() as nursery:
            await settle()
            ours.room = 0
            nursery.start_soon(send_chunks)
            await settle()
            queued = connection.statistics().write_queue_bytes
            assert 10_000 <= queued <= 10_000 + 1100
            assert sent * 1000 <= 2 * queued  # as many as wait are in the writer's hands
            ours.room = None
            received = b""
            while len(received) < 100_000:
                received += (await peer.next_data())[1]
        assert received == noise


async def test_cancelled_between_chunks_the_stream_goes_on(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream("text") as stream:
            await stream.send("a")
            with trio.CancelScope() as scope:
                scope.cancel()
                await stream.send("never")
            assert scope.cancelled_caught
            await stream.send("b")
        assert await server.receive() == "ab"


async def test_cancelled_in_a_chunk_nothing_of_it_is_sent(deflated: bool) -> None:
    ours, theirs = half_pair()
    limits = Limits(send_buffer=100)
    options: Any = {"limits": limits, "timeouts": PATIENT}
    noise = bytes((i * i * 7 + i // 3 * 11) % 251 for i in range(500))
    async with served(deflated, streams=(ours, theirs), **options) as (connection, peer):
        async with connection.send_stream("binary") as stream:
            await settle()
            ours.room = 0
            await stream.send(b"a")
            await settle()
            await stream.send(noise)
            with trio.move_on_after(1) as scope:
                await stream.send(b"never")
            assert scope.cancelled_caught
            ours.room = None
            await stream.send(b"b")
        received = [(await peer.next_data())[1] for _ in range(4)]
        assert received == [b"a", noise, b"b", b""]
        await connection.send("next")
        assert (await peer.next_data())[1] == b"next"


async def test_cancelled_while_it_waits_for_its_turn(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream("text") as stream, trio.open_nursery() as nursery:

            async def another() -> None:
                with trio.move_on_after(1) as scope:
                    async with client.send_stream("text"):
                        raise AssertionError
                assert scope.cancelled_caught

            nursery.start_soon(another)
            await stream.send("only")
        await client.send("next")
        assert [await server.receive(), await server.receive()] == ["only", "next"]


# ---- leaving early -----------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [[], [""]])
async def test_left_by_an_error_with_nothing_sent(chunks: list[str], deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        with pytest.raises(KeyError):  # noqa: PT012 - it is leaving the block that raises
            async with client.send_stream("text") as stream:
                for chunk in chunks:
                    await stream.send(chunk)
                raise KeyError
        assert client.is_open
        assert client.statistics().messages_sent == 0
        await client.send("next")
        assert await server.receive() == "next"


async def test_left_with_nothing_sent_those_who_wait_go_on() -> None:
    async with pair() as (client, server), trio.open_nursery() as nursery:
        with pytest.raises(KeyError):  # noqa: PT012 - it is leaving the block that raises
            async with client.send_stream("text"):
                nursery.start_soon(client.send, "waited")
                await settle()
                raise KeyError
        assert await server.receive() == "waited"


async def test_left_by_an_error_after_a_chunk(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        with pytest.raises(KeyError):  # noqa: PT012 - it is leaving the block that raises
            async with connection.send_stream("text") as stream:
                await stream.send("half")
                raise KeyError
        assert await peer.next_data() == ("text", b"half")
        assert await peer.expect_close() == (1011, "a message was left unfinished")
        assert not connection.is_open
        with pytest.raises(ConnectionLost):
            await connection.send("next")
        assert connection.statistics().messages_sent == 0


async def test_the_peer_never_sees_half_a_message_as_a_whole_one(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        await client.send("before")
        with trio.CancelScope() as scope:
            async with client.send_stream("text") as stream:
                await stream.send("half")
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert await server.receive() == "before"
        with pytest.raises(ConnectionLost) as caught:
            await server.receive()
        assert caught.value.code == 1011


async def test_chunks_that_wait_leave_before_the_close() -> None:
    ours, theirs = half_pair()
    async with served(streams=(ours, theirs), timeouts=PATIENT) as (connection, peer):
        await settle()
        ours.room = 0
        with pytest.raises(KeyError):  # noqa: PT012 - it is leaving the block that raises
            async with connection.send_stream("text") as stream:
                await stream.send("a")
                await settle()
                await stream.send("b")
                raise KeyError
        ours.room = None
        assert [(await peer.next_data())[1] for _ in range(2)] == [b"a", b"b"]
        assert (await peer.expect_close())[0] == 1011


async def test_those_who_wait_are_told_of_a_stream_left_early() -> None:
    async with pair() as (client, _), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ConnectionLost, match="a message was left unfinished"):
                await client.send("waited")

        with pytest.raises(KeyError):  # noqa: PT012 - it is leaving the block that raises
            async with client.send_stream("text") as stream:
                await stream.send("half")
                nursery.start_soon(wait)
                await settle()
                raise KeyError


# ---- misuse ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Text", "ping", "", None, 1])
async def test_a_kind_that_does_not_exist(kind: Any) -> None:
    async with pair() as (client, server):
        with pytest.raises(ValueError, match='a message is "text" or "binary", not'):
            client.send_stream(kind)
        await client.send("still")
        assert await server.receive() == "still"


@pytest.mark.parametrize(
    ("kind", "chunk"), [("text", b"x"), ("binary", "x"), ("text", None), ("binary", 1)]
)
async def test_a_chunk_of_the_wrong_type(kind: Any, chunk: Any, deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream(kind) as stream:
            await stream.send("a" if kind == "text" else b"a")
            with pytest.raises(TypeError, match=f"a chunk of a {kind} message cannot be"):
                await stream.send(chunk)
            await stream.send("b" if kind == "text" else b"b")
        assert await server.receive() == ("ab" if kind == "text" else b"ab")


async def test_a_lone_surrogate(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        async with client.send_stream("text") as stream:
            await stream.send("a")
            with pytest.raises(UnicodeEncodeError):
                await stream.send("\ud800")
            await stream.send("b")
        assert await server.receive() == "ab"


async def test_outside_of_its_block() -> None:
    async with pair() as (client, server):
        stream = client.send_stream("text")
        with pytest.raises(RuntimeError, match="enter it with `async with` first"):
            await stream.send("before")
        async with stream:
            await stream.send("in")
        with pytest.raises(RuntimeError, match="its block has been left"):
            await stream.send("after")
        with pytest.raises(RuntimeError, match="a stream is entered once"):
            await stream.__aenter__()
        assert await server.receive() == "in"


# ---- the end meanwhile -------------------------------------------------------------------------


async def test_the_peer_closes_meanwhile(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        with pytest.raises(ConnectionLost) as caught:  # noqa: PT012 - it is leaving the block that raises
            async with connection.send_stream("text") as stream:
                await stream.send("half")
                await peer.send(CloseFrame(1000))
                await trio.sleep(2)
                await stream.send("never")
        assert caught.value.code == 1000
        assert (await peer.next_data())[1] == b"half"
        assert await peer.expect_close() == (1000, "")


async def test_the_end_of_the_block_tells_of_a_close_too(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        with pytest.raises(ConnectionLost):  # noqa: PT012 - it is leaving the block that raises
            async with connection.send_stream("text") as stream:
                await stream.send("half")
                await peer.send(CloseFrame(1000))
                await trio.sleep(2)
        assert connection.statistics().messages_sent == 0


async def test_a_chunk_that_waits_is_told_of_the_end() -> None:
    ours, theirs = half_pair()
    options: Any = {"limits": Limits(send_buffer=1), "timeouts": PATIENT}
    async with served(streams=(ours, theirs), **options) as (connection, _):
        await settle()
        ours.room = 0
        async with trio.open_nursery() as nursery:

            async def send_chunks() -> None:
                with pytest.raises(ConnectionClosedLocally):  # noqa: PT012 - it is leaving the block that raises
                    async with connection.send_stream("binary") as stream:
                        for _ in range(9):
                            await stream.send(bytes(10))

            nursery.start_soon(send_chunks)
            await settle()
            with pytest.raises(ConnectionLost, match="could not be sent"):
                await connection.aclose()


async def test_entering_after_the_end() -> None:
    async with pair() as (client, _):
        await client.aclose()
        with pytest.raises(ConnectionClosedLocally):
            async with client.send_stream("text"):
                raise AssertionError


async def test_pieces_on_the_other_side(deflated: bool) -> None:
    async with pair(deflated) as (client, server), trio.open_nursery() as nursery:

        async def send_chunks() -> None:
            async with client.send_stream("text") as stream:
                for number in range(50):
                    await stream.send(f"é{number}\n")
                    await trio.sleep(1)

        nursery.start_soon(send_chunks)
        pieces = await collect(server)
        assert len(pieces) == 50
        assert joined(pieces) == "".join(f"é{number}\n" for number in range(50))
