"""An ASGI application at work: its lifespan around a block, and handlers for a server in it."""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, Unpack

import trio

from trio_wsendpoint.asgi.call_tasks import CallTasks
from trio_wsendpoint.asgi.calls import CallSettings
from trio_wsendpoint.asgi.http_entrance import BUSY, HttpEntrance
from trio_wsendpoint.asgi.lifespan import Application, Lifespan
from trio_wsendpoint.asgi.scopes import HTTP_VERSION, Surroundings, websocket_scope
from trio_wsendpoint.asgi.settings import AsgiOptions, AsgiSettings
from trio_wsendpoint.asgi.websocket_call import WebSocketCall
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.server.answering import HttpHandler
from trio_wsendpoint.server.opening import Opening

__all__ = ["AsgiApp"]

#: Packages whose applications need asyncio, whatever serves them.
_ASYNCIO = frozenset({"django", "channels", "quart", "socketio", "engineio", "sanic"})
#: Packages that make those run on Trio.
_TRIO = frozenset({"quart_trio"})


class AsgiApp(AbstractAsyncContextManager["AsgiApp"]):
    """Run the lifespan of `app` for the length of an `async with` block.

    A server within the block is given the three handlers:

        async with AsgiApp(app) as asgi:
            async with serve_endpoint(
                asgi.websocket, 8000, process_request=asgi.opening, http_handler=asgi.http
            ):
                await trio.sleep_forever()

    A `process_request` or `http_handler` of one's own may decide by the path, and call these for
    the rest.  `options` are `AsgiOptions`.

    Entering raises `LifespanError` if the application's startup fails; so no port has opened.
    Leaving waits for calls that are still at work behind their answers, `cancel_after` seconds at
    most; cancels all others; and then runs the application's shutdown, also when it is cancelled.
    It raises `LifespanError` if that fails.  What the application raises from its lifespan in
    between cancels the block, and leaves it.

    Raises `TypeError` for what is no application of ASGI 3, or one that needs asyncio.
    """

    def __init__(self, app: Application, **options: Unpack[AsgiOptions]) -> None:
        _check_app(app)
        chosen = AsgiSettings.of(options)
        self._app = app
        self._options = chosen
        self._settings = CallSettings(
            logger=chosen.logger,
            cancel_after=chosen.cancel_after,
            raises_disconnect=chosen.http_spec_version != HTTP_VERSION,
        )
        self._lifespan = Lifespan(
            app,
            chosen.logger,
            mode=chosen.lifespan,
            startup=chosen.startup_timeout,
            shutdown=chosen.shutdown_timeout,
        )
        self._tasks = CallTasks(app, chosen.max_calls, self._lifespan.context)
        self._http = HttpEntrance(self._tasks, self._settings)
        self._use = BlockUse("an application is run once: make another AsgiApp")
        self._around_lifespan: BlockNursery
        self._around_calls: BlockNursery

    # ---- its block -----------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> AsgiApp:
        self._use.begin()
        self._around_lifespan, self._around_calls = BlockNursery(), BlockNursery()
        nursery = await self._around_lifespan.enter()
        try:
            await self._lifespan.start(nursery)
            calls = await self._around_calls.enter()
        except BaseException as error:
            nursery.cancel_scope.cancel()
            raise_beside(error, await self._around_lifespan.leave())
            raise
        self._http.around = Surroundings(
            root_path=self._options.root_path,
            state=self._lifespan.state,
            http_version=self._options.http_spec_version,
        )
        self._tasks.context = self._lifespan.context
        self._tasks.open(calls)
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._tasks.close(self._settings.cancel_after)
        failures = [await self._around_calls.leave()]
        try:
            await self._lifespan.stop()
        except BaseException as error:  # noqa: BLE001 - it is raised when all has ended
            failures.append(error)
        failures.append(await self._around_lifespan.leave())
        for failure in failures:
            if failure is not None:
                raise_beside(exc, failure)
        return False

    # ---- for a server --------------------------------------------------------------------------

    @property
    def http(self) -> HttpHandler:
        """What answers plain requests, as a server's `http_handler`.

        It raises what the application has raised; the server logs that and answers 500.
        """
        return self._http

    async def opening(self, opening: Opening) -> Response | None:
        """Let the application accept or refuse an opening, as a server's `process_request`.

        Return when the application has refused it, or has returned.  `Timeouts.process` bounds its
        decision.

        If cancelled: the application goes on, and is told that its client has gone.
        Raises: what the application has raised, which the server logs.
        """
        if not opening.request.is_upgrade:
            return None
        call = WebSocketCall(opening, self._settings)
        scope = websocket_scope(
            opening.request,
            opening.peer,
            opening.local,
            self._http.around,
            {"trio_wsendpoint": {"peer": opening.peer, "opening": opening}},
            is_secure=opening.is_secure,
        )
        return await call.serve() if self._tasks.start(call, scope) else BUSY

    async def websocket(self, connection: Connection) -> None:
        """Return at once, as a server's handler: `opening` has served the connection.

        If cancelled: nothing has changed.
        Raises: nothing of its own.
        """
        del connection
        await trio.lowlevel.checkpoint()

    @property
    def calls(self) -> int:
        """How many calls of the application are at work."""
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<AsgiApp of {type(self._app).__qualname__}, calls: {len(self._tasks)}>"


# ---- what it is given --------------------------------------------------------------------------


def _check_app(app: object) -> None:
    """Raise `TypeError` for what is no application that runs here."""
    if not callable(app):
        raise TypeError(f"app must be an ASGI application, not {type(app)}")
    packages = {one.__module__.partition(".")[0] for one in inspect.getmro(type(app))}
    needing = sorted(packages & _ASYNCIO)
    if needing and not packages & _TRIO:
        raise TypeError(
            "app needs asyncio, and this server runs on Trio: it is an application of "
            f"{', '.join(needing)}"
        )
    try:
        inspect.signature(app).bind("scope", "receive", "send")
    except TypeError as error:
        raise TypeError(
            f"app must take scope, receive and send (ASGI 3; asgiref.compatibility wraps one of "
            f"ASGI 2): {error}"
        ) from None
    except ValueError:
        pass  # made in C: only a call will tell
