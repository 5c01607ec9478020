"""Uvicorn on asyncio, with h11 and websockets, which serves an ASGI application."""

from __future__ import annotations

import uvicorn

from tests.benchmarks.servers.application import application
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
    sock = listen(options.port)
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        backlog=BACKLOG,
        access_log=False,
        log_level="error",
        timeout_keep_alive=NEVER,
        ws_max_size=MESSAGE_SIZE,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
    announce(sock.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    run_asyncio(main)
