"""Leaving the block of a connection: what comes out, and what the peer is told."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    REQUEST,
    Clock,
    Peer,
    half_pair,
    loud_records,
    plain_pair,
    served,
)
from trio_wsendpoint import (
    Connection,
    ConnectionClosedLocally,
    ConnectionEnded,
    TextFrame,
    accept_endpoint,
    connect_endpoint,
    reconnecting_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.testing import MemoryNetwork, connection_pair, memory_stream_pair


class BlockError(Exception):
    """What a block raises."""


async def accepted(streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None):
    """Return a context that accepts, and its peer, who closes as a healthy one does."""
    ours, theirs = streams or trio.testing.memory_stream_pair()
    await theirs.send_all(REQUEST)
    return accept_endpoint(ours), Peer(theirs, masks=True)


async def told(peer: Peer) -> list[tuple[str, bytes]]:
    """Return what the peer has read by now, from the first frame on."""
    await peer.read_head()
    return await peer.rest()


async def test_leaving_closes_with_1000(caplog: pytest.LogCaptureFixture) -> None:
    context, peer = await accepted()
    async with trio.open_nursery() as nursery:
        async with context as connection:
            await peer.read_head()
            nursery.start_soon(peer.answer_close)
            clock = Clock()
        assert clock.now == 0
        assert connection.endpoint.closing.sent is not None
        assert connection.endpoint.closing.sent.code == 1000
        with pytest.raises(ConnectionClosedLocally):
            await connection.send("x")
    assert loud_records(caplog) == []


async def test_an_error_comes_out_as_itself_and_the_peer_gets_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context, peer = await accepted()
    error = ValueError("mine")
    cause = KeyError("why")
    with pytest.raises(ValueError, match="mine") as caught:
        async with context:
            raise error from cause
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert await told(peer) == [("close", b"\x03\xf3")]
    # It is the block's caller who sees the error, so nothing is logged.
    assert loud_records(caplog) == []


async def test_an_error_after_the_connection_has_ended() -> None:
    async with connection_pair() as (client, server):
        await client.aclose()
        with pytest.raises(ConnectionEnded):
            await server.receive()
    with pytest.raises(BlockError):  # noqa: PT012
        async with connection_pair() as (client, server):
            await client.aclose()
            raise BlockError


async def test_what_a_connection_raises_comes_out_as_itself() -> None:
    context, peer = await accepted()
    with pytest.raises(ConnectionEnded) as caught:  # noqa: PT012
        async with context as connection:
            await peer.read_head()
            await peer.stream.send_all(b"\x88\x80\x00\x00\x00\x00")
            await connection.receive()
    assert caught.value.code == 1005


async def test_a_group_of_the_block_s_own_is_left_alone() -> None:
    context, peer = await accepted()
    group = ExceptionGroup("two", [BlockError("a"), BlockError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        async with context:
            raise group
    # Trio's nurseries copy groups; what is in them stays the same.
    assert caught.value.message == "two"
    assert caught.value.exceptions == group.exceptions
    assert await told(peer) == [("close", b"\x03\xf3")]


async def test_errors_in_a_nursery_of_the_user_s_are_left_alone() -> None:
    async def fail() -> None:
        raise BlockError

    context, peer = await accepted()
    with pytest.raises(ExceptionGroup) as caught:
        async with context, trio.open_nursery() as nursery:
            nursery.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [BlockError]
    assert await told(peer) == [("close", b"\x03\xf3")]

    context, peer = await accepted()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery, context as connection:
            nursery.start_soon(fail)
            await connection.receive()
    assert [type(error) for error in caught.value.exceptions] == [BlockError]
    assert await told(peer) == [("close", b"\x03\xe9")]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_of_the_block_comes_out(kind: type[BaseException]) -> None:
    context, peer = await accepted()
    clock = Clock()
    with pytest.raises(kind):
        async with context:
            raise kind
    assert clock.now == 0
    assert await told(peer) == [("close", b"\x03\xe9")]


@pytest.mark.parametrize("where", ["reading", "writing"])
async def test_an_interrupt_in_a_task_of_ours_comes_out(where: str) -> None:
    ours, theirs = half_pair()
    context, _ = await accepted((ours, theirs))
    clock = Clock()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with context as connection:
            await trio.testing.wait_all_tasks_blocked()
            if where == "reading":
                ours.fail(KeyboardInterrupt())
            else:
                ours.send_error = KeyboardInterrupt()
                await connection.send("x")
            await connection.receive()
    assert clock.now <= 5
    assert ours.closes >= 1


@pytest.mark.parametrize("raises", [True, False])
async def test_an_interrupt_while_the_stream_is_closed(raises: bool) -> None:
    """A Ctrl-C comes out as it is, and shows the block's error as what came before."""
    ours, theirs = plain_pair()
    ours.close_error = KeyboardInterrupt()
    context, peer = await accepted((ours, theirs))
    with pytest.raises(KeyboardInterrupt) as caught:  # noqa: PT012
        async with context as connection:
            await peer.read_head()
            if raises:
                await peer.stream.aclose()
                raise BlockError
            await peer.stream.aclose()
            await connection.wait_closed()
            await trio.sleep_forever()
    assert isinstance(caught.value.__context__, BlockError) is raises


