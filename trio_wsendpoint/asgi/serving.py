"""The ways in for ASGI applications: `serve_asgi`, `run_asgi`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Literal, Unpack, cast

import trio

from trio_wsendpoint.asgi.application import AsgiApp
from trio_wsendpoint.asgi.lifespan import Application
from trio_wsendpoint.asgi.settings import AsgiOptions
from trio_wsendpoint.entries.misuse import AsyncWithOnly
from trio_wsendpoint.server.server import EndpointServer
from trio_wsendpoint.server.serving import serve_endpoint
from trio_wsendpoint.server.settings import ServeOptions

__all__ = ["AsgiServeOptions", "run_asgi", "serve_asgi"]

#: Options of a server that its application takes the place of.
_TAKEN = ("process_request", "http_handler")


class AsgiServeOptions(AsgiOptions, ServeOptions, total=False):
    """The options of `serve_asgi`: `AsgiOptions`, and those of `serve_endpoint`.

    Without `process_request` and `http_handler`, which are the application's.
    """


def serve_asgi(
    app: Application, port: int | None = None, **options: Unpack[AsgiServeOptions]
) -> AbstractAsyncContextManager[EndpointServer]:
    """Serve the ASGI application `app` on `port` for the length of an `async with` block.

    `port`: as `serve_endpoint`.  The application's startup is complete before the port opens; its
    shutdown runs after the server has closed.  Its requests and its WebSockets come through the
    limits, the heartbeat, the compression and the trusted proxies of the server.

    `options` are those of `AsgiApp` and of `serve_endpoint`, except `process_request` and
    `http_handler`.  `Timeouts.process` bounds how long the application may think about an opening.

    Raises as `AsgiApp` and `serve_endpoint`.
    """
    return _ServingAsgi(app, port, options)


@trio.lowlevel.enable_ki_protection
async def run_asgi(
    app: Application,
    port: int | None = None,
    *,
    task_status: trio.TaskStatus[EndpointServer] = trio.TASK_STATUS_IGNORED,
    **options: Unpack[AsgiServeOptions],
) -> None:
    """Serve `app` until cancelled: `server = await nursery.start(run_asgi, app, 8000)`.

    Takes what `serve_asgi` takes.  Returns if the server is closed.

    If cancelled: the connections are closed in order, and the application's shutdown runs.
    Raises: as `serve_asgi`.
    """
    async with serve_asgi(app, port, **options) as server:
        task_status.started(server)
        await server.wait_closed()


class _ServingAsgi(AsyncWithOnly, AbstractAsyncContextManager[EndpointServer]):
    """What `serve_asgi` returns."""

    function = "serve_asgi"
    instead = (
        "`async with serve_asgi(app, port) as server:`, or, for a server that is a task of a "
        "nursery, `server = await nursery.start(run_asgi, app, port)`"
    )

    def __init__(self, app: Application, port: int | None, options: AsgiServeOptions) -> None:
        given = cast("dict[str, Any]", options)
        for name in _TAKEN:
            if name in given:
                raise TypeError(f"serve_asgi() has no option {name!r}: use AsgiApp for one of both")
        own = {name: given[name] for name in AsgiOptions.__annotations__ if name in given}
        others = {name: value for name, value in given.items() if name not in own}
        if "logger" in given:
            others["logger"] = given["logger"]
        asgi = self._asgi = AsgiApp(app, **cast("AsgiOptions", own))
        others.update(process_request=asgi.opening, http_handler=asgi.http)
        self._serving = serve_endpoint(asgi.websocket, port, **cast("ServeOptions", others))
        self._stack = AsyncExitStack()

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> EndpointServer:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._asgi)
            server = await stack.enter_async_context(self._serving)
            self._stack = stack.pop_all()
        return server

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        await self._stack.__aexit__(exc_type, exc, traceback)
        return False
