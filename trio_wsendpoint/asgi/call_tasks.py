"""The calls of an application that are at work, and the nursery of their tasks."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import trio

from trio_wsendpoint.asgi.calls import Call
from trio_wsendpoint.asgi.lifespan import Application
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["CallTasks", "name_of"]


class CallTasks:
    """The calls of `app`, at most `most` at a time; they begin in copies of `context`."""

    def __init__(self, app: Application, most: int, context: Context) -> None:
        self.app = app
        #: The context variables that the startup has set: each call finds them.
        self.context = context
        #: Where the tasks of calls run; None while the application does not.
        self.nursery: trio.Nursery | None = None
        self._most = most
        self._calls: set[Call] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, nursery: trio.Nursery) -> None:
        """Take calls from now on, whose tasks run in `nursery`."""
        self.nursery = nursery

    def close(self, cancel_after: float) -> None:
        """Take no more calls; cancel those without an answer, and the others after that time."""
        nursery, self.nursery = self.nursery, None
        for call in self._calls:
            call.cancel_unless_answered()
        if nursery is not None:
            nursery.cancel_scope.deadline = trio.current_time() + cancel_after

    def has_room(self) -> bool:
        """Tell whether one more call may begin; raises `RuntimeError` if the app does not run."""
        if self.nursery is None:
            raise RuntimeError("the application is not running: enter its AsgiApp first")
        return len(self._calls) < self._most

    def add(self, call: Call) -> None:
        """Count a call until `remove`."""
        self._calls.add(call)

    def remove(self, call: Call) -> None:
        """Count it no longer."""
        self._calls.discard(call)

    def start(self, call: Call, scope: dict[str, Any]) -> bool:
        """Start `call` as a task; return whether there is room for it."""
        if not self.has_room() or self.nursery is None:
            return False
        self.add(call)
        self.context.run(self._start_task, self.nursery, call, scope)
        return True

    def _start_task(self, nursery: trio.Nursery, call: Call, scope: dict[str, Any]) -> None:
        nursery.start_soon(self._run, call, scope, name=name_of(scope))

    @trio.lowlevel.enable_ki_protection
    async def _run(self, call: Call, scope: dict[str, Any]) -> None:
        try:
            await call.run(self.app, scope)
        finally:
            self.remove(call)


def name_of(scope: dict[str, Any]) -> str:
    """Return how the task is called in which the application works for `scope`."""
    return f"asgi {scope.get('method', 'WebSocket')} {quoted(scope['path'], 100)}"
