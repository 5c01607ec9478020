"""trio_wsendpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import trio

import trio_wsendpoint
from tests.benchmarks.servers.common import (
    BACKLOG,
    MESSAGE_SIZE,
    NEVER,
    PAGE,
    REQUESTS,
    Options,
    announce,
    read_options,
)
from trio_wsendpoint import (
    Connection,
    Deflate,
    Heartbeat,
    Limits,
    Response,
    ServerLimits,
    serve_endpoint,
)


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


async def page(request) -> Response:
    return Response(200, {"Content-Type": "text/plain"}, PAGE)


def broadcaster():
    """Return a handler that sends each message to all connections that there are."""
    connections: dict[Connection, None] = {}
    send_to_all = getattr(trio_wsendpoint, "broadcast", None) or one_by_one

    async def handler(connection: Connection) -> None:
        connections[connection] = None
        try:
            async for message in connection:
                waiting = send_to_all(connections, message)
                if inspect.isawaitable(waiting):
                    await waiting
        finally:
            del connections[connection]

    return handler


def one_by_one(connections, message) -> None:
    for connection in connections:
        connection.send_nowait(message)


def plain_requests() -> dict[str, Any]:
    """Return the options for plain requests; an older checkout has none."""
    limits = getattr(trio_wsendpoint, "HttpLimits", None)
    if limits is None:
        return {}
    return {"http": limits(requests=REQUESTS, idle=NEVER), "http_handler": page}


async def main(options: Options, tell: Callable[[], object] | None = None) -> None:
    """Serve; `tell`: see `announce`."""
    async with serve_endpoint(
        broadcaster() if options.mode == "broadcast" else echo,
        options.port,
        host="127.0.0.1",
        backlog=BACKLOG,
        ssl_context=options.tls,
        deflate=Deflate() if options.deflate else None,
        limits=Limits(message_size=MESSAGE_SIZE),
        heartbeat=Heartbeat(interval=NEVER),
        **plain_requests(),
        server_limits=ServerLimits(connections=20_000),
    ) as server:
        announce(server.port, tell)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, read_options())
