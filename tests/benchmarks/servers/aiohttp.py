"""aiohttp on asyncio, which has no broadcast of its own."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from tests.benchmarks.servers.common import (
    BACKLOG,
    HOST,
    MESSAGE_SIZE,
    Options,
    announce,
    run_asyncio,
)


async def main(options: Options) -> None:
    connections: dict[web.WebSocketResponse, None] = {}

    async def open_connection(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(compress=options.deflate, max_msg_size=MESSAGE_SIZE)
        await connection.prepare(request)
        return connection

    async def echo(request: web.Request) -> web.WebSocketResponse:
        connection = await open_connection(request)
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        return connection

    async def send_to_all(request: web.Request) -> web.WebSocketResponse:
        connection = await open_connection(request)
        connections[connection] = None
        try:
            async for message in connection:
                for one in connections:
                    await one.send_bytes(message.data)
        finally:
            del connections[connection]
        return connection

    app = web.Application()
    app.router.add_get("/", send_to_all if options.mode == "broadcast" else echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, HOST, options.port, ssl_context=options.tls, backlog=BACKLOG)
    await site.start()
    announce(runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_asyncio(main)
