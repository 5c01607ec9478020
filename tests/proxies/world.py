"""A server of ours with a proxy in front of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from trio_wsendpoint import (
    Connection,
    EndpointServer,
    HttpRequest,
    Limits,
    Response,
    connect_endpoint,
    serve_endpoint,
)

from .programs import Place, new_place, running
from .setups import PAGE, Setup

__all__ = ["CLIENT", "MIB", "SERVERS_CODE", "World", "first_line", "open_world"]

MIB = 1024 * 1024
#: The address of the client; the proxy connects to us from 127.0.0.1.
CLIENT = "127.0.0.9"
#: With which the server closes when it is asked to.
SERVERS_CODE = 4002


@dataclass
class World:
    """`codes`: with which each connection of the server has ended, in that order."""

    setup: Setup
    place: Place
    server: EndpointServer
    codes: list[int | None] = field(default_factory=list)

    def proxy(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Run the proxy for the length of a block; as `running`."""
        return running(self.setup.write(self.place, self.setup.lines), self.place)

    @asynccontextmanager
    async def connect(
        self, *, origin: str | None = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Connection]:
        """Connect through the proxy, from `CLIENT`, as a page at `origin` if one is named."""
        async with connect_endpoint(
            f"ws://{self.place.authority}/",
            stream=await self.open_stream(),
            origin=origin,
            headers=headers or {},
            limits=Limits(message_size=2 * MIB),
        ) as connection:
            yield connection

    async def open_stream(self) -> trio.SocketStream:
        """Connect TCP to the proxy, from `CLIENT`."""
        return await trio.open_tcp_stream(self.place.address, self.place.port, local_address=CLIENT)


@asynccontextmanager
async def open_world(setup: Setup, folder: Path) -> AsyncIterator[World]:
    """Serve, and choose a place for the proxy; `World.proxy` starts it."""
    worlds: list[World] = []

    async def handler(connection: Connection) -> None:
        async for message in connection:
            if message == "who":
                await connection.send(str(connection.peer.address))
            elif message == "close":
                await connection.aclose(SERVERS_CODE)
            else:
                await connection.send(message)

    async def remember(connection: Connection) -> None:
        try:
            await handler(connection)
        finally:
            with trio.CancelScope(shield=True):
                await connection.wait_closed()
            worlds[0].codes.append(connection.statistics().close_code)

    async def health(request: HttpRequest) -> Response:
        return Response(200, {}, f"{request.peer.address}\n")

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    place = new_place(folder, listeners[0].socket.getsockname()[1])
    options: dict[str, Any] = {
        "listeners": listeners,
        "trusted_proxies": ["127.0.0.1"],
        "http_handler": health,
        "limits": Limits(message_size=2 * MIB),
        **setup.options,
    }
    if "origins" in options:
        page = f"http://{place.authority}"
        options["origins"] = [page if one == PAGE else one for one in options["origins"]]
    async with serve_endpoint(remember, **options) as server:
        worlds.append(World(setup, place, server))
        yield worlds[0]


def first_line(text: str) -> str:
    """Return a text as one line that fits into a cell."""
    return re.sub(r"\s+", " ", text).replace("|", "/").strip()[:160]
