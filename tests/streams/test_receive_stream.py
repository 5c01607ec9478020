"""`receive_stream`: when pieces come, how much waits, and what leaving early does."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import half_pair
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    ContinuationFrame,
    DataFrame,
    Limits,
    PingFrame,
    PongFrame,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.testing import seeded_bytes

from .helpers import DeflatePeer, collect, joined, pair, served, settle

KIB = 1024


async def send_raw(peer: DeflatePeer, data: bytes) -> None:
    await peer.stream.send_all(data)


# ---- what comes --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_pieces_come_before_the_frame_is_complete(kind: str) -> None:
    async with served() as (connection, peer):
        frame = peer.to_bytes(*peer.fragments(kind, b"abcdef"))
        await send_raw(peer, frame[:8])
        async with connection.receive_stream() as chunks:
            assert chunks.type == kind
            pieces = [await anext(chunks)]
            for start in range(8, len(frame)):
                await send_raw(peer, frame[start : start + 1])
                pieces.append(await anext(chunks))
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)
        assert list(map(len, pieces)) == [2, 1, 1, 1, 1]
        assert joined(pieces) == ("abcdef" if kind == "text" else b"abcdef")


async def test_the_type_is_told_before_any_payload() -> None:
    async with served() as (connection, peer):
        await send_raw(peer, peer.to_bytes(TextFrame("later"))[:6])
        async with connection.receive_stream() as chunks:
            assert chunks.type == "text"
            await send_raw(peer, peer.to_bytes(TextFrame("later"))[6:])
            assert [chunk async for chunk in chunks] == ["later"]


async def test_pieces_of_fragments_come_as_the_fragments_do(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        frames = peer.fragments("text", b"one", b"two", b"", b"three")
        await peer.send(frames[0])
        async with connection.receive_stream() as chunks:
            assert await anext(chunks) == "one"
            await peer.send(frames[1])
            assert await anext(chunks) == "two"
            await peer.send(frames[2])
            await settle()
            await peer.send(frames[3])
            assert [chunk async for chunk in chunks] == ["three"]
        assert connection.statistics().messages_received == 1


@pytest.mark.parametrize("at", range(1, 13))
async def test_text_comes_in_whole_characters(at: int, deflated: bool) -> None:
    text = "aé€😀b€"
    data = text.encode()
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("text", data[:at], data[at:])
        await peer.send(first)
        await settle()
        async with trio.open_nursery() as nursery:

            async def send_the_rest() -> None:
                await trio.sleep(1)
                await peer.send(last)

            nursery.start_soon(send_the_rest)
            pieces = await collect(connection)
        assert "".join(map(str, pieces)) == text
        assert all(pieces)
        assert pieces[0] == data[:at].decode(errors="ignore")


async def test_a_message_that_is_here_comes_in_one_piece(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        await client.send("complete")
        await client.send(b"and another")
        await settle()
        assert await collect(server) == ["complete"]
        assert await collect(server) == [b"and another"]


@pytest.mark.parametrize("payloads", [[b""], [b"", b"", b""]])
async def test_an_empty_message_has_no_pieces(payloads: list[bytes], deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send_message("text", *payloads)
        await peer.send_message("binary", *payloads)
        await peer.send_message("text", b"next")
        async with connection.receive_stream() as chunks:
            assert chunks.type == "text"
            assert [chunk async for chunk in chunks] == []
        assert await collect(connection) == []
        assert await connection.receive() == "next"
        assert connection.statistics().messages_received == 3


async def test_entering_waits_for_a_message(deflated: bool) -> None:
    async with pair(deflated) as (client, server), trio.open_nursery() as nursery:

        async def send_later() -> None:
            await trio.sleep(3)
            await client.send("late")

        nursery.start_soon(send_later)
        start = trio.current_time()
        assert await collect(server) == ["late"]
        assert trio.current_time() - start == 3


async def test_streams_and_messages_by_turns(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        for number in range(6):
            await client.send(f"{number}")
        received: list[Any] = [
            await (collect(server) if number % 2 else server.receive()) for number in range(6)
        ]
        assert received == ["0", ["1"], "2", ["3"], "4", ["5"]]


async def test_frames_replaced_by_a_callback() -> None:
    def upper(frame: DataFrame) -> DataFrame:
        return type(frame)(frame.payload.upper(), fin=frame.fin)

    async with served(on_data_frame=upper) as (connection, peer):
        await peer.send(TextFrame("one", fin=False))
        async with connection.receive_stream() as chunks:
            assert await anext(chunks) == "ONE"
            await peer.send(ContinuationFrame(b"two"))
            assert [chunk async for chunk in chunks] == ["TWO"]


async def test_control_frames_between_fragments(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("text", b"one", b"two")
        await peer.send(first, PingFrame(b"?"))
        async with connection.receive_stream() as chunks, trio.open_nursery() as nursery:
            assert await anext(chunks) == "one"
            assert await peer.next_frame() == PongFrame(b"?")
            nursery.start_soon(connection.ping)
            ping = await peer.next_frame()
            assert isinstance(ping, PingFrame)
            await peer.send(PongFrame(b"nobody asked"), PongFrame(ping.payload), last)
            assert [chunk async for chunk in chunks] == ["two"]


# ---- how much waits ----------------------------------------------------------------------------


async def test_reading_stops_while_the_app_is_slow(deflated: bool) -> None:
    noise = seeded_bytes(1)(1_000_000)
    async with served(deflated) as (connection, peer):
        await peer.send_message("binary", noise)
        async with connection.receive_stream() as chunks:
            received = bytearray()
            async for chunk in chunks:
                assert isinstance(chunk, bytes)
                received += chunk
                assert len(chunk) <= 2 * 64 * KIB
                await trio.sleep(1)
                await settle()
                ahead = connection.statistics().bytes_received - len(received)
                assert ahead <= 3 * 64 * KIB
        assert received == noise
        assert connection.is_open


async def test_a_slow_app_never_gets_its_peer_killed() -> None:
    """The peer's pong stands behind what we do not read: an hour of it is no matter."""
    async with pair(timeouts=Timeouts(write=9999.0)) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, bytes(1_000_000))
            async with server.receive_stream() as chunks:
                assert await anext(chunks)
                await trio.sleep(3600)
                size = sum([len(chunk) async for chunk in chunks])
        assert size > 800_000
        await client.send("on")
        assert await server.receive() == "on"


