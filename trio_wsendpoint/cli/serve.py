"""`trio-wsendpoint serve`: a handler or an application of a module, or an echo, until a signal."""

from __future__ import annotations

import importlib
import os
import ssl
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from trio_wsendpoint.asgi import Application, AsgiServeOptions, serve_asgi
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.access_log import AccessLog
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import serve_endpoint
from trio_wsendpoint.server.settings import ServeOptions

__all__ = [
    "DEFAULT_LISTEN",
    "Serving",
    "echo",
    "find_handler",
    "serve",
    "server_context",
    "watched_files",
]

#: Seconds between two looks at the files, for `--reload`.
LOOK = 0.5
#: Where it listens unless it is told.
DEFAULT_LISTEN = ("tcp:localhost:8765",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve, and where: addresses as `tcp:0.0.0.0:8765`.

    `is_asgi`: the handler is an ASGI application.
    """

    handler: Handler | Application
    is_asgi: bool = False
    listen: Sequence[str] = DEFAULT_LISTEN
    context: ssl.SSLContext | None = None
    grace: float = 10.0
    is_reloading: bool = False
    access_log: AccessLog | None = None


async def echo(connection: Connection) -> None:
    """Send back each message."""
    async for message in connection:
        await connection.send(message)


def find_handler(text: str) -> Handler:
    """Return what `MODULE:NAME` names, with the current folder first; raises `UsageFault`."""
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise UsageFault(f"expected MODULE:HANDLER, as app:handle, not {text}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise UsageFault(f"there is no module {module_name} here, nor installed") from None
    except AttributeError:
        raise UsageFault(f"the module {module_name} has no {name}") from None
    if not callable(found):
        raise UsageFault(f"{text} is no function: a handler is `async def {name}(connection)`")
    return cast("Handler", found)


def server_context(text: str) -> ssl.SSLContext:
    """Return the context for `CERT:KEY`, or for one file that has both; raises `UsageFault`."""
    cert, _, key = text.partition(":")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key or None)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageFault(f"--tls: cannot use {text}: {why}") from None
    return context


async def serve(serving: Serving, output: Output, stop: Stop) -> bool:
    """Serve until a signal; the first closes all in order, the second at once.

    Returns whether a file of the program has changed, if it is told to look: then the program is
    to be started again.

    Raises `OSError` for an address that cannot be listened on, `UsageFault` for a handler or an
    address that is none, and `LifespanError` for an ASGI application that does not start or end.
    """
    leaving = trio.Event()
    is_changed = False
    async with trio.open_nursery() as nursery:
        try:
            server_manager = _server_of(serving)
        except (TypeError, ValueError) as error:
            raise UsageFault(str(error)) from error
        async with server_manager as server:
            for url in server.urls:
                output.note(f"serving {url}")
            with stop.gently(leaving.set, serving.grace + 1):
                if serving.is_reloading:
                    nursery.start_soon(_watch, leaving)
                await leaving.wait()
                is_changed = stop.status is None
                count = server.statistics().connections
                output.note(f"closing {count} connection{'' if count == 1 else 's'} in order")
        nursery.cancel_scope.cancel()
    return is_changed


def _server_of(serving: Serving) -> AbstractAsyncContextManager[EndpointServer]:
    if serving.is_asgi:
        options = cast("AsgiServeOptions", _options(serving))
        return serve_asgi(cast("Application", serving.handler), **options)
    return serve_endpoint(cast("Handler", serving.handler), **_options(serving))


def _options(serving: Serving) -> ServeOptions:
    options: ServeOptions = {
        "listen": list(serving.listen),
        "timeouts": Timeouts(grace=serving.grace),
        "access_log": serving.access_log,
    }
    if serving.context is not None:
        options["ssl_context"] = serving.context
    return options


async def _watch(changed: trio.Event) -> None:
    """Set `changed` when a file that the program was loaded from has."""
    before = watched_files()
    while True:
        await trio.sleep(LOOK)
        now = watched_files()
        if any(now.get(path) != stamp for path, stamp in before.items()):
            changed.set()
            return
        before |= now  # what was imported meanwhile


def watched_files() -> dict[str, int]:
    """Return the source files of the loaded modules below this folder, with their times."""
    here = str(Path.cwd()) + os.sep
    found: dict[str, int] = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            absolute = os.path.abspath(path)
            if absolute.startswith(here):
                try:
                    found[absolute] = os.stat(absolute).st_mtime_ns
                except OSError:
                    found[absolute] = -1
    return found
