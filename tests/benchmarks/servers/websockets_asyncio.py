"""websockets on asyncio, and with `--uvloop` on uvloop."""

from __future__ import annotations

from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.benchmarks.servers.common import (
    BACKLOG,
    HOST,
    MESSAGE_SIZE,
    NEVER,
    Options,
    announce,
    run_asyncio,
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
                broadcast(connections, message)
        finally:
            connections.remove(connection)

    async with serve(
        send_to_all if options.mode == "broadcast" else echo,
        HOST,
        options.port,
        backlog=BACKLOG,
        ssl=options.tls,
        compression="deflate" if options.deflate else None,
        max_size=MESSAGE_SIZE,
        ping_interval=NEVER,
        ping_timeout=NEVER,
    ) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    run_asyncio(main)