async def test_a_receive_given_up_before_does_not_lift_the_bound(deflated: bool) -> None:
    """Who asked for a whole message, and gave up, wants no whole message any more."""
    noise = seeded_bytes(1)(1_000_000)
    async with served(deflated) as (connection, peer):
        with trio.move_on_after(1) as scope:
            await connection.receive()
        assert scope.cancelled_caught
        first, *others = peer.fragments("binary", noise[:10], noise[10:])
        await peer.send(first)
        await settle()
        async with connection.receive_stream() as chunks:
            await peer.send(*others)
            await settle()
            assert connection.statistics().bytes_received <= 3 * 64 * KIB
            assert b"".join([bytes(chunk) async for chunk in chunks]) == noise  # type: ignore[arg-type]


async def test_a_receive_nowait_before_does_not_lift_the_bound(deflated: bool) -> None:
    noise = seeded_bytes(1)(1_000_000)
    async with served(deflated) as (connection, peer):
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()
        first, *others = peer.fragments("binary", noise[:10], noise[10:])
        await peer.send(first)
        await settle()
        async with connection.receive_stream() as chunks:
            await peer.send(*others)
            await settle()
            assert connection.statistics().bytes_received <= 3 * 64 * KIB
            assert sum([len(chunk) async for chunk in chunks]) == len(noise)


async def test_receive_nowait_gets_a_large_message_in_the_end(deflated: bool) -> None:
    """Each attempt is a wish for the whole of it, else it would wait for room for ever."""
    noise = seeded_bytes(1)(500_000)
    async with served(deflated) as (connection, peer):
        await peer.send_message("binary", noise)
        await settle()
        assert connection.statistics().bytes_received <= 3 * 64 * KIB
        with pytest.raises(trio.WouldBlock):
            connection.receive_nowait()
        await settle()
        assert connection.receive_nowait() == noise


async def test_a_cancelled_receive_and_another(deflated: bool) -> None:
    noise = seeded_bytes(1)(500_000)
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("binary", noise[:300_000], noise[300_000:])
        for _ in range(2):
            with trio.move_on_after(1):
                await connection.receive()
        await peer.send(first)
        for _ in range(2):
            with trio.move_on_after(1) as scope:
                await connection.receive()
            assert scope.cancelled_caught
        await peer.send(last)
        assert await connection.receive() == noise


