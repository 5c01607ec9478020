"""Three libraries, each as a client over a stream that it is given, with its own defaults.

What a probe asks of a connection is `send`, `receive` and `aclose`; what the library raises when
its connection is over is in `closed`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import trio
import trio_websocket
import websockets.exceptions
from websockets.trio.client import connect as websockets_connect

import trio_wsendpoint

__all__ = ["ADAPTERS", "Adapter", "Talker"]

URL = "ws://example.test/"


class Talker(Protocol):
    """A connection of any of the libraries."""

    async def send(self, message: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def aclose(self) -> None: ...


class Adapter(Protocol):
    """A library."""

    name: str
    closed: tuple[type[Exception], ...]

    def connect(self, stream: trio.SocketStream) -> AbstractAsyncContextManager[Talker]:
        """Be a client over `stream` for the length of the block."""
        ...


def version(name: str) -> str:
    """Return the version of what is installed."""
    return importlib.metadata.version(name)


class Ours:
    name = f"trio_wsendpoint {trio_wsendpoint.__version__}"
    closed: tuple[type[Exception], ...] = (trio_wsendpoint.ConnectionClosed,)

    def connect(self, stream: trio.SocketStream) -> AbstractAsyncContextManager[Talker]:
        return trio_wsendpoint.connect_endpoint(URL, stream=stream)


@dataclass
class _WebsocketsTalker:
    connection: Any

    async def send(self, message: str | bytes) -> None:
        await self.connection.send(message)

    async def receive(self) -> str | bytes:
        message: str | bytes = await self.connection.recv()
        return message

    async def aclose(self) -> None:
        await self.connection.aclose()


class Websockets:
    name = f"websockets {version('websockets')} (trio)"
    closed: tuple[type[Exception], ...] = (websockets.exceptions.ConnectionClosed,)

    @asynccontextmanager
    async def connect(self, stream: trio.SocketStream) -> AsyncIterator[Talker]:
        async with websockets_connect(URL, stream=stream) as connection:
            yield _WebsocketsTalker(connection)


@dataclass
class _TrioWebsocketTalker:
    connection: Any

    async def send(self, message: str | bytes) -> None:
        await self.connection.send_message(message)

    async def receive(self) -> str | bytes:
        message: str | bytes = await self.connection.get_message()
        return message

    async def aclose(self) -> None:
        await self.connection.aclose()


class TrioWebsocket:
    name = f"trio-websocket {version('trio-websocket')}"
    closed: tuple[type[Exception], ...] = (trio_websocket.ConnectionClosed,)

    @asynccontextmanager
    async def connect(self, stream: trio.SocketStream) -> AsyncIterator[Talker]:
        async with trio.open_nursery() as nursery:
            connection = await trio_websocket.wrap_client_stream(
                nursery, stream, "example.test", "/"
            )
            async with connection:
                yield _TrioWebsocketTalker(connection)


ADAPTERS: tuple[Adapter, ...] = (Ours(), Websockets(), TrioWebsocket())
