"""`wait_room`: it waits as `send` does, takes nothing, and holds up no other task."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.connection.helpers import away, both_forms, connection_pair, settle, tight_pair
from trio_wsendpoint import ConnectionClosedLocally, ConnectionLost, Limits
from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint

pytestmark = both_forms

SMALL = {"limits": Limits(send_buffer=100, receive_buffer=100)}


def small_pair(**options):
    return connection_pair(streams=tight_pair(100), client=SMALL, server=SMALL, **options)


async def fill(connection):
    """Queue messages until there is no room."""
    count = 0
    while True:
        try:
            connection.send_nowait(b"x" * 80)
        except trio.WouldBlock:
            return count
        count += 1
        await away()


async def test_it_is_a_checkpoint_when_there_is_room():
    async with small_pair() as (client, _):
        with trio.testing.assert_checkpoints():
            await client.wait_room()
        client.send_nowait("one")


async def test_it_returns_when_the_peer_has_taken_enough():
    async with small_pair() as (client, server):
        count = await fill(client)
        began = trio.current_time()
        with trio.move_on_after(5) as scope:
            await client.wait_room()
        assert scope.cancelled_caught

        async def read():
            await trio.sleep(10)
            for _ in range(count):
                await server.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await client.wait_room()
            assert trio.current_time() >= began + 15
            client.send_nowait("there was room")  # without a pause between
        assert await server.receive() == "there was room"


async def test_it_waits_for_the_room_of_a_large_message():
    async with small_pair() as (client, server):
        client.send_nowait(b"x" * 300)
        await away()
        client.send_nowait(b"small")
        large = b"y" * 100_000
        with pytest.raises(trio.WouldBlock):
            client.send_nowait(large)
        async with trio.open_nursery() as nursery:

            async def read():
                await trio.sleep(3)
                assert await server.receive() == b"x" * 300
                assert await server.receive() == b"small"

            nursery.start_soon(read)
            await client.wait_room(len(large))
            client.send_nowait(large)
        assert await server.receive() == large
        with pytest.raises(ValueError, match="size must be at least 0 bytes, not -1"):
            await client.wait_room(-1)


async def test_it_holds_up_no_sender():
    async with small_pair() as (client, server):
        count = await fill(client)
        done = []

        async def wait(number):
            await client.wait_room()
            done.append(number)

        async def send(number):
            await client.send(b"%d" % number)
            done.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(send if number == 5 else wait, number)
                await settle()
            for _ in range(count):
                await server.receive()
            with trio.fail_after(5):
                assert await server.receive() == b"5"
        assert sorted(done) == [0, 1, 2, 3, 4, 5]


async def test_a_message_in_chunks_is_waited_for():
    async with small_pair() as (client, server), trio.open_nursery() as nursery:
        began = trio.current_time()

        async def wait():
            await client.wait_room()
            assert trio.current_time() == began + 3

        async with client.send_stream("text") as stream:
            await stream.send("one")
            with pytest.raises(RuntimeError, match="it would wait for itself"):
                await client.wait_room()
            nursery.start_soon(wait)
            await trio.sleep(3)
            await stream.send("two")
        assert await server.receive() == "onetwo"


@pytest.mark.parametrize("is_full", [False, True])
async def test_after_our_close(is_full):
    async with small_pair() as (client, server):
        if is_full:
            await fill(client)

        async def drain():
            async for _ in server:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await client.aclose()
        with pytest.raises(ConnectionClosedLocally):
            await client.wait_room()


async def test_when_the_connection_ends_meanwhile():
    streams = tight_pair(100)
    async with connection_pair(streams=streams, client=SMALL, server=SMALL) as (client, _):
        await fill(client)
        async with trio.open_nursery() as nursery:

            async def wait():
                with pytest.raises(ConnectionLost):
                    await client.wait_room()

            nursery.start_soon(wait)
            await settle()
            await trio.aclose_forcefully(streams[1])


async def test_in_another_thread():
    async with small_pair() as (client, _):

        def call():
            with pytest.raises(RuntimeError, match="thread"):
                trio.run(client.wait_room)

        await trio.to_thread.run_sync(call)


def test_struck_at_every_checkpoint():
    async def scenario(run: Run):
        streams = run.network.pair(capacity=100)
        async with connection_pair(
            streams=streams,
            client={**SMALL, "random_bytes": run.random_bytes},
            server=SMALL,
        ) as (client, server):
            for _ in range(6):
                with trio.move_on_after(0.5):
                    await client.send(b"x" * 80)

            async def others():
                await client.send("last")

            async def read():
                async for message in server:
                    await trio.sleep(0.1)
                    if message == "last":
                        return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(others)
                nursery.start_soon(read)
                await run.victim(client.wait_room)

    report = cancel_at_every_checkpoint(scenario, seeds=range(3))
    assert report.injections["cancel"] > 0
