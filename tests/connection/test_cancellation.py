"""`Cancelled` means that nothing was done, wherever it strikes; nothing is torn or lost."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    REQUEST,
    Clock,
    both_forms,
    connected,
    connection_pair,
    half_pair,
    loud_records,
    served,
    settle,
    tight_pair,
)
from trio_wsendpoint import (
    ConnectionClosedLocally,
    ContinuationFrame,
    Frame,
    Limits,
    TextFrame,
    Timeouts,
    accept_endpoint,
)

pytestmark = both_forms


async def cancelled_after(turns: int, call: Callable[[], Awaitable[object]]) -> bool:
    """Cancel `call` when it has run for some turns; return whether it was cancelled."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await call()
                nursery.cancel_scope.cancel()

            with trio.CancelScope() as inner:

                async def cancel() -> None:
                    with trio.CancelScope(shield=True):
                        for _ in range(turns):
                            await trio.lowlevel.checkpoint()
                    inner.cancel()

                nursery.start_soon(cancel)
                await run()
    assert not scope.cancelled_caught
    return inner.cancelled_caught


@pytest.mark.parametrize("size", [1, 200_000])
async def test_a_send_is_whole_or_nothing(size: int) -> None:
    limits = Limits(send_buffer=size, fragment_size=30_000)
    async with connection_pair(streams=tight_pair(), client={"limits": limits}) as (client, server):
        sent: list[str | bytes] = []
        received: list[str | bytes] = []

        async def read() -> None:
            async for message in server:
                await trio.lowlevel.checkpoint()
                received.append(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for turns in range(60):
                with contextlib.suppress(trio.WouldBlock):
                    while True:
                        client.send_nowait("f" * size)
                        sent.append("f" * size)
                message = f"{turns:02}" * size
                if not await cancelled_after(
                    turns % 40 * (1 + size // 50_000), partial(client.send, message)
                ):
                    sent.append(message)
            await client.aclose()
        assert received == sent
        filled = sent.count("f" * size)
        assert len(sent) > filled  # how many are cancelled depends on the order of the tasks


async def test_a_send_that_is_cancelled_at_its_entry() -> None:
    async with connection_pair() as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.send("never")
        assert scope.cancelled_caught
        await client.send("this")
        assert await server.receive() == "this"
        assert client.statistics().messages_sent == 1


async def test_a_send_that_is_cancelled_while_it_waits_for_room() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer):
        ours.room = 0
        await connection.send("a")
        await settle()
        await connection.send("b")
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1) as scope:
                await connection.send("never")
            assert scope.cancelled_caught
            assert connection.statistics().tasks_waiting_send == 0
            # One in the middle of the line, and the first one:
            scopes = []
            for name in "cdef":
                scopes.append(trio.CancelScope())

                async def send(name: str = name, scope: trio.CancelScope = scopes[-1]) -> None:
                    with scope:
                        await connection.send(name)

                nursery.start_soon(send)
                await settle()
            scopes[0].cancel()
            scopes[2].cancel()
            await settle()
            ours.room = None
            frames = [await peer.next_frame() for _ in range(4)]
            assert frames == [TextFrame(name) for name in "abdf"]


async def test_a_cancel_in_the_moment_in_which_there_is_room() -> None:
    """Whether it was sent or not, the next in line goes on."""
    for _ in range(20):  # Trio draws the order of the tasks
        ours, theirs = half_pair()
        async with (
            served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer),
            trio.open_nursery() as nursery,
        ):
            ours.room = 0
            await connection.send("a")
            await settle()
            await connection.send("b")
            scope = trio.CancelScope()
            outcome: list[str] = []

            async def send(scope: trio.CancelScope, outcome: list[str], connection=connection):
                with scope:
                    await connection.send("maybe")
                    outcome.append("maybe")

            nursery.start_soon(send, scope, outcome)
            await settle()
            nursery.start_soon(connection.send, "last")
            await settle()
            ours.room = None
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            scope.cancel()
            frames: list[Frame | None] = []
            while not frames or frames[-1] != TextFrame("last"):
                frames.append(await peer.next_frame())
            assert frames == [TextFrame(name) for name in ["a", "b", *outcome, "last"]]


