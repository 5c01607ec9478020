"""Routes for a server: paths to handlers of WebSockets and of plain requests.

`http.Routes` finds a handler; here it is called, with what the path says.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.entries.arguments import check_async_function
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.http import Match, StreamedResponse
from trio_wsendpoint.http import Routes as PathTable
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.settings import ProcessRequest, ServeSettings

__all__ = ["RouteHandler", "Routes", "with_routes"]

#: Answers a plain request; is given the parameters of its path by their names.
RouteHandler: TypeAlias = Callable[..., Awaitable[Response | StreamedResponse]]


class Routes:
    """Paths and their handlers, to be served instead of one handler.

        routes = Routes()
        routes.add_websocket("/rooms/{room}", chat)     # async def chat(connection, room)
        routes.add_http("/health", health)              # async def health(request)

        async with serve_endpoint(routes, 8765):
            ...

    A path is matched exactly; a segment in braces stands for any one segment, and its decoded text
    is given to the handler under that name.  Where two paths fit, an exact segment goes before a
    parameter, whatever the order in which they were added.

    A WebSocket at a path without one gets 404, after `process_request` has seen it.  A plain
    request gets 404 at a path without a route, 405 for a method that its route has not, 426 where
    there is a WebSocket alone; the handler of GET gets HEAD too.
    """

    def __init__(self) -> None:
        self._table = PathTable[Callable[..., Awaitable[object]], RouteHandler]()

    def add_websocket(self, path: str, handler: Callable[..., Awaitable[object]]) -> None:
        """Serve the WebSockets at `path` with `handler(connection, **parameters)`.

        Raises `ValueError` for a malformed path, and for one that has a WebSocket handler;
        `TypeError` for a handler that is no async function, or does not take the parameters.
        """
        _check_handler(handler, "connection", path)
        self._table.add_websocket(path, handler)

    def add_http(self, path: str, handler: RouteHandler, methods: Iterable[str] = ("GET",)) -> None:
        """Answer the plain requests at `path` with `handler(request, **parameters)`.

        `methods`: those that it answers.  Raises as `add_websocket`, and `ValueError` for a
        malformed method, or one that has a handler.
        """
        _check_handler(handler, "request", path)
        self._table.add_http(path, handler, methods)

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to an opening at a path without a WebSocket, else None."""
        found = self._table.match_websocket(request)
        return None if isinstance(found, Match) else found

    async def __call__(self, connection: Connection) -> None:
        """Serve a connection with the handler of its path, as a server's `handler`."""
        found = self._table.match_websocket(connection.request)
        if isinstance(found, Match):
            await found.handler(connection, **found.parameters)
        else:  # `process_request` has accepted it
            await connection.aclose(CloseCode.POLICY_VIOLATION, "there is no WebSocket here")

    async def answer(self, request: HttpRequest) -> Response | StreamedResponse | None:
        """Answer a plain request with the handler of its path, as an `http_handler`.

        If cancelled: the handler is cancelled.
        Raises: what the handler raises.
        """
        found = self._table.match_http(request)
        if isinstance(found, Response):
            return found
        return await found.handler(request, **found.parameters)


def with_routes(settings: ServeSettings, routes: Routes) -> ServeSettings:
    """Return `settings` by which `routes` answer what is plain, and refuse what has no path.

    Raises `TypeError` if they have an `http_handler`.
    """
    if settings.http_handler is not None:
        raise TypeError("routes answer plain requests: add_http() takes the place of http_handler=")
    return dataclasses.replace(
        settings,
        http_handler=routes.answer,
        process_request=_refusing(routes, settings.process_request),
    )


def _refusing(routes: Routes, process_request: ProcessRequest | None) -> ProcessRequest:
    async def process(opening: Opening) -> Response | None:
        answer = None if process_request is None else await process_request(opening)
        is_decided = answer is not None or opening.connection is not None
        if not is_decided and opening.request.is_upgrade:
            answer = routes.refusal(opening.request)
        return answer

    return process


def _check_handler(handler: object, first: str, path: str) -> None:
    """Raise `TypeError` unless `handler` can be called with the parameters of `path`."""
    names = [segment[1:-1] for segment in path.split("/") if segment[:1] == "{"]
    parameters = dict.fromkeys(names, "")
    if callable(handler):
        try:
            inspect.signature(handler).bind(first, **parameters)
        except TypeError as error:
            shown = ", ".join([first, *names])
            raise TypeError(
                f"the handler of {quoted(path)} is called with ({shown}): {error}"
            ) from None
        except ValueError:
            pass  # made in C: only a call will tell
        handler = functools.partial(handler, **parameters)
    check_async_function("handler", handler, first)
