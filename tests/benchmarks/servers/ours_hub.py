"""trio_wsendpoint: each message to all who asked for the same path, through a hub or by `send`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

import trio

from tests.benchmarks.servers.common import (
    BACKLOG,
    MESSAGE_SIZE,
    NEVER,
    Options,
    announce,
    read_options,
)
from trio_wsendpoint import (
    Connection,
    Heartbeat,
    Limits,
    ServerLimits,
    Timeouts,
    serve_endpoint,
)
from trio_wsendpoint.hub import DropOldest, Hub, Latest, Policy, open_hub
from trio_wsendpoint.hub.redis import RedisBackplane

#: What may wait for a subscriber: the bound that the memory of a stuck one is compared with.
BOUND = 256 * 1024


def through(hub: Hub, policy: Policy):
    """Return a handler that publishes each message to the topic of the connection's path."""

    async def handler(connection: Connection) -> None:
        topic = connection.request.path
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(hub.serve, connection, topic, policy=policy))
            async for message in connection:
                await hub.publish(topic, message, key="value")
            nursery.cancel_scope.cancel()

    return handler


def by_send():
    """Return a handler that sends each message to one connection after the other."""
    connections: dict[Connection, None] = {}

    async def handler(connection: Connection) -> None:
        connections[connection] = None
        try:
            async for message in connection:
                for other in list(connections):
                    await other.send(message)
        finally:
            del connections[connection]

    return handler


def hub_of(options: Options) -> AbstractAsyncContextManager[Hub]:
    return open_hub(backplane=None if options.redis is None else RedisBackplane(options.redis))


async def main(options: Options) -> None:
    policy = Latest() if options.policy == "latest" else DropOldest(bytes=BOUND)
    async with (
        hub_of(options) as hub,
        serve_endpoint(
            by_send() if options.by == "send" else through(hub, policy),
            options.port,
            host="127.0.0.1",
            backlog=BACKLOG,
            limits=Limits(message_size=MESSAGE_SIZE),
            heartbeat=Heartbeat(interval=NEVER),
            timeouts=Timeouts(write=NEVER),  # a stuck peer stays, however long it is measured
            server_limits=ServerLimits(connections=20_000),
        ) as server,
    ):
        announce(server.port)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, read_options())
