"""Runs the lifespan of an ASGI application (lifespan.rst 2.0).

It begins before the first port opens, and ends after the last connection.
`Lifespan.start` returns once the application is ready, or raises; `Lifespan.stop` asks it to end,
and waits.  The application's lifespan is one task, which lives in between: a nursery that the
application opens there holds its background work.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Literal, TypeAlias, cast

import trio

from trio_wsendpoint.asgi.errors import LifespanError
from trio_wsendpoint.asgi.events import Event, text_of, type_of
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.session.session import Logger

__all__ = ["Application", "Lifespan", "LifespanMode"]

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
#: An application of ASGI 3.
Application: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[object]]
#: `on`: the application has a lifespan, and what goes wrong in it is raised.  `off`: it is not
#: called for one.  `auto`: it is called, and may say that it has none.
LifespanMode: TypeAlias = Literal["auto", "on", "off"]


class Phase(Enum):
    """How far a lifespan has come; the text says what the application may do."""

    NEW = "it has not been started"
    STARTING = "it is starting: lifespan.startup.complete or .failed is due"
    RUNNING = "it runs: receive() waits for lifespan.shutdown"
    STOPPING = "it is stopping: lifespan.shutdown.complete or .failed is due"
    OVER = "it is over"
    NONE = "the application has none"


#: What the application's task may say of its lifespan, and where that leads.
_ANSWERS = {
    (Phase.STARTING, "lifespan.startup.complete"): Phase.RUNNING,
    (Phase.STARTING, "lifespan.startup.failed"): Phase.OVER,
    (Phase.STOPPING, "lifespan.shutdown.complete"): Phase.OVER,
    (Phase.STOPPING, "lifespan.shutdown.failed"): Phase.OVER,
}


class Lifespan:
    """The lifespan of `app`: `start` it once, and `stop` it once.

    `startup` and `shutdown` bound the two in seconds.  `state` is the namespace that requests get
    copies of; None without a lifespan.
    """

    def __init__(
        self,
        app: Application,
        logger: Logger,
        *,
        mode: LifespanMode = "auto",
        startup: float = 60.0,
        shutdown: float = 30.0,
    ) -> None:
        self._app = app
        self._logger = logger
        self._mode = mode
        self._startup = startup
        self._shutdown = shutdown
        self._phase = Phase.NEW
        self._has_received = False  # the application has asked for its first event
        self._failure: BaseException | None = None  # what `start` or `stop` raises
        self._moved = trio.Event()  # replaced whenever the phase changes
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._namespace: dict[str, Any] = {}
        #: The context variables that the startup has set; calls of the application begin with them.
        self.context = contextvars.copy_context()

    @property
    def state(self) -> dict[str, Any] | None:
        """What the startup left for the requests; None if the application has no lifespan."""
        return None if self._phase is Phase.NONE else self._namespace

    async def start(self, nursery: trio.Nursery) -> None:
        """Run the application's startup; its task stays in `nursery`.

        Raises `LifespanError` if it says that it failed, or says nothing in time, and what it
        raised itself, unless that means that it has no lifespan.  If cancelled, so is the startup.
        """
        if self._mode == "off":
            self._phase = Phase.NONE
            await trio.lowlevel.checkpoint()
            return
        self._move(Phase.STARTING)
        nursery.start_soon(self._run)
        try:
            with trio.move_on_after(self._startup):
                while self._phase is Phase.STARTING:
                    await self._moved.wait()
        except BaseException:
            self._scope.cancel()
            raise
        if self._phase is Phase.STARTING:
            self._scope.cancel()
            raise LifespanError(
                f"the application has not answered lifespan.startup within {self._startup:g} s: "
                'if it ignores lifespans, use lifespan="off"'
            )
        if self._failure is not None:
            # The application may wait for a shutdown that will never be asked for.
            self._scope.cancel()
            failure, self._failure = self._failure, None
            raise failure

    async def stop(self) -> None:
        """Run the application's shutdown, whatever is cancelled; return when its task has ended.

        Raises `LifespanError` if the application says that its shutdown failed.
        """
        if self._phase is Phase.RUNNING:
            self._move(Phase.STOPPING)
        if self._phase not in {Phase.NONE, Phase.NEW}:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(self._shutdown):
                    await self._ended.wait()
                if not self._ended.is_set():
                    self._logger.error(
                        "the application has not ended its lifespan within %g s of "
                        "lifespan.shutdown: it is cancelled",
                        self._shutdown,
                    )
                self._scope.cancel()
                await self._ended.wait()
        if self._failure is not None:
            raise self._failure
        await trio.lowlevel.checkpoint_if_cancelled()

    # ---- the application's task ----------------------------------------------------------------

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._namespace,
        }
        try:
            # Its shutdown runs even if all around it is cancelled; `stop` bounds it.
            self._scope.shield = True
            with self._scope:
                await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - what it means depends on when it came
            self._judge(error)
        finally:
            if self._phase is Phase.STARTING:
                self._move(Phase.NONE)
            self._ended.set()

    def _judge(self, error: Exception) -> None:
        """Decide what an `error` of the application means, by when it came."""
        if self._phase is Phase.OVER:
            if error is not self._failure:
                self._logger.debug("the application raised behind its lifespan", exc_info=error)
            return
        if self._phase is not Phase.STARTING:
            # Its background work has died: so does the server.
            raise error
        is_none = not self._has_received or "lifespan" in str(error)
        if self._mode == "auto" and is_none and not _wants_asyncio(error):
            self._logger.info("the application has no lifespan: %s", quoted(repr(error), 200))
            self._move(Phase.NONE)
            return
        self._failure = error
        if _wants_asyncio(error):
            self._failure = LifespanError(f"the application needs asyncio: {error}")
            self._failure.__cause__ = error
        self._move(Phase.OVER)

    async def _receive(self) -> dict[str, Any]:
        """Return `lifespan.startup`, then, once that is time, `lifespan.shutdown`."""
        await trio.lowlevel.checkpoint()
        if not self._has_received:
            self._has_received = True
            return {"type": "lifespan.startup"}
        while self._phase not in {Phase.STOPPING, Phase.OVER}:
            await self._moved.wait()
        if self._phase is Phase.OVER:
            await trio.sleep_forever()
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: Event) -> None:
        """Take what the application says of its startup or its shutdown.

        Raises `RuntimeError` for what is not due, `TypeError` for what is no event.
        """
        await trio.lowlevel.checkpoint()
        kind = type_of(event)
        phase = _ANSWERS.get((self._phase, kind))
        if phase is None:
            raise RuntimeError(f"{quoted(kind)} is not due: {self._phase.value}")
        if kind.endswith(".failed"):
            message = text_of(event, "message")
            self._failure = LifespanError(message or f"the application sent {kind}")
            if self._phase is Phase.STOPPING:
                self._logger.error("the shutdown of the application failed: %s", quoted(message))
        elif self._phase is Phase.STARTING:
            self.context = contextvars.copy_context()
        self._move(phase)

    def _move(self, phase: Phase) -> None:
        self._phase = phase
        moved, self._moved = self._moved, trio.Event()
        moved.set()


def _wants_asyncio(error: BaseException) -> bool:
    """Tell whether `error` is asyncio's, which finds none of its loops here."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return any(map(_wants_asyncio, inner))
    return isinstance(error, RuntimeError) and "no running event loop" in str(error)
