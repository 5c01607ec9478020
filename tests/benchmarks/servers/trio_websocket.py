"""trio-websocket, which has no compression, and no broadcast of its own."""

from __future__ import annotations

from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from tests.benchmarks.servers.common import HOST, MESSAGE_SIZE, Options, announce, read_options


async def echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except ConnectionClosed:
        pass


async def main(options: Options) -> None:
    connections: dict[Any, None] = {}

    async def send_to_all(request: WebSocketRequest) -> None:
        connection = await request.accept()
        connections[connection] = None
        try:
            while True:
                message = await connection.get_message()
                for one in connections:
                    await one.send_message(message)
        except ConnectionClosed:
            pass
        finally:
            del connections[connection]

    async with trio.open_nursery() as nursery:

        async def run(task_status) -> None:
            await serve_websocket(
                send_to_all if options.mode == "broadcast" else echo,
                HOST,
                options.port,
                options.tls,
                max_message_size=MESSAGE_SIZE,
                task_status=task_status,
            )

        server = await nursery.start(run)
        announce(server.port)


if __name__ == "__main__":
    trio.run(main, read_options())
