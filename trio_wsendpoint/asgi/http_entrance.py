"""Where the requests of a server come into an application."""

from __future__ import annotations

from typing import Any

import trio

from trio_wsendpoint.asgi.call_tasks import CallTasks, name_of
from trio_wsendpoint.asgi.calls import CallSettings
from trio_wsendpoint.asgi.http_call import HttpCall
from trio_wsendpoint.asgi.scopes import Scope, Surroundings, http_extensions, http_scope
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.server.apps import HttpApp, HttpAppCall, LetGo
from trio_wsendpoint.server.http_request import HttpRequest

__all__ = ["BUSY", "HttpEntrance"]

#: What is answered where there is no room for a call.
BUSY = Response(503, {"Retry-After": "1"}, "the application has too many calls\n")


class HttpEntrance(HttpApp):
    """An `http_handler` that lets the application of `tasks` answer.

    `around`: what its scopes have in common, set anew when the application has started.
    """

    def __init__(self, tasks: CallTasks, settings: CallSettings) -> None:
        self._tasks = tasks
        self._settings = settings
        self.around = Surroundings()

    @property
    def nursery(self) -> trio.Nursery | None:
        """Where tasks take requests; None while the application does not run."""
        return self._tasks.nursery

    def call_for(self, request: HttpRequest) -> HttpAppCall | None:
        """Return the call for `request`; None if there are too many."""
        if not self._tasks.has_room():
            return None
        call = HttpCall(request.exchange, self._settings)
        self._tasks.add(call)
        return _CallHere(call, self._scope_of(request), self._tasks)

    async def __call__(self, request: HttpRequest) -> Response | None:
        """Answer a plain request, in a task of the application's nursery.

        If cancelled: the application goes on, and is told that its client has gone.
        Raises: what the application has raised, which the server logs and answers with 500.
        """
        call = HttpCall(request.exchange, self._settings)
        if not self._tasks.start(call, self._scope_of(request)):
            return BUSY
        await call.wait_answered()
        return None

    def _scope_of(self, request: HttpRequest) -> Scope:
        extensions: dict[str, Any] = {
            "trio_wsendpoint": {"peer": request.peer, "request": request},
            **http_extensions(request.exchange.head),
        }
        return http_scope(
            request,
            request.peer,
            request.local,
            self.around,
            extensions,
            is_secure=request.is_secure,
        )


class _CallHere:
    """A call that runs in the task of its request.

    That task has the call's name from the first wait of the application on.
    """

    __slots__ = ("_call", "_scope", "_task", "_tasks")

    def __init__(self, call: HttpCall, scope: Scope, tasks: CallTasks) -> None:
        self._call = call
        self._scope = scope
        self._tasks = tasks
        self._task: tuple[trio.lowlevel.Task, str] | None = None  # and its name before

    async def serve(self, let_go: LetGo) -> Exception | None:
        """Call the application; see `HttpAppCall`."""
        tasks = self._tasks
        try:
            context = tasks.context.copy()
            return await self._call.run_here(
                tasks.app, self._scope, context, self._note_wait, let_go
            )
        finally:
            tasks.remove(self._call)
            if self._task is not None:
                task, name = self._task
                task.name = name

    def lose(self) -> None:
        """Hear that the client has gone; see `HttpAppCall`."""
        self._call.lose()

    def _note_wait(self) -> None:
        if self._task is None:
            task = trio.lowlevel.current_task()
            self._task = task, task.name
            task.name = name_of(self._scope)
        self._call.note_wait()