@pytest.mark.parametrize("receive_buffer", [1, 2, 3, 4])
async def test_a_buffer_smaller_than_a_character(receive_buffer: int, deflated: bool) -> None:
    limits = Limits(receive_buffer=receive_buffer)
    async with served(deflated, limits=limits) as (connection, peer):
        text = "😀é€😀"
        frames = peer.fragments("text", *(bytes([byte]) for byte in text.encode()))
        async with trio.open_nursery() as nursery:

            async def send_slowly() -> None:
                for frame in frames:
                    await peer.send(frame)
                    await trio.sleep(1)

            nursery.start_soon(send_slowly)
            with trio.fail_after(100):
                assert "".join(map(str, await collect(connection))) == text


# ---- what is held beside the payload -----------------------------------------------------------

#: An empty stored block is five bytes on the wire, and no payload at all.
NOTHING = b"\x00\x00\x00\xff\xff" * 12_000


async def test_what_inflates_to_nothing_counts_as_it_came() -> None:
    async with served(True) as (connection, peer):
        for _ in range(50):
            await peer.send(BinaryFrame(NOTHING + b"\x00", rsv=0b100))
        await settle()
        assert connection.statistics().bytes_received <= 3 * 64 * KIB
        assert [await connection.receive() for _ in range(50)] == [b""] * 50


async def test_a_message_that_inflates_to_nothing_is_not_held_by_a_stream() -> None:
    async with served(True, limits=Limits(message_size=10_000_000)) as (connection, peer):
        await peer.send(BinaryFrame(NOTHING, rsv=0b100, fin=False))
        async with connection.receive_stream() as chunks, trio.open_nursery() as nursery:

            async def send_more() -> None:
                for _ in range(30):
                    await peer.send(ContinuationFrame(NOTHING, fin=False))
                    await settle()
                    assert connection.endpoint.incoming.held_size <= 2 * 64 * KIB
                await peer.send(ContinuationFrame(b"\x00"))

            nursery.start_soon(send_more)
            assert [chunk async for chunk in chunks] == []


