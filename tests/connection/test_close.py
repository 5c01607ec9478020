"""`aclose`, `wait_closed`, and the Close frames, by either side and over any stream."""

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
    plain_pair,
    served,
    settle,
)
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionClosedLocally,
    ConnectionEnded,
    InvalidCloseCode,
    PingFrame,
    State,
    TextFrame,
    Timeouts,
)

pytestmark = both_forms


async def test_a_reason_reaches_the_peer(caplog: pytest.LogCaptureFixture) -> None:
    async with connection_pair() as (client, server):
        clock = Clock()
        await client.aclose(4321, "ünder way")
        assert clock.is_at(0)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.receive()
        error = caught.value
        assert (getattr(error, "code", None), getattr(error, "reason", None)) == (4321, "ünder way")
    assert loud_records(caplog) == []


@pytest.mark.parametrize("side", [0, 1])
async def test_either_side_may_close_and_both_end_at_once(side: int) -> None:
    async with connection_pair() as pair:
        clock = Clock()
        closing, other = pair[side], pair[1 - side]
        await closing.aclose()
        with pytest.raises(ConnectionEnded):
            await other.receive()
        await other.wait_closed()
        assert clock.is_at(0)
        assert closing.endpoint.state is other.endpoint.state is State.CLOSED


async def test_both_sides_close_at_once() -> None:
    ours, theirs = half_pair()
    async with connection_pair(streams=(ours, theirs)) as (client, server):
        clock = Clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose, 4001)
            nursery.start_soon(server.aclose, 4002)
        assert clock.now == 0
        assert client.endpoint.state is server.endpoint.state is State.CLOSED
        assert [write[0] for write in ours.writes] == [0x88]  # one Close frame, and nothing else
        with pytest.raises(ConnectionClosedLocally) as caught:
            await client.receive()
        assert caught.value.code == 4002


async def test_closing_again_is_no_error() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose, 1001)
        nursery.start_soon(connection.aclose, 4000)
        await settle()
        nursery.start_soon(connection.aclose)
        nursery.start_soon(connection.wait_closed)
        assert await peer.answer_close() in {(1001, ""), (4000, "")}
        assert await peer.rest() == []
        await connection.aclose()
        await connection.aclose(1000, "once more")
        await connection.wait_closed()


async def test_closing_after_the_peer_has_closed() -> None:
    async with served() as (connection, peer):
        await peer.send(CloseFrame(1000))
        await away()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose, 4000)
            assert await peer.rest() == [("close", b"\x03\xe8")]
            await peer.stream.aclose()


async def test_leaving_the_block_after_the_peer_has_closed() -> None:
    async with connection_pair() as (client, server):
        await client.aclose()
        await server.wait_closed()
    with pytest.raises(ConnectionClosedLocally):
        await server.receive()


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1005, ""), (1006, ""), (999, ""), (5000, ""), (None, "why"), (1000, "x" * 124), (1004, "")],
)
async def test_what_must_not_be_sent_closes_nothing(code: int | None, reason: str) -> None:
    async with connection_pair() as (client, server):
        with pytest.raises(InvalidCloseCode):
            await client.aclose(code, reason)
        assert client.is_open
        await client.send("still")
        await server.send("open")
        assert [await server.receive(), await client.receive()] == ["still", "open"]


async def test_an_empty_close_frame() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose, None)
        assert await peer.answer_close() == (None, "")
        await connection.wait_closed()
        with pytest.raises(ConnectionClosedLocally) as caught:
            await connection.receive()
        assert caught.value.code == 1005


async def test_what_was_sent_leaves_first() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        ours.room = 0
        for number in range(5):
            await connection.send(str(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            await settle()
            ours.room = None
            for number in range(5):
                assert await peer.next_frame() == TextFrame(str(number))
            await peer.answer_close()


async def test_what_was_received_and_not_read_is_discarded() -> None:
    async with connection_pair() as (client, server):
        await client.send("unread")
        await away()
        assert server.statistics().inbox_messages == 1
        await server.aclose()
        assert server.statistics().inbox_messages == 0
        assert server.statistics().inbox_bytes == 0
        with pytest.raises(ConnectionClosedLocally):
            await server.receive()


async def test_what_the_peer_sends_after_our_close_is_passed_over() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        await peer.expect_close()
        await peer.send(TextFrame("late"), PingFrame(b"late"), BinaryFrame(bytes(100_000)))
        await peer.send(CloseFrame(1000))
        await settle()
        assert connection.endpoint.state is State.CLOSED
        assert connection.statistics().inbox_messages == 0
        assert await peer.rest() == []
        await peer.stream.aclose()


async def test_what_the_peer_sends_after_its_own_close_is_passed_over() -> None:
    async with served() as (connection, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000), TextFrame("never"), PingFrame())
        await peer.stream.send_all(b"\xff" * 10_000)
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        assert await peer.rest() == [("close", b"\x03\xe8")]
        await peer.stream.aclose()
        await connection.wait_closed()
        assert clock.now == 0


async def test_a_peer_that_does_not_stop_after_its_close_is_not_listened_to() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000))
        await peer.stream.send_all(bytes(1 << 20))
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        await connection.wait_closed()
        assert clock.now == 0
        assert ours.unread == 0


