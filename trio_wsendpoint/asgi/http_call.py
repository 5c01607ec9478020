"""One call of an ASGI application for one request, over an `Exchange`.

The application runs in a task of its own nursery, not of the connection's: the end of the
connection does not end what it does after its answer.  Nor does the next request wait for that: the
task is the call's own, or else lets the link go as soon as the application waits there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import trio

from trio_wsendpoint.asgi.calls import Call, CallSettings
from trio_wsendpoint.asgi.errors import ClientDisconnected
from trio_wsendpoint.asgi.events import Event
from trio_wsendpoint.asgi.http_course import (
    Head,
    Hints,
    HttpCourse,
    HttpPhase,
    Piece,
    Trailers,
)
from trio_wsendpoint.asgi.in_context import await_in_context
from trio_wsendpoint.asgi.lifespan import Application
from trio_wsendpoint.asgi.scopes import Scope
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.server.apps import LetGo
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.exchange import AnswerPhase, Exchange

__all__ = ["HttpCall"]

_DISCONNECT = "http.disconnect"


class HttpCall(Call):
    """A call for the request of `exchange`, to be run once.

    Either `run` it in a task of its own, and `wait_answered` in the handler; or `run_here`, in the
    task that takes the requests of the link.
    """

    def __init__(self, exchange: Exchange, settings: CallSettings) -> None:
        super().__init__(settings)
        self._exchange = exchange
        self._course = HttpCourse(has_body=exchange.head.request.method != "HEAD")
        self._is_body_over = False  # the application has got the last of the body, or its failure
        self._answered = trio.Event()  # the answer is complete, or will never be
        # What is done in place of the above in `run_here`: while the task holds the link.
        self._let_go: LetGo | None = None
        self._in_context: tuple[Context, Callable[[], object]] | None = None

    async def wait_answered(self) -> None:
        """Wait until the answer is complete; raise why it will never be.

        If cancelled, the client has gone for the application.
        """
        try:
            await self._answered.wait()
        finally:
            self.lose()
        if self.failure is not None:
            raise self.failure
        if self._course.phase is HttpPhase.GONE:
            self._exchange.abort()

    # ---- in the task of the request ------------------------------------------------------------

    async def run_here(
        self,
        app: Application,
        scope: Scope,
        context: Context,
        on_wait: Callable[[], object],
        let_go: LetGo,
    ) -> Exception | None:
        """Run the application in this task, and in `context`; the rest is as `HttpAppCall.serve`.

        `on_wait` is called before each wait of the application, and calls `note_wait`.
        """
        self._let_go = let_go
        self._in_context = context, on_wait
        await self.run(app, scope)
        return None if self._take_let_go() is None else self.failure

    def note_wait(self) -> None:
        """Let the link go if the application waits behind its answer."""
        if self._course.is_over:
            self._release()

    def _release(self) -> None:
        let_go = self._take_let_go()
        if let_go is not None:
            let_go(self.failure)

    def _take_let_go(self) -> LetGo | None:
        """Return what lets the link go, the first time; then the answer is as it will be."""
        let_go, self._let_go = self._let_go, None
        is_cut = self.failure is None and self._course.phase is HttpPhase.GONE
        if let_go is not None and is_cut:
            self._exchange.abort()
        return let_go

    async def call(self, app: Application, scope: Scope) -> None:
        """Call the application, in its context."""
        if self._in_context is None:
            await self.call_app(app, scope)
        else:
            context, on_wait = self._in_context
            await await_in_context(context, self.call_app(app, scope), on_wait)

    # ---- what the application calls ------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> dict[str, Any]:
        """Return the next event of the request; `http.disconnect` at its end, again and again.

        It is no checkpoint when its event is here: Starlette asks in a cancelled scope whether
        the client has gone, and would never be told.  Once in 64 such events other tasks run.
        If cancelled, no event is lost.  Any number of tasks may wait in it.
        """
        event = self._event_here()
        while event is None:
            await self._wait_for_event()
            event = self._event_here()
        await self.take_turn()
        return event

    def _event_here(self) -> dict[str, Any] | None:
        if self._course.is_over:
            return {"type": _DISCONNECT}
        try:
            if self._is_body_over:
                return self._disconnect_if_gone()
            data = self._exchange.read_nowait()
        except ClientGone:
            self.lose()
            return {"type": _DISCONNECT}
        except BadRequest as error:
            self._give_up(error)
            return {"type": _DISCONNECT}
        if data is None:
            return None
        # An event with the last bytes says so, where that is known already.
        self._is_body_over = not data or self._exchange.is_body_read
        return {"type": "http.request", "body": data, "more_body": not self._is_body_over}

    def _disconnect_if_gone(self) -> dict[str, Any] | None:
        if not self._exchange.is_gone():
            return None
        # A client that has only ended its bytes may still read the answer.
        self.begin_grace()
        return {"type": _DISCONNECT}

    async def _wait_for_event(self) -> None:
        try:
            if self._is_body_over:
                await self._exchange.wait_gone()
            else:
                await self._exchange.wait_for_body()
        except ClientGone:
            self.lose()
        except BadRequest as error:
            self._give_up(error)

    def _give_up(self, error: BadRequest) -> None:
        """Let the handler answer `error`, which is about the request; the client has gone."""
        if not self._course.is_over:
            self.failure = error
        self.lose()

    @trio.lowlevel.enable_ki_protection
    async def send(self, event: Event) -> None:
        """Take an event of the application, and write what it asks for.

        Waits until the client has taken what was written before; gives up a client that takes
        nothing within `Timeouts.write`.  Does nothing once the client has gone, as version 2.3 of
        the specification has it; from 2.4 on it raises `ClientDisconnected`.  If cancelled,
        nothing of the event was sent.

        Raises `RuntimeError`, `TypeError` or `ValueError` for an event that is wrong.
        """
        before = self._course.phase
        step = self._course.send(event)
        if isinstance(step, Piece):
            await self._write(step, before)
        elif isinstance(step, Head):
            await self._start(step, before)
        elif isinstance(step, Trailers):
            await self._write(step, before)
        elif isinstance(step, Hints):
            await self._hint(step)
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._check_client()

    async def _start(self, head: Head, before: HttpPhase) -> None:
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._exchange.start(head.status, head.headers)
        except BaseException:
            self._course.take_back(before)
            raise

    async def _hint(self, hints: Hints) -> None:
        try:
            await self._exchange.hint(hints.links)
        except ClientGone:
            self.lose()
            self._check_client()

    async def _write(self, step: Piece | Trailers, before: HttpPhase) -> None:
        exchange = self._exchange
        try:
            if isinstance(step, Trailers):
                await exchange.finish(trailers=step.headers)
            elif step.is_last:
                await exchange.finish(step.data)
            else:
                await exchange.write(step.data)
        except ClientGone:
            self._course.take_back(before)
            self.lose()
            self._check_client()
        except ValueError as error:
            if exchange.phase is not AnswerPhase.COMPLETE:
                self._refuse_piece(before)
                raise
            self.settings.logger.warning("the answer of the application is too short: %s", error)
        except BaseException:
            self._course.take_back(before)
            raise
        if self._course.phase is HttpPhase.COMPLETE:
            self.end_grace()
            self._answered.set()
        else:
            self.renew_grace()

    def _refuse_piece(self, before: HttpPhase) -> None:
        """Cut off an answer that has begun: the client notices that it is cut."""
        self._course.take_back(before)
        if self._exchange.phase is AnswerPhase.HELD:
            return  # nothing has left: what follows may be right, or a 500
        self._exchange.abort()
        self.lose()

    def _check_client(self) -> None:
        if self.settings.raises_disconnect and self._course.phase is HttpPhase.GONE:
            raise self.own(ClientDisconnected("the client has gone"))

    # ---- its end -------------------------------------------------------------------------------

    def lose(self) -> None:
        """Note that the client has gone: the application is told, and has its time to end."""
        self._note_lost()
        self._release()

    def _note_lost(self) -> None:
        if not self._course.is_over:
            self._course.lose()
            self.begin_grace()
        self._answered.set()

    def conclude(self, failure: Exception | None) -> bool:
        """Let the handler answer 500, or cut off what has begun, if the answer is not complete."""
        is_awaited = not self._course.is_over
        if is_awaited:
            where = self._course.phase.value
            self.failure = failure or RuntimeError(f"the application has returned: {where}")
        self._note_lost()
        return is_awaited