async def test_empty_fragments_count_with_what_is_kept_of_them(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        for _ in range(6):
            await peer.send_message("binary", *[b""] * 4000)
        await settle()
        assert connection.statistics().inbox_messages <= 3
        assert [await connection.receive() for _ in range(6)] == [b""] * 6


# ---- leaving early -----------------------------------------------------------------------------


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_leaving_early_skips_the_rest(taken: int, deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        frames = peer.fragments("text", b"\xc3", b"\xa9ne", b"two", b"\xe2\x82", b"\xacthree")
        await peer.send(*frames[:4])
        await settle()
        async with connection.receive_stream() as chunks:
            pieces: list[str] = []
            while len("".join(pieces)) < taken:
                pieces.append(str(await anext(chunks)))
        await peer.send(frames[4])
        await peer.send_message("text", b"next")
        assert await connection.receive() == "next"
        await connection.send("still here")
        assert await peer.next_data() == ("text", b"still here")
        assert connection.statistics().messages_received == 1


async def test_what_is_skipped_is_not_held(deflated: bool) -> None:
    noise = seeded_bytes(1)(900_000)
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("binary", noise[:500_000], noise[500_000:])
        await peer.send(first)
        async with connection.receive_stream() as chunks:
            assert await anext(chunks)
        await settle()
        assert connection.endpoint.incoming.partial_size == 0
        assert connection.statistics().bytes_received >= 500_000  # nobody has to ask for it
        await peer.send(last)
        await peer.send_message("text", b"next")
        assert await collect(connection) == ["next"]


async def test_leaving_a_message_that_is_complete(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        await client.send("skipped")
        await client.send("next")
        await settle()
        async with server.receive_stream():
            pass
        assert await server.receive() == "next"
        assert server.statistics().messages_received == 1


async def test_leaving_by_an_error_is_leaving(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("text", b"one", b"two")
        await peer.send(first)
        with pytest.raises(KeyError):
            async with connection.receive_stream():
                raise KeyError
        await peer.send(last)
        await peer.send_message("text", b"next")
        assert await connection.receive() == "next"


async def test_the_limit_holds_while_skipping(deflated: bool) -> None:
    limits = Limits(message_size=1000)
    async with served(deflated, limits=limits) as (connection, peer):
        first, *more = peer.fragments("binary", bytes(500), bytes(500), b"!")
        await peer.send(first)
        async with connection.receive_stream():
            pass
        await peer.send(*more)
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1009


async def test_the_limit_to_the_byte_while_skipping_a_text(deflated: bool) -> None:
    """What was dropped of an unfinished character counts as well."""
    limits = Limits(message_size=1000)
    for surplus, code in [(0, None), (1, 1009)]:
        async with served(deflated, limits=limits) as (connection, peer):
            first, last = peer.fragments("text", b"\xe2\x82", b"\xac" + b"x" * (997 + surplus))
            await peer.send(first)
            async with connection.receive_stream():
                await settle()
            await peer.send(last)
            if code is None:
                await peer.send_message("text", b"next")
                assert await connection.receive() == "next"
            else:
                with pytest.raises(ConnectionLost):
                    await connection.receive()
                assert (await peer.expect_close())[0] == code


async def test_bad_text_is_found_while_skipping(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("text", b"\xe2\x82", b"x")
        await peer.send(first)
        async with connection.receive_stream():
            await settle()
        await peer.send(last)
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1007


# ---- limits and ends in the middle -------------------------------------------------------------


async def test_the_limit_holds_for_a_stream(deflated: bool) -> None:
    limits = Limits(message_size=1000)
    async with served(deflated, limits=limits) as (connection, peer):
        noise = seeded_bytes(1)(1001)
        await peer.send_message("binary", noise[:500], noise[500:1000], b"")
        assert joined(await collect(connection)) == noise[:1000]
        await peer.send_message("binary", noise[:500], noise[500:], b"")
        received: list[Any] = []
        with pytest.raises(ConnectionLost):  # noqa: PT012 - it is leaving the block that raises
            async with connection.receive_stream() as chunks:
                async for chunk in chunks:
                    received.append(chunk)  # noqa: PERF401 - what came before the error counts
        assert noise.startswith(b"".join(received))
        assert (await peer.expect_close())[0] == 1009


async def test_a_violation_in_the_middle(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(peer.fragments("text", b"one", b"")[0], BinaryFrame(b"inside"))
        received = []
        with pytest.raises(ConnectionLost):  # noqa: PT012 - it is leaving the block that raises
            async with connection.receive_stream() as chunks:
                async for chunk in chunks:
                    received.append(chunk)  # noqa: PERF401 - what came before the error counts
        assert received == ["one"]
        assert (await peer.expect_close())[0] == 1002


async def test_bad_text_in_the_middle(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(*peer.fragments("text", "né".encode()[:2], b"\xff", b""))
        received = []
        with pytest.raises(ConnectionLost):  # noqa: PT012 - it is leaving the block that raises
            async with connection.receive_stream() as chunks:
                async for chunk in chunks:
                    received.append(chunk)  # noqa: PERF401 - what came before the error counts
        assert received == ["n"]
        assert (await peer.expect_close())[0] == 1007


@pytest.mark.parametrize("code", [1000, 1001, None, 4000])
async def test_a_close_in_the_middle_is_no_end_of_a_message(
    code: int | None, deflated: bool
) -> None:
    """Nor of the channel: whoever takes `EndOfChannel` for "all has come" has half a message."""
    async with served(deflated) as (connection, peer):
        await peer.send(peer.fragments("text", b"one", b"")[0], CloseFrame(code))
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - it is leaving the block that raises
            async with connection.receive_stream() as chunks:
                assert await anext(chunks) == "one"
                await anext(chunks)
        assert isinstance(caught.value, ConnectionLost)
        assert caught.value.code == (code or 1005)
        with pytest.raises(ConnectionLost if code == 4000 else ConnectionEnded):
            await connection.receive()


async def test_a_close_before_a_message(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(CloseFrame(1000))
        with pytest.raises(ConnectionEnded):
            await collect(connection)


async def test_the_bytes_end_in_the_middle(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(peer.fragments("text", b"one", b"")[0])
        async with connection.receive_stream() as chunks:
            assert await anext(chunks) == "one"
            await peer.stream.aclose()
            with pytest.raises(ConnectionLost):
                await anext(chunks)


async def test_closed_by_another_task(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(peer.fragments("text", b"one", b"")[0])
        async with trio.open_nursery() as nursery, connection.receive_stream() as chunks:
            assert await anext(chunks) == "one"
            nursery.start_soon(connection.aclose)
            with pytest.raises(ConnectionClosedLocally):
                await anext(chunks)


async def test_what_came_before_the_close_can_be_streamed(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        await peer.send(*peer.fragments("text", b"one", b"two"), CloseFrame(1000))
        await settle()
        assert await collect(connection) == ["onetwo"]
        with pytest.raises(ConnectionEnded):
            await collect(connection)


# ---- misuse ------------------------------------------------------------------------------------


async def test_receive_while_a_stream_is_open() -> None:
    async with pair() as (client, server):
        await client.send("one")
        await client.send("two")
        async with server.receive_stream() as chunks:
            for receive in [server.receive, server.receive_message, lambda: collect(server)]:
                with pytest.raises(trio.BusyResourceError):
                    await receive()
            with pytest.raises(trio.BusyResourceError):
                server.receive_nowait()
            assert [chunk async for chunk in chunks] == ["one"]
            with pytest.raises(trio.BusyResourceError):
                await server.receive()
        assert await server.receive() == "two"


async def test_a_stream_while_receive_waits() -> None:
    async with pair() as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.receive)
        await settle()
        with pytest.raises(trio.BusyResourceError):
            await collect(server)
        await client.send("one")


async def test_two_tasks_in_one_stream() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        await send_raw(peer, peer.to_bytes(TextFrame("ab"))[:7])
        async with connection.receive_stream() as chunks:
            assert await anext(chunks) == "a"
            nursery.start_soon(anext, chunks)
            await settle()
            with pytest.raises(trio.BusyResourceError):
                await anext(chunks)
            await send_raw(peer, peer.to_bytes(TextFrame("ab"))[7:])
            await settle()


async def test_outside_of_its_block() -> None:
    async with pair() as (client, server):
        await client.send("one")
        await client.send("two")
        chunks = server.receive_stream()
        with pytest.raises(RuntimeError, match="enter it with `async with` first"):
            [chunk async for chunk in chunks]
        async with chunks:
            assert await anext(chunks) == "one"
        with pytest.raises(RuntimeError, match="its block has been left"):
            await anext(chunks)
        with pytest.raises(RuntimeError, match="its block has been left"):
            [chunk async for chunk in chunks]
        with pytest.raises(RuntimeError, match="a stream is entered once"):
            await chunks.__aenter__()
        assert await server.receive() == "two"


# ---- being cancelled ---------------------------------------------------------------------------


async def test_cancelled_while_entering(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        with trio.move_on_after(1) as scope:
            await collect(server)
        assert scope.cancelled_caught
        await client.send("one")
        assert await server.receive() == "one"


async def test_cancelled_between_pieces_nothing_is_lost(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        frames = peer.fragments("text", b"one", b"two", b"three")
        await peer.send(frames[0])
        async with connection.receive_stream() as chunks:
            assert await anext(chunks) == "one"
            with trio.move_on_after(1) as scope:
                await anext(chunks)
            assert scope.cancelled_caught
            await peer.send(frames[1])
            await settle()
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(chunks)
            assert scope.cancelled_caught
            assert await anext(chunks) == "two"
            await peer.send(frames[2])
            assert [chunk async for chunk in chunks] == ["three"]


async def test_a_cancelled_stream_skips_its_message(deflated: bool) -> None:
    async with served(deflated) as (connection, peer):
        first, last = peer.fragments("text", b"one", b"two")
        await peer.send(first)
        with trio.move_on_after(1) as scope:
            await collect(connection)
        assert scope.cancelled_caught
        await peer.send(last)
        await peer.send_message("text", b"next")
        assert await connection.receive() == "next"


async def test_every_call_is_a_cancel_point(deflated: bool) -> None:
    async with pair(deflated) as (client, server):
        await client.send("one")
        await settle()
        with trio.CancelScope() as scope:
            scope.cancel()
            async with server.receive_stream():
                raise AssertionError
        assert scope.cancelled_caught
        async with server.receive_stream() as chunks:
            for _ in range(2):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await anext(chunks)
                assert scope.cancelled_caught
            assert [chunk async for chunk in chunks] == ["one"]


async def test_a_loop_over_pieces_lets_others_run() -> None:
    ours, theirs = half_pair()
    async with served(streams=(ours, theirs)) as (connection, peer):
        ran = 0

        async def count() -> None:
            nonlocal ran
            while True:
                ran += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(200):
                await peer.send(TextFrame("x"))
                assert await collect(connection) == ["x"]
            assert ran >= 3
            nursery.cancel_scope.cancel()
