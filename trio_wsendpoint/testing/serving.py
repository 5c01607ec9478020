"""A server under test: a handler that is served in memory, and clients of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Unpack

from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import serve_endpoint
from trio_wsendpoint.server.settings import ServeOptions
from trio_wsendpoint.testing.network import MemoryNetwork
from trio_wsendpoint.testing.seeds import seeded_bytes

__all__ = ["ServerUnderTest", "serve_in_memory"]

#: What clients call it.
HOST = "server"


class ServerUnderTest:
    """A server in memory, made by `serve_in_memory`.

    `server` is what `serve_endpoint` gives, `network` is the one that it listens on.
    """

    def __init__(self, server: EndpointServer, network: MemoryNetwork) -> None:
        self.server = server
        self.network = network

    def connect(
        self, path: str = "/", **options: Unpack[ConnectOptions]
    ) -> AbstractAsyncContextManager[Connection]:
        """Connect a client to `path` for the length of an `async with` block.

        `path` may have a query.  Options, and what is raised, are as for `connect_endpoint`.
        """
        return self.network.connect_endpoint(f"ws://{HOST}{path}", **options)


def serve_in_memory(
    handler: Handler,
    *,
    network: MemoryNetwork | None = None,
    **options: Unpack[ServeOptions],
) -> AbstractAsyncContextManager[ServerUnderTest]:
    """Serve `handler` in memory for the length of an `async with` block.

    `network`: where it listens; by default, one of its own without faults.  Options, what is
    raised, and what leaving the block does are as for `serve_endpoint`; by default its
    `random_bytes` are the same in each run.
    """
    if "listeners" in options or "host" in options:
        raise ValueError("serve_in_memory() has a listener of its own: leave out host=, listeners=")
    return _ServedInMemory(handler, network or MemoryNetwork(), options)


class _ServedInMemory(AbstractAsyncContextManager[ServerUnderTest]):
    def __init__(self, handler: Handler, network: MemoryNetwork, options: ServeOptions) -> None:
        options.setdefault("random_bytes", seeded_bytes(0))
        self._handler = handler
        self._network = network
        self._options = options
        self._serving: AbstractAsyncContextManager[EndpointServer] | None = None

    async def __aenter__(self) -> ServerUnderTest:
        listener = self._network.listen(HOST)
        options: ServeOptions = {**self._options, "listeners": [listener]}
        try:
            serving = serve_endpoint(self._handler, **options)
            server = await serving.__aenter__()
        except BaseException:
            listener.close()
            raise
        self._serving = serving
        return ServerUnderTest(server, self._network)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._serving is None:
            raise RuntimeError("this block has not been entered")
        return await self._serving.__aexit__(exc_type, exc, traceback)
