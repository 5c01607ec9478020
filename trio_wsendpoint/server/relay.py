"""Answers the requests of one link by an app, in tasks that relieve each other.

The app is called in the task that has taken its request: so a request that is answered
without waiting costs no switch of tasks.  If the app waits behind its answer, another
task takes the next request, and the first one ends with the app.
"""

from __future__ import annotations

from typing import TypeAlias

import trio

from trio_wsendpoint.http import RequestHead
from trio_wsendpoint.server.apps import HttpApp, HttpAppCall
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.server.plain import PlainRequests

__all__ = ["Relay"]

#: A request whose answer is complete, or will never be; and why it has failed, if it has.
Done: TypeAlias = tuple[HttpRequest, Exception | None]


class Relay:
    """The requests of `link`, which `app` answers in tasks of `nursery`, its own: `run` it once."""

    __slots__ = ("_app", "_call", "_link", "_nursery", "_outcome", "_over", "_plain", "_turn")

    def __init__(
        self, link: HttpLink, plain: PlainRequests, app: HttpApp, nursery: trio.Nursery
    ) -> None:
        self._link = link
        self._plain = plain
        self._app = app
        self._nursery = nursery
        self._turn = 0  # the number of the task that takes requests
        self._call: HttpAppCall | None = None  # in work, which is told of our end
        self._outcome: RequestHead | Exception | None = None  # of `run`, once that is over
        self._over = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run(self, head: RequestHead) -> RequestHead | None:
        """Answer `head` and what follows; return what opens a WebSocket, None at the end.

        If cancelled, the link is closed, and the app is told that its client has gone.
        """
        self._start(head)
        try:
            await self._over.wait()
        except BaseException:
            self._link.abort()
            if self._call is not None:
                self._call.lose()
            raise
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def _start(self, head: RequestHead | None, done: Done | None = None) -> None:
        """Start the task whose turn it is."""
        name = "trio_wsendpoint requests"
        self._nursery.start_soon(self._take_requests, self._turn, head, done, name=name)

    @trio.lowlevel.enable_ki_protection
    async def _take_requests(self, turn: int, head: RequestHead | None, done: Done | None) -> None:
        """Conclude what is `done`, answer `head` and what follows, until another task does."""
        try:
            if done is not None:
                await self._plain.conclude(*done)
                head = await self._link.next_request()
            while head is not None and not head.is_opening:
                await self._answer(turn, head)
                if self._turn != turn:
                    return
                head = await self._link.next_request()
            self._outcome = head
        except Exception as error:  # noqa: BLE001 - `run` raises it, or the log tells it
            if self._turn == turn:
                self._outcome = error
            else:
                self._plain.log_late(error)
        except BaseException:
            if self._turn == turn:
                self._link.abort()
            raise
        finally:
            if self._turn == turn:
                self._over.set()

    async def _answer(self, turn: int, head: RequestHead) -> None:
        request = await self._plain.take(self._link, head)
        if request is None or self._link.lost is not None:
            return
        call = self._call = self._app.call_for(request)
        if call is None:
            await self._plain.answer(request)
            return

        def let_go(failure: Exception | None) -> None:
            self._turn += 1
            self._start(None, (request, failure))

        failure = await self._plain.answer_by(call, request, let_go)
        if self._turn == turn:
            self._call = None
            await self._plain.conclude(request, failure)
