"""What the calls of an ASGI application have in common: its task, its failure, its end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import trio

from trio_wsendpoint.asgi.events import Event
from trio_wsendpoint.asgi.lifespan import Application
from trio_wsendpoint.entries.calling import call_async
from trio_wsendpoint.session.session import Logger

__all__ = ["Call", "CallSettings"]

_E = TypeVar("_E", bound=Exception)
#: Events that were here when they were asked for, until other tasks run.
_TURNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What all calls of an application go by.

    `cancel_after`: seconds that an application has to end after its client has gone.
    `raises_disconnect`: whether `send` raises then, for requests.
    """

    logger: Logger
    cancel_after: float = 30.0
    raises_disconnect: bool = False


class Call(ABC):
    """One call: `run` it in a task of its own."""

    def __init__(self, settings: CallSettings) -> None:
        self.settings = settings
        self._scope = trio.CancelScope()  # what the application runs in
        self._own_errors: list[Exception] = []
        self._is_in_grace = False  # the scope has a deadline
        self._turns = 0
        #: Why the application has failed; the handler that waits for it raises that.
        self.failure: Exception | None = None

    @abstractmethod
    async def receive(self) -> dict[str, Any]:
        """Return the next event."""

    @abstractmethod
    async def send(self, event: Event) -> None:
        """Take an event of the application."""

    @abstractmethod
    def lose(self) -> None:
        """Note that the client has gone: the application is told, and has its time to end."""

    @abstractmethod
    def conclude(self, failure: Exception | None) -> bool:
        """Note that the application has ended; return whether a handler waits for `failure`."""

    @trio.lowlevel.enable_ki_protection
    async def run(self, app: Application, scope: dict[str, Any]) -> None:
        """Run the application to its end.

        Raises no `Exception`: the handler that waits raises it, and if none does it is logged.
        """
        failure: Exception | None = None
        try:
            with self._scope:
                await self.call(app, scope)
        except Exception as error:  # noqa: BLE001 - the application's; told below
            failure = None if self._is_own(error) else error
        finally:
            if self._scope.cancelled_caught:
                self.lose()
            is_awaited = self.conclude(failure)
        logger = self.settings.logger
        if failure is not None and not is_awaited:
            logger.error("the application failed", exc_info=failure)
        if self._scope.cancelled_caught:
            logger.warning("the application was cancelled: its client has gone")

    async def call(self, app: Application, scope: dict[str, Any]) -> None:
        """Call the application, for `run`."""
        await self.call_app(app, scope)

    async def call_app(self, app: Application, scope: dict[str, Any]) -> None:
        """Call the application; what it returns is ignored (asgi.rst)."""
        await call_async("the application", app, scope, self.receive, self.send)

    def cancel_unless_answered(self) -> None:
        """Cancel the application now, unless its answer is complete: the server has closed."""
        if self._is_in_grace:
            self._scope.cancel()

    # ---- for the calls of each kind ------------------------------------------------------------

    def own(self, error: _E) -> _E:
        """Remember that `error` was raised by this call, and says nothing of the application."""
        self._own_errors.append(error)
        return error

    def begin_grace(self) -> None:
        """Cancel the application `cancel_after` seconds from now, unless that has begun."""
        if not self._is_in_grace:
            self._is_in_grace = True
            self._scope.deadline = trio.current_time() + self.settings.cancel_after

    def renew_grace(self) -> None:
        """Begin that time again, if it has begun: the client has taken something."""
        if self._is_in_grace:
            self._scope.deadline = trio.current_time() + self.settings.cancel_after

    def end_grace(self) -> None:
        """Let the application take its time: its answer is complete."""
        if self._is_in_grace:
            self._is_in_grace = False
            self._scope.deadline = math.inf

    async def take_turn(self) -> None:
        """Let other tasks run once in 64 calls; else be no checkpoint."""
        self._turns += 1
        if self._turns % _TURNS == 0:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _is_own(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
            return all(map(self._is_own, inner))
        return any(error is one for one in self._own_errors)
