"""Answers the plain requests of one stream: by the app's handler, or without one."""

from __future__ import annotations

import contextlib
import math

from trio_wsendpoint.addressing import Client
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Request, Response
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.http import RequestHead, answer_without_handler
from trio_wsendpoint.server.access_records import write_request
from trio_wsendpoint.server.answering import answer_by, answer_request, conclude
from trio_wsendpoint.server.apps import HttpApp, HttpAppCall, LetGo
from trio_wsendpoint.server.asking import Asking
from trio_wsendpoint.server.client_finder import ClientFinder
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.host import Host
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings, ServeSettings
from trio_wsendpoint.server.turning_away import unavailable

__all__ = ["PlainRequests"]

#: What `process_request` may answer where there is no `http_handler`: health checks, small pages.
_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class PlainRequests:
    """What is no request for a WebSocket, of one stream.

    With an `http_handler`, that answers.  Without one, GET, HEAD and OPTIONS are shown to
    `process_request`, whose `Response` is the answer; and what that lets pass, and any other
    method, gets 426 or 405.
    """

    def __init__(
        self,
        settings: AcceptSettings,
        rules: Rules,
        logger: ConnectionLogger,
        finder: ClientFinder,
        host: Host,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._logger = logger
        self._finder = finder
        self._host = host
        self._client: Client | None = None
        served = settings if isinstance(settings, ServeSettings) else None
        self._handler = None if served is None else served.http_handler
        self._logs_errors = served is None or served.on_handler_error == "log"
        self._is_recorded = served is not None and served.access_log is not None

    @property
    def app(self) -> HttpApp | None:
        """The app that answers, if one does that may take its time for it."""
        is_limited = (
            isinstance(self._settings, ServeSettings) and self._settings.http.handler < math.inf
        )
        return self._handler if isinstance(self._handler, HttpApp) and not is_limited else None

    async def take(self, link: HttpLink, head: RequestHead) -> HttpRequest | None:
        """Return the request `head` of `link`; None if it has been refused."""
        try:
            client = self._client = self._finder.client_of(head.request, is_opening=False)
        except BadRequest as error:
            await link.refuse(error)
            return None
        ends = self._logger.ends
        return HttpRequest(
            Exchange(link, head),
            peer=ends.peer,
            local=ends.local,
            is_secure=client.scheme == "https" if client else self._finder.is_secure,
        )

    async def answer(self, request: HttpRequest) -> None:
        """Answer `request` by the handler."""
        failure = await answer_request(
            request,
            self._handler or self._answer_without,
            logger=self._logger,
            log_errors=self._logs_errors,
        )
        self._note_answered(request, failure)

    async def answer_by(
        self, call: HttpAppCall, request: HttpRequest, let_go: LetGo
    ) -> Exception | None:
        """Let `call` answer `request`; return what `conclude` is to be given, unless it let go."""
        return await answer_by(request, call, let_go)

    async def conclude(self, request: HttpRequest, failure: Exception | None) -> None:
        """Say why the answer to `request` has failed, if it has; after it the next one may come."""
        exchange = request.exchange
        failure = await conclude(exchange, failure, self._logger, log_errors=self._logs_errors)
        self._note_answered(request, failure)

    def log_late(self, error: Exception) -> None:
        """Log what a task has raised after its answer, when it takes no further request."""
        with contextlib.suppress(Exception):  # that of a logger: the app goes on
            self._logger.error("a task failed after its HTTP answer", exc_info=error)

    def _note_answered(self, request: HttpRequest, failure: Exception | None) -> None:
        if failure is not None:
            self._host.fail(failure)
        if self._is_recorded:
            write_request(request, self._settings)
        self._finder.forget()

    async def refuse(self, head: RequestHead) -> HandshakeError:
        """Return what to raise for the request `head` where plain requests are not answered."""
        self._client = self._finder.client_of(head.request, is_opening=False)
        try:
            await self._ask(head.request)
        except (BadRequest, RequestAnswered) as error:
            return error
        response = self._say_no(head.request)
        return BadRequest(response.body.decode().strip(), response)

    async def _answer_without(self, request: HttpRequest) -> Response:
        try:
            await self._ask(request)
        except RequestAnswered as error:
            return error.response
        return self._say_no(request)

    def _say_no(self, request: Request) -> Response:
        if request.method in {"GET", "HEAD"}:
            try:
                self._rules.handshake.agree(request, request.headers.values_by_name())
            except BadRequest as error:
                return error.response  # which says what is missing
        return answer_without_handler(request.method, request.target)

    async def _ask(self, request: Request) -> None:
        """Raise if `process_request` has an answer."""
        process_request = self._settings.process_request
        if process_request is None or request.method not in _METHODS:
            return
        opening = Opening(
            request,
            self._finder.client_or_peer(self._client, request),
            self._logger.ends.local,
            subprotocol=None,
            is_subprotocol_required=False,
            accept=_accept_nothing,
        )
        seconds = self._settings.timeouts.process
        asking = Asking(seconds, self._too_late, self._logger, self._host, None)
        await asking.ask(process_request, opening)

    def _too_late(self) -> HandshakeError:
        return BadRequest("process_request took too long", unavailable(self._settings))


async def _accept_nothing() -> Connection:
    raise RuntimeError("the request asks for no WebSocket: it cannot be accepted")
