"""websockets on Trio."""

from __future__ import annotations

import trio
from websockets.trio.server import ServerConnection, broadcast, serve

from tests.benchmarks.servers.common import (
    BACKLOG,
    HOST,
    MESSAGE_SIZE,
    NEVER,
    Options,
    announce,
    read_options,
)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main(options: Options) -> None:
    connections: set[ServerConnection] = set()

    async def send_to_all(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for message in connection:
                await broadcast(connections, message)
        finally:
            connections.remove(connection)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(options.port, host=HOST, backlog=BACKLOG)

        async def run(task_status: trio.TaskStatus[object]) -> None:
            await serve(
                send_to_all if options.mode == "broadcast" else echo,
                listeners=listeners,
                ssl=options.tls,
                compression="deflate" if options.deflate else None,
                max_size=MESSAGE_SIZE,
                ping_interval=NEVER,
                ping_timeout=NEVER,
                task_status=task_status,
            )

        await nursery.start(run)
        announce(listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(main, read_options())
