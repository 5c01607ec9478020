"""A reconnecting channel, struck wherever it may be: nothing is left, nothing comes twice."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio

from tests.client.reconnecting_world import World
from trio_wsendpoint import Backoff, ReconnectState, serve_endpoint
from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint

SEEDS = range(3)


@asynccontextmanager
async def served_world(run: Run):
    served = World(run.network)
    async with serve_endpoint(
        served.serve,
        listeners=[run.network.listen()],
        process_request=served.process_request,
        random_bytes=run.random_bytes,
    ):
        yield served


def channel_of(served, run, **options):
    return served.channel(backoff=Backoff(rng=run.random), random_bytes=run.random_bytes, **options)


async def whole_life(run: Run) -> None:
    """The block itself: entered, used over two connections, and left."""
    async with served_world(run) as served:

        async def on_connect(connection, attempt):
            await connection.send("hello")

        async def live() -> None:
            async with channel_of(served, run, on_connect=on_connect) as channel:
                assert await channel.receive() == "hello"
                await channel.send("one")
                assert await channel.receive() == "one"
                run.network.reset()
                while channel.state is not ReconnectState.WAITING:
                    await trio.sleep(0.01)
                await channel.send("two")
                assert await channel.receive() == "hello"
                assert await channel.receive() == "two"

        await run.victim(live, children=True)
        await trio.sleep(10)


async def renewing(run: Run) -> None:
    """The block, while the next connection takes over from the old one."""
    async with served_world(run) as served:

        async def live() -> None:
            async with channel_of(served, run, max_age=1.0) as channel:
                await channel.wait_connected()
                await trio.sleep(1.2)
                await channel.send("one")
                assert await channel.receive() == "one"

        await run.victim(live, children=True)
        await trio.sleep(10)


async def refused(run: Run) -> None:
    """The block, while nothing listens."""
    async with served_world(run) as served:
        served.up = False

        async def live() -> None:
            with trio.move_on_after(5):
                async with channel_of(served, run) as channel:
                    await channel.receive()

        await run.victim(live, children=True)


async def sending(run: Run) -> None:
    """One send, which waits for a connection: cancelled, it has sent nothing."""
    async with served_world(run) as served, channel_of(served, run) as channel:
        end = await run.victim(channel.send, "struck")
        await channel.send("after")
        expected = ["struck", "after"] if end.is_complete else ["after"]
        for message in expected:
            assert await channel.receive() == message
        assert served.received == expected


async def receiving(run: Run) -> None:
    """One receive, over the end of a connection: cancelled, it has taken nothing."""
    async with served_world(run) as served:

        async def count(connection):
            await connection.send(f"{len(served.connections)}")
            await connection.aclose(1012)

        served.handler = count
        async with channel_of(served, run) as channel:
            assert await channel.receive() == "1"
            end = await run.victim(channel.receive)
            following = 2
            if end.is_complete:
                assert end.value == "2"
                following = 3
            assert await channel.receive() == f"{following}"


async def closing(run: Run) -> None:
    """`aclose()`: cancelled, it has closed all the same."""
    async with served_world(run) as served, channel_of(served, run) as channel:
        await channel.wait_connected()
        await run.victim(channel.aclose)
        await channel.aclose()
        assert channel.state is ReconnectState.CLOSED


async def exchanging(run: Run) -> None:
    """Messages both ways while streams break: none arrives twice, and none out of order."""
    async with served_world(run) as served, channel_of(served, run) as channel:

        async def talk() -> None:
            for number in range(6):
                await channel.send(f"{number}")
                with trio.move_on_after(3):  # its answer may be lost
                    await channel.receive()

        await run.victim(talk)
        assert len(served.received) == len(set(served.received))
        assert served.received == sorted(served.received)
        assert len(served.received) >= 5, "one fault, one message"


def test_the_block():
    for scenario in (whole_life, renewing, refused):
        report = cancel_at_every_checkpoint(scenario, seeds=SEEDS)
        assert report.injections["cancel"] > 5
        assert report.injections["interrupt"] > 5


def test_the_block_over_plain_streams():
    cancel_at_every_checkpoint(whole_life, seeds=range(1), nonblocking=False)


def test_the_calls():
    for scenario in (sending, receiving, closing):
        cancel_at_every_checkpoint(scenario, seeds=SEEDS)


def test_streams_that_break():
    report = cancel_at_every_checkpoint(
        exchanging, seeds=SEEDS, inject=["client error", "server error"]
    )
    assert report.injections["client error"] > 10
    assert report.injections["server error"] > 10
