"""What tests of the hub share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from trio_wsendpoint import Connection
from trio_wsendpoint.hub import Delivery, Entry, Item, Publication, Replay, Subscription
from trio_wsendpoint.testing import connection_pair, memory_stream_pair


def delivery(
    message: str | bytes, topic: str = "t", key: str | None = None, number: int = 1
) -> Delivery:
    return Delivery(Entry(Publication(topic, message, key), None, "publisher", number))


def shown(item: Item | None) -> object:
    """Return what a test compares: the message of a delivery, any other item as it is."""
    return item.message if isinstance(item, Delivery) else item


async def take(subscription: Subscription, count: int) -> list[object]:
    """Return the next items, as `shown`, without replays that are complete."""
    found: list[object] = []
    with trio.fail_after(60):
        while len(found) < count:
            item = await anext(subscription)
            if not (isinstance(item, Replay) and item.is_complete):
                found.append(shown(item))
    return found


async def settle(turns: int = 50) -> None:
    """Give all tasks turns, in which no time passes."""
    for _ in range(turns):
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def audience(
    count: int, *, capacity: int = 65536, **options: Any
) -> AsyncIterator[list[tuple[Connection, Connection]]]:
    """Yield pairs of a client and its server's end."""
    async with AsyncExitStack() as stack:
        pairs = [
            await stack.enter_async_context(
                connection_pair(streams=memory_stream_pair(capacity=capacity), **options)
            )
            for _ in range(count)
        ]
        yield [(pair.client, pair.server) for pair in pairs]
        for pair in pairs:
            for end in pair:
                end.tasks.abort()  # some are stuck, and would be waited for
