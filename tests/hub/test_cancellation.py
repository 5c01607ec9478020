"""A hub, struck wherever it may be: nothing is left over, and no message is lost or doubled."""

from __future__ import annotations

import pytest
import trio

from tests.hub.helpers import audience, shown, take
from trio_wsendpoint.hub import Block, History, Latest, Replay, open_hub
from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint

SEEDS = range(2)


async def whole_life(run: Run) -> None:
    """The block itself: entered, used, and left."""

    async def live() -> None:
        async with open_hub(history=History()) as hub:
            await hub.publish("t", "1")
            async with hub.subscribe("t", last=1) as news:
                await hub.publish("t", "2")
                assert await take(news, 2) == ["1", "2"]

    await run.victim(live, children=True)


async def a_subscriber(run: Run) -> None:
    """A subscription that is left in the middle: the other subscriber misses nothing."""
    async with open_hub(history=History()) as hub, hub.subscribe("t") as other:
        place = (await hub.publish("t", "0")).position
        assert place is not None
        got: list[object] = []

        async def listen() -> None:
            async with hub.subscribe("t", after=place) as news:
                async for item in news:
                    got.append(shown(item))
                    if len(got) == 4:
                        return

        async def publish() -> None:
            for text in "1234":
                await hub.publish("t", text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            await run.victim(listen)
        assert await take(other, 5) == list("01234")
        assert got == [Replay("t", place), "1", "2", "3", "4"][: len(got)]
        assert len(hub.statistics().subscribers) == 1


async def a_publisher(run: Run) -> None:
    """What was published came, in its order; of what was not, nothing did."""
    async with open_hub() as hub, hub.subscribe("t", policy=Block(900)) as news:
        done: list[object] = []
        got: list[object] = []

        async def publish() -> None:
            for text in "123456":
                await hub.wait_room("t")
                await hub.publish("t", text)
                done.append(text)

        async def listen() -> None:
            async for item in news:
                got.append(shown(item))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await run.victim(publish)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert got == list("123456")[: len(got)]
        assert len(done) <= len(got) <= len(done) + 1


async def a_served_connection(run: Run) -> None:
    """A call of `serve` that is cancelled: its connection stays, the other gets all."""
    async with open_hub(history=History()) as hub, audience(2) as [(_, one), (client, other)]:
        place = (await hub.publish("t", "0")).position

        async def serve() -> None:
            with trio.move_on_after(5):
                await hub.serve(one, "t", after=place)

        async def publish() -> None:
            for number in range(5):
                await hub.publish("t", str(number))
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.serve, other, "t")
            await trio.sleep(0.1)
            nursery.start_soon(publish)
            await run.victim(serve)
            await trio.sleep(1)
            assert [await client.receive() for _ in range(5)] == list("01234")
            assert one.is_open
            assert len(hub.statistics().subscribers) == 1
            nursery.cancel_scope.cancel()


async def the_latest_values(run: Run) -> None:
    """A call of `serve` that waits for a pong."""
    async with open_hub() as hub, audience(1) as [(client, server)]:

        async def serve() -> None:
            with trio.move_on_after(3):
                await hub.serve(server, "t", policy=Latest(ahead=1))

        async def publish() -> None:
            for number in range(3):
                await hub.publish("t", str(number))
                await trio.sleep(0.1)

        async def read() -> None:
            async for message in client:
                assert isinstance(message, str)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(publish)
            await run.victim(serve)
            assert hub.statistics().subscribers == ()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "scenario", [whole_life, a_subscriber, a_publisher, a_served_connection, the_latest_values]
)
def test_struck_anywhere(scenario: object) -> None:
    report = cancel_at_every_checkpoint(scenario, seeds=SEEDS)  # type: ignore[arg-type]
    assert report.injections.total() > 10