async def test_a_cancelled_send_of_16_mb_to_a_slow_peer() -> None:
    size = 16_000_000
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), heartbeat=None, timeouts=Timeouts(write=2)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        ours.room = 0

        async def read_slowly() -> None:
            while True:
                await trio.sleep(1)
                ours.room = 1_000_000

        nursery.start_soon(read_slowly)
        with trio.move_on_after(0.5):
            await connection.send(b"1" * size)  # committed before it could be cancelled
        with trio.move_on_after(3) as scope:
            await connection.send(b"2" * size)
        assert scope.cancelled_caught  # there was no room: nothing of it is sent
        with trio.fail_after(100):
            await connection.send(b"3" * size)
        received = b""
        while len(received) < 2 * size:
            frame = await peer.next_frame()
            assert frame is not None
            received += frame.payload
        assert received == b"1" * size + b"3" * size
        await peer.send(TextFrame("from the peer"))
        assert await connection.receive() == "from the peer"
        nursery.cancel_scope.cancel()


async def test_receive_may_be_cancelled_anywhere() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.chop = 3
        count = 60
        frames = [
            frame
            for number in range(count)
            for frame in (TextFrame(f"{number}", fin=False), ContinuationFrame(b"!"))
        ]

        async def send() -> None:
            for frame in frames:
                await peer.send(frame)
                await trio.sleep(0.001)

        nursery.start_soon(send)
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await connection.receive())

        turns = cancelled = 0
        while len(received) < count:
            turns += 1
            cancelled += await cancelled_after(turns % 7, receive)
            if turns % 7 == 0:
                await trio.sleep(0.001)
        assert received == [f"{number}!" for number in range(count)]
        assert cancelled > 10


@pytest.mark.parametrize("opened", [served, connected])
async def test_an_owner_that_is_cancelled(opened, caplog: pytest.LogCaptureFixture) -> None:
    with trio.CancelScope() as scope:
        async with opened() as (connection, peer):
            clock = Clock()
            await connection.send("before")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert clock.now == 0
    assert await peer.rest() == [("text", b"before"), ("close", b"\x03\xe9")]
    assert connection.endpoint.is_closed()
    assert loud_records(caplog) == []


async def test_an_owner_that_is_cancelled_while_the_stream_stalls() -> None:
    ours, theirs = half_pair()
    with trio.CancelScope() as scope:
        async with served((ours, theirs)) as (connection, peer):
            ours.room = 3
            clock = Clock()
            await connection.send("stuck")
            await settle()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert clock.now == 0
    assert ours.closes >= 1
    assert await peer.rest() == []


async def test_an_owner_that_is_cancelled_while_it_closes() -> None:
    ours, theirs = half_pair()
    with trio.move_on_after(2) as scope:
        async with served((ours, theirs), timeouts=Timeouts(close=30)) as (connection, _):
            clock = Clock()
            await connection.aclose()
    assert scope.cancelled_caught
    assert clock.now == 2
    assert ours.closes >= 1


async def test_an_owner_that_is_cancelled_on_its_way_out() -> None:
    ours, theirs = half_pair()
    with trio.move_on_after(2) as scope:
        await theirs.send_all(REQUEST)
        async with accept_endpoint(ours, timeouts=Timeouts(close=30)):
            clock = Clock()
    assert scope.cancelled_caught
    assert clock.now == 2
    assert ours.closes >= 1


async def test_a_cancelled_owner_wakes_everyone_else() -> None:
    woken = 0
    ours, theirs = half_pair()
    async with trio.open_nursery() as outside:
        with trio.CancelScope() as scope:
            async with served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, _):
                ours.room = 0
                await connection.send("a")
                await settle()
                await connection.send("b")

                async def wait(call: Callable[[], Awaitable[object]]) -> None:
                    nonlocal woken
                    with pytest.raises(ConnectionClosedLocally):
                        await call()
                    woken += 1

                outside.start_soon(wait, connection.receive)
                outside.start_soon(wait, lambda: connection.send("x"))
                outside.start_soon(wait, connection.ping)
                outside.start_soon(connection.wait_closed)
                outside.start_soon(connection.wait_closed)
                await settle()
                clock = Clock()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert woken == 3
    assert clock.now == 0


async def test_a_cancelled_wait_closed_closes_nothing() -> None:
    async with connection_pair() as (client, server):
        with trio.move_on_after(1) as scope:
            await client.wait_closed()
        assert scope.cancelled_caught
        await client.send("still")
        assert await server.receive() == "still"


async def test_entering_a_cancelled_scope() -> None:
    ours, theirs = half_pair()
    await theirs.send_all(REQUEST)
    with trio.CancelScope() as scope:
        scope.cancel()
        async with accept_endpoint(ours):
            pytest.fail("there is no connection")
    assert scope.cancelled_caught
    assert ours.closes >= 1
