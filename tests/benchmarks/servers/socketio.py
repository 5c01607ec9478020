"""python-socketio over Uvicorn: each event to all; with `--redis` through its Redis manager."""

from __future__ import annotations

import socketio
import uvicorn

from tests.benchmarks.servers.common import (
    BACKLOG,
    MESSAGE_SIZE,
    NEVER,
    Options,
    announce,
    listen,
    run_asyncio,
)


async def main(options: Options) -> None:
    manager = None if options.redis is None else socketio.AsyncRedisManager(options.redis)
    server = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=manager,
        ping_interval=NEVER,
        ping_timeout=NEVER,
        max_http_buffer_size=MESSAGE_SIZE,
    )

    @server.on("m")
    async def send_to_all(sid: str, message: str) -> None:
        await server.emit("m", message)

    sock = listen(options.port)
    config = uvicorn.Config(
        socketio.ASGIApp(server),
        ws="websockets-sansio",
        backlog=BACKLOG,
        access_log=False,
        log_level="error",
        ws_max_size=MESSAGE_SIZE,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
    announce(sock.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    run_asyncio(main)