async def test_aclose_in_a_cancelled_scope_closes_at_once() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, _):
        clock = Clock()
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.aclose()
        assert scope.cancelled_caught
        assert clock.now == 0
        assert ours.closes >= 1
        await connection.wait_closed()
        with pytest.raises(ConnectionClosedLocally):
            await connection.receive()
        await connection.aclose()
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.aclose()
        assert scope.cancelled_caught


async def test_an_aclose_that_is_cancelled_later_closes_at_once() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, _peer):
        ours.room = 1  # the Close frame is torn
        clock = Clock()
        with trio.move_on_after(2) as scope:
            await connection.aclose()
        assert scope.cancelled_caught
        assert clock.now == 2
        assert ours.closes >= 1


async def test_aclose_and_wait_closed_are_checkpoints() -> None:
    async with connection_pair() as (client, server):
        with trio.testing.assert_checkpoints():
            await client.aclose()
        with trio.testing.assert_checkpoints():
            await client.aclose()
        with trio.testing.assert_checkpoints():
            await server.wait_closed()
        with trio.testing.assert_checkpoints():
            await server.wait_closed()


@pytest.mark.parametrize("call", ["receive", "send"])
async def test_aclose_while_another_task_waits(call: str) -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.room = 0
        connection.send_nowait(b"x" * 30_000)
        await settle()
        connection.send_nowait(b"x" * 65_536)

        async def wait() -> None:
            with pytest.raises(ConnectionClosedLocally):  # noqa: PT012
                if call == "send":
                    await connection.send("never")
                else:
                    await connection.receive()
            assert clock.now == 0

        nursery.start_soon(wait)
        await settle()
        clock = Clock()
        nursery.start_soon(connection.aclose)
        await settle()
        ours.room = None
        frames = [await peer.next_frame(), await peer.next_frame()]
        assert frames == [BinaryFrame(b"x" * 30_000), BinaryFrame(b"x" * 65_536)]
        await peer.answer_close()


async def test_wait_closed_waits_for_whoever_closes() -> None:
    async with connection_pair() as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.wait_closed)
        nursery.start_soon(client.wait_closed)
        await settle()
        assert len(nursery.child_tasks) == 2
        await client.aclose()


# ---- over several kinds of streams -----------------------------------------------------------


async def test_a_server_ends_its_bytes_first() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000))
        assert await peer.rest() == [("close", b"\x03\xe8")]  # and then the end
        assert connection.endpoint.state is State.CLOSED
        assert ours.closes == 0
        await trio.sleep(0.25)
        await peer.stream.aclose()
        await connection.wait_closed()
        assert clock.is_at(0.25)


async def test_a_client_waits_for_the_server_to_end_its_bytes() -> None:
    ours, theirs = half_pair()
    async with connected((ours, theirs)) as (connection, peer):
        await peer.send(CloseFrame(1000))
        assert await peer.expect_close() == (1000, "")
        await settle()
        assert ours.closes == 0
        await peer.stream.aclose()
        await connection.wait_closed()


async def test_a_client_does_not_wait_for_ever_for_the_end_of_the_bytes() -> None:
    async with connected(timeouts=Timeouts(linger=0.5)) as (connection, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000))
        await connection.wait_closed()
        assert clock.now == 0.5
        assert await peer.rest() == [("close", b"\x03\xe8")]


async def test_a_server_s_stream_that_cannot_be_half_closed_is_closed() -> None:
    ours, theirs = plain_pair()
    async with served((ours, theirs)) as (connection, peer):
        clock = Clock()
        await peer.send(CloseFrame(1000))
        await connection.wait_closed()
        assert clock.now == 0
        assert await peer.rest() == [("close", b"\x03\xe8")]


async def test_a_violation_over_a_stream_that_cannot_be_half_closed() -> None:
    ours, theirs = plain_pair()
    async with served((ours, theirs), timeouts=Timeouts(linger=0.75)) as (connection, peer):
        clock = Clock()
        await peer.stream.send_all(b"\xff")
        await connection.wait_closed()
        assert clock.now == 0.75
        assert (await peer.expect_close())[0] == 1002
        assert await peer.next_frame() is None


@pytest.mark.parametrize("error", [trio.BrokenResourceError("gone"), OSError(5, "odd")])
@pytest.mark.parametrize("closes_first", [False, True])
async def test_a_stream_that_cannot_be_closed_in_order(
    error: Exception, closes_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = plain_pair()
    ours.close_error = error
    async with served((ours, theirs)) as (connection, peer):
        clock = Clock()
        if closes_first:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.aclose)
                await peer.answer_close()
        else:
            await peer.send(CloseFrame(1000))
            with pytest.raises(ConnectionEnded):
                await connection.receive()
        await connection.wait_closed()
        assert clock.now == 0
    assert loud_records(caplog) == []


async def test_a_stream_that_breaks_under_the_close_frame() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        ours.send_error = trio.BrokenResourceError("gone")
        clock = Clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            await settle()
            await peer.end_sending()
        assert clock.now == 0
