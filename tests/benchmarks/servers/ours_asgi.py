"""trio_wsendpoint, which serves an ASGI application."""

from __future__ import annotations

import trio

from tests.benchmarks.servers.application import application
from tests.benchmarks.servers.common import (
    BACKLOG,
    HOST,
    MESSAGE_SIZE,
    NEVER,
    REQUESTS,
    Options,
    announce,
    read_options,
)
from trio_wsendpoint import Heartbeat, HttpLimits, Limits
from trio_wsendpoint.asgi import serve_asgi


async def main(options: Options) -> None:
    async with serve_asgi(
        application,
        options.port,
        host=HOST,
        backlog=BACKLOG,
        deflate=None,
        limits=Limits(message_size=MESSAGE_SIZE),
        heartbeat=Heartbeat(interval=NEVER),
        http=HttpLimits(requests=REQUESTS, idle=NEVER),
    ) as server:
        announce(server.port)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, read_options())
