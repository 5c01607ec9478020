"""How far an accepted stream has come, until when it waits, and how it is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Request
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.server.asking import Asking
from trio_wsendpoint.server.client_finder import ClientFinder
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.first_bytes import FirstBytes, Over
from trio_wsendpoint.server.host import Host
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings
from trio_wsendpoint.server.stages import Stage, too_late
from trio_wsendpoint.server.turning_away import is_tls, retry_after_of, turn_away, unavailable

__all__ = ["OpeningCourse"]

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class OpeningCourse:
    """The course of one `ServerOpening`: its stage, its time, and its end without a connection."""

    __slots__ = (
        "_asking",
        "_finder",
        "_first",
        "_host",
        "_link",
        "_logger",
        "_refusal",
        "_refusals",
        "_request",
        "_rules",
        "_scope",
        "_settings",
        "_since",
        "_stage",
        "_until",
        "stream",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        settings: AcceptSettings,
        logger: ConnectionLogger,
        *,
        rules: Rules,
        refusals: RefusalLog,
        host: Host,
        since: float,
    ) -> None:
        self.stream = stream
        self._settings = settings
        self._rules = rules
        self._logger = logger
        self._refusals = refusals
        self._host = host
        self._finder = ClientFinder(logger, rules, host, retry_after_of(settings))
        self._first = FirstBytes(stream, settings.limits)
        self._link: HttpLink | None = None  # once something else has come than a whole opening
        # How far it is; moved by its own steps, read when time is up and when the server drops it.
        self._stage = Stage.BEFORE_PROXY
        self._refusal: BadRequest | None = None  # what the link has told, if the stage is REFUSED
        self._request: Request | None = None  # for a WebSocket, once it is complete
        self._since = since
        self._until = self._since + settings.timeouts.open
        self._scope: trio.CancelScope | None = None  # while it waits
        self._asking: Asking | None = None  # while the app looks at the request

    @property
    def request(self) -> Request | None:
        """What is asked, once it is complete."""
        return self._request

    @property
    def has_request(self) -> bool:
        """Whether its request is complete and not refused: it waits for us, not for the client."""
        return self._stage in {Stage.PROCESS, Stage.ANSWER}

    @property
    def is_accepted(self) -> bool:
        """Whether it is a connection: what fails now is no failure of the opening."""
        return self._stage is Stage.ACCEPTED

    def drop(self) -> None:
        """End it with a refusal, unless its answer has left: its host tells that it is `dropped`.

        A plain request in work is answered first.
        """
        if self.is_accepted or self._stage is Stage.REFUSED:
            return
        if self._stage is Stage.PLAIN and self._link is not None:
            self._link.stop()
            return
        if self._scope is not None:
            self._scope.cancel()
        if self._asking is not None:
            self._asking.cancel()

    # ---- time ----------------------------------------------------------------------------------

    async def _wait(self, wait: Callable[[Unpack[_Args]], Awaitable[_T]], *args: *_Args) -> _T:
        """Return what `wait` does; raise if it takes too long, or if the opening is dropped."""
        with trio.CancelScope(deadline=self._until) as self._scope:
            if self._host.dropped is not None and self._stage is not Stage.PLAIN:
                self._scope.cancel()
            return await wait(*args)
        raise self._too_late()

    def _too_late(self) -> HandshakeError:
        """Return what to raise when time is up, or when the server has dropped the opening."""
        seconds = self._settings.timeouts.open
        dropped = self._host.dropped
        reason = None if dropped is None else dropped.reason
        return too_late(self._stage, reason, seconds, unavailable(self._settings))

    # ---- refusals ------------------------------------------------------------------------------

    async def _refuse(self, error: HandshakeError) -> None:
        """Tell the log, the instruments and the client why there will be no connection."""
        # Over TLS, an answer would cost a handshake first.
        is_late = isinstance(error, BadRequest) and not is_tls(self.stream)
        is_silent = self._stage is Stage.BEFORE_PROXY and not is_late
        self._stage = Stage.REFUSED
        self._tell(error)
        if is_silent:
            return  # it has not begun as agreed
        if self._link is None:
            await turn_away(self.stream, error, self._settings, self._logger)
        elif isinstance(error, (BadRequest, RequestAnswered)):
            with contextlib.suppress(ClientGone):
                await self._link.end_with(error.response)
                await self._link.next_request()  # which lingers until the client has read it

    def _tell(self, error: HandshakeError) -> None:
        """Tell the log and the instruments."""
        dropped = self._host.dropped
        is_ours = None if dropped is None else dropped.is_over_limit
        if not isinstance(error, Over):
            peer = self._logger.ends.peer
            self._refusals.write(error, self._logger, self._request, is_ours=is_ours)
            tell_refusal(self._settings.instruments, error, peer, self._logger)

    def _note_refusal(self, error: BadRequest) -> None:
        """Hear that the link refuses a request."""
        if self._stage is not Stage.REFUSED:
            self._refusal = error
            self._stage = Stage.REFUSED
            self._tell(error)
