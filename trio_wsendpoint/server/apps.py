"""What an app is to the server that calls it for its requests.

A handler answers, and has returned by then.  An app may go on behind its answer, for as
long as it likes: the next request does not wait for it, and the client's end does not end it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeAlias

import trio

from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.server.http_request import HttpRequest

__all__ = ["HttpApp", "HttpAppCall", "LetGo"]

#: Called once at most, as soon as the task of a call can take no further request: the app
#: waits, and its answer is complete, or will never be.  Given is why it has failed, if that is to
#: be answered.
LetGo: TypeAlias = Callable[[Exception | None], object]


class HttpAppCall(Protocol):
    """One call of an app."""

    async def serve(self, let_go: LetGo) -> Exception | None:
        """Call the app in this task, until it returns.

        Return why it has failed, if that is to be answered: never once `let_go` was called.
        """
        ...

    def lose(self) -> None:
        """Hear that the client has gone, or that the server does not serve it any more."""
        ...


class HttpApp(ABC):
    """An `http_handler` whose calls run in tasks of its own `nursery`, which outlives the server.

    Where the server makes no use of that, it is called as any other handler.
    """

    @property
    @abstractmethod
    def nursery(self) -> trio.Nursery | None:
        """Where tasks take requests; None while it does not run."""

    @abstractmethod
    def call_for(self, request: HttpRequest) -> HttpAppCall | None:
        """Return the call for `request`, to be served at once; None if there is no room for it."""

    @abstractmethod
    async def __call__(self, request: HttpRequest) -> Response | None:
        """Answer `request`, as any handler."""