async def test_an_error_of_the_block_that_is_cancelled_on_its_way_out() -> None:
    context, _ = await accepted()
    with trio.move_on_after(2) as scope:
        async with context:
            clock = Clock()
            raise BlockError  # its 1011 is not answered
    assert scope.cancelled_caught
    assert clock.now == 2


async def test_a_connection_lives_as_long_as_its_block() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("x"))
        assert await connection.receive() == "x"
    await connection.wait_closed()
    assert not connection.is_open


async def test_connections_may_be_nested_in_any_order() -> None:
    async with connection_pair() as (one, two):
        async with connection_pair() as (three, four):
            await one.send("outer")
            await three.send("inner")
            assert [await two.receive(), await four.receive()] == ["outer", "inner"]
        await two.send("still")
        assert await one.receive() == "still"


async def returned_from_a_cancelled(block: AbstractAsyncContextManager[object]) -> str:
    """Return what a block returns whose scope it has cancelled before."""

    async def leave(scope: trio.CancelScope) -> str:
        async with block:
            scope.cancel()
            return "what the block returns"

    with trio.CancelScope() as scope:
        return await leave(scope)
    return "it was overtaken by Cancelled"


async def test_a_block_left_in_a_cancelled_scope_keeps_what_it_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    context, peer = await accepted()
    started = trio.current_time()
    assert await returned_from_a_cancelled(context) == "what the block returns"
    assert trio.current_time() == started
    assert await told(peer) == [("close", b"\x03\xe9")]  # 1001


async def test_so_do_the_blocks_of_a_server_and_of_a_client_that_stays_connected(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handler(connection: Connection) -> None:
        await connection.wait_closed()

    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        return await network.connect("a")

    network = MemoryNetwork()
    serving = serve_endpoint(handler, listeners=[network.listen("b")])
    staying = reconnecting_endpoint("ws://a/", open_stream=open_stream)
    async with serve_endpoint(handler, listeners=[network.listen("a")]):
        connecting = connect_endpoint("ws://a/", stream=await network.connect("a"))
        assert await returned_from_a_cancelled(connecting) == "what the block returns"
        assert await returned_from_a_cancelled(staying) == "what the block returns"
    assert await returned_from_a_cancelled(serving) == "what the block returns"


async def test_leaving_a_cancelled_scope_raises_if_messages_are_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    context, _ = await accepted(memory_stream_pair(capacity=1000))
    with trio.CancelScope() as scope:
        async with context as connection:
            connection.send_nowait(b"x" * 5000)
            scope.cancel()
        pytest.fail("the loss was not told")
    assert scope.cancelled_caught


async def test_some_hundred_blocks_within_each_other_are_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    started = trio.current_time()
    async with AsyncExitStack() as stack:
        for _ in range(400):
            await stack.enter_async_context(connection_pair())
    assert trio.current_time() == started
