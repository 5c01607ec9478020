"""Asks the app about one request, within `Timeouts.process`, while the client is there."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.opening.settings import Logger
from trio_wsendpoint.server.host import Host
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.settings import ProcessRequest
from trio_wsendpoint.server.watch import Watch

__all__ = ["Asking"]


class Asking:
    """One call of `process_request`: `ask` once.

    `seconds`: how long it may take; `too_late` makes what is raised then, or after `cancel`.
    `read_on` is called meanwhile, in a task of the nursery of `host`; None for a page, which may
    be asked for with the end of the client's bytes behind it.
    """

    __slots__ = ("_host", "_logger", "_scope", "_too_late", "_watch", "elapsed", "error")

    def __init__(
        self,
        seconds: float,
        too_late: Callable[[], HandshakeError],
        logger: Logger,
        host: Host,
        read_on: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._too_late = too_late
        self._logger = logger
        self._host = host
        self._scope: trio.CancelScope | None = trio.CancelScope(
            deadline=trio.current_time() + seconds
        )
        self._watch = None if read_on is None else Watch(read_on, self._give_up)
        #: Why the request cannot be accepted any more: what reading, or accepting, has raised
        #: first; set by `fail`.
        self.error: Exception | None = None
        #: Seconds that the app took.
        self.elapsed = 0.0

    async def ask(self, process_request: ProcessRequest, opening: Opening) -> None:
        """Return if the request passes, or has been accepted by the app; else raise.

        Raises `RequestAnswered` or `BadRequest` for another answer of the app, `BadRequest` (500)
        for one that makes no sense, and what the watch raised.  What the app raises after it has
        accepted is its own, as a handler's.
        """
        back_off = self._host.back_off
        peer, has_credentials = opening.peer, bool(opening.request.headers.get_all("Authorization"))
        if back_off is None or not has_credentials:
            await self._ask(process_request, opening)
            return
        if seconds := back_off.seconds_for(peer, trio.current_time()):
            raise _wait(seconds)
        try:
            await self._ask(process_request, opening)
        except (BadRequest, RequestAnswered) as error:
            if error.response.status == 401:
                back_off.fail(peer, trio.current_time())
            raise
        back_off.succeed(peer)

    async def _ask(self, process_request: ProcessRequest, opening: Opening) -> None:
        failure: Exception | None = None
        answer: Response | None = None
        began = trio.current_time()
        scope = self._scope or trio.CancelScope()
        if self._watch is not None:
            self._host.nursery.start_soon(self._watch.run)
        try:
            with scope:
                answer = await process_request(opening)
                _check_answer(answer, is_accepted=opening.connection is not None)
        except Exception as error:  # noqa: BLE001 - it is judged below
            failure = error
        finally:
            await self.stop()
            self.elapsed = trio.current_time() - began
        if opening.connection is None:
            self._judge(answer, failure, scope)
        elif failure is not None:
            raise failure

    def cancel(self) -> None:
        """Cancel the app, unless it has decided."""
        if self._scope is not None:
            self._scope.cancel()

    def fail(self, error: Exception) -> None:
        """Note why the request cannot be accepted, whatever the app makes of it."""
        self.error = self.error or error

    def _give_up(self, error: Exception) -> None:
        """Cancel the app because reading has raised `error`."""
        self.fail(error)
        self.cancel()

    async def stop(self) -> None:
        """End what cancels the app, which has decided; on return no task reads."""
        if self._scope is not None:
            self._scope.deadline = math.inf
            self._scope = None
            if self._watch is not None:
                await self._watch.stop()

    @property
    def is_running(self) -> bool:
        """Whether the app has not decided yet."""
        return self._scope is not None

    def _judge(
        self, answer: Response | None, failure: Exception | None, scope: trio.CancelScope
    ) -> None:
        """Raise unless the app lets the request pass; `scope` is that in which it has looked."""
        error = self.error
        # What it raises when it could not accept tells of that; if it was cancelled, it fails.
        has_heard = error is not None and (failure is error or not scope.cancel_called)
        is_refusal = isinstance(failure, BadRequest) or has_heard
        if error is None and scope.cancelled_caught:
            error = self._too_late()
        if failure is not None and not is_refusal:
            self._logger.error("process_request failed", exc_info=failure)
            error = error or BadRequest("process_request failed", Response(500))
            error.__cause__ = failure
        if error := error or failure:
            raise error
        if answer is not None:
            raise RequestAnswered(f"process_request answered {answer.status}", answer)


def _wait(seconds: float) -> BadRequest:
    """Return the 429 (RFC 6585 section 4) for an address that has to wait."""
    text = "too many failures of authentication from your address (ServerLimits.auth_failures)"
    headers = {"Retry-After": str(math.ceil(seconds))}
    return BadRequest(text, Response(429, headers, f"{text}\n"))


def _check_answer(answer: object, *, is_accepted: bool) -> None:
    """Raise `TypeError` or `ValueError` for what `process_request` may not return."""
    if answer is None:
        return
    if is_accepted:
        raise TypeError("process_request has accepted, and then it returns None")
    if not isinstance(answer, Response):
        # Its type alone: what it holds may be a cookie.
        raise TypeError(f"process_request returns a Response or None, not {type(answer)}")
    if answer.status < 200:
        # It would be no answer: a client waits for more, or takes a 101 for an upgrade.
        raise ValueError(f"process_request answers 200 to 599, not {answer.status}")
