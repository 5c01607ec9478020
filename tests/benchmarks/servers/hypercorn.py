"""Hypercorn on Trio, which serves an ASGI application."""

from __future__ import annotations

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from tests.benchmarks.servers.application import application
from tests.benchmarks.servers.common import (
    BACKLOG,
    MESSAGE_SIZE,
    NEVER,
    REQUESTS,
    Options,
    announce,
    listen,
    read_options,
)


async def main(options: Options) -> None:
    sock = listen(options.port)
    config = Config()
    config.bind = [f"fd://{sock.fileno()}"]
    config.backlog = BACKLOG
    config.accesslog = config.errorlog = None
    config.keep_alive_timeout = NEVER
    config.keep_alive_max_requests = REQUESTS
    config.websocket_max_message_size = MESSAGE_SIZE
    announce(sock.getsockname()[1])
    await serve(application, config, mode="asgi")


if __name__ == "__main__":
    trio.run(main, read_options())
