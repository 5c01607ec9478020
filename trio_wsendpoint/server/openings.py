"""From a stream that was accepted to a connection: within the limits, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.peer import ConnectionLogger, Ends
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.server.accepting import ServerOpening
from trio_wsendpoint.server.access_records import write_refusal
from trio_wsendpoint.server.admission import Admission
from trio_wsendpoint.server.back_off import BackOff
from trio_wsendpoint.server.hooks import Hooks
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import ServeSettings
from trio_wsendpoint.server.turning_away import refuse_stream

__all__ = ["NotOpened", "Openings", "Visit"]


class NotOpened(Exception):
    """An opening that came to nothing, of which the log has been told."""


class Visit:
    """One stream that was accepted: what limits count it as; its connection, once there is one."""

    __slots__ = ("address", "connection", "is_handled", "logger", "stream")

    def __init__(
        self, stream: trio.abc.Stream, logger: ConnectionLogger, address: str | None
    ) -> None:
        self.stream = stream
        self.logger = logger
        self.address = address
        self.connection: Connection | None = None
        self.is_handled = False  # `process_request` has done what a handler would


class Openings:
    """The openings of one server; `rules` hold for all of them.

    `accepted`, `opened`, `refused`: how many streams were accepted, became connections, and were
    refused.
    """

    def __init__(self, settings: ServeSettings, rules: Rules) -> None:
        self._settings = settings
        self._rules = rules
        self._present: dict[ServerOpening, None] = {}  # the oldest first
        self._kept: dict[ServerOpening, None] = {}  # which have brought plain requests
        self._admission = Admission(settings.server_limits)
        self._back_off = BackOff(settings.server_limits)
        self._refusals = RefusalLog(is_shown=True)
        self.accepted = self.opened = self.refused = 0
        self._refusing = 0
        self._is_draining = False  # streams of plain requests are not kept any more

    def __len__(self) -> int:
        return len(self._present)

    def take(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        serve: Callable[[Visit], Awaitable[object]],
    ) -> None:
        """Start `serve` for `stream` in `nursery`, or refuse it."""
        self.accepted += 1
        logger = ConnectionLogger(self._settings.logger, Ends(stream), str(self.accepted))
        counts = self._admission.counts_addresses
        address = self._rules.counted_as(logger.ends.peer) if counts else None
        why = self._admission.admit(address, trio.current_time())
        if why is None:
            nursery.start_soon(serve, Visit(stream, logger, address))
            return
        self._note_refusal()
        error = HandshakeError(why)
        self._refusals.write(error, logger, is_ours=True)
        tell_refusal(self._settings.instruments, error, logger.ends.peer, logger)
        nursery.start_soon(self._refuse, stream, why if self._can_say_no else None)

    def release(self, visit: Visit) -> None:
        """Count a stream that was served no longer."""
        self._admission.release(visit.address)

    async def open(
        self,
        visit: Visit,
        hooks: Hooks,
        *,
        is_closing: bool,
    ) -> Connection:
        """Open a connection; raises `NotOpened`, which the log knows by then.

        `hooks` are the server's.  Once the 101 has left `visit` has the connection, and what is
        raised after that is raised as it is.  `is_closing`: the server stops, and refuses it.
        """
        opening: ServerOpening | None = None
        began = trio.current_time()
        try:
            opening = self._make(visit, hooks)
            self._present[opening] = None
            if is_closing:
                opening.drop()
            elif len(self._present) > self._settings.server_limits.openings:
                self._drop_one(opening, hooks.nursery)
            connection = await opening.run()
            visit.is_handled = opening.is_handled
            return connection
        except Exception as error:
            if visit.connection is not None:
                raise
            if not isinstance(error, HandshakeError):
                with contextlib.suppress(Exception):
                    visit.logger.error("the opening failed", exc_info=error)
            elif opening is not None:
                seconds = trio.current_time() - began
                peer = visit.logger.ends.peer
                write_refusal(error, opening.request, peer, seconds, self._settings)
            raise NotOpened from error
        finally:
            if opening is None:
                await trio.aclose_forcefully(visit.stream)
            elif visit.connection is None:
                self._forget(opening)

    def _make(self, visit: Visit, hooks: Hooks) -> ServerOpening:
        def begin(connection: Connection) -> None:
            visit.connection = connection
            self._forget(opening)
            self.opened += 1
            if hooks.begin is not None:
                hooks.begin(connection)

        def keep() -> None:
            self._forget(opening)
            self._kept[opening] = None
            if self._is_draining:
                opening.drop()

        def count(address: str | None, *, is_opening: bool) -> str | None:
            return self._count(visit, address, is_opening=is_opening)

        opening = ServerOpening(
            visit.stream,
            self._settings,
            visit.logger,
            rules=self._rules,
            refusals=self._refusals,
            hooks=Hooks(
                hooks.nursery,
                begin,
                count=count,
                keep=keep,
                fail=hooks.fail,
                answers_plain=hooks.answers_plain,
                heartbeat=hooks.heartbeat,
                back_off=self._back_off,
            ),
        )
        return opening

    def _forget(self, opening: ServerOpening) -> None:
        if opening in self._kept:
            del self._kept[opening]
        elif self._present.pop(opening, self) is self:
            self._refusing -= 1  # it was dropped

    def _count(self, visit: Visit, address: str | None, *, is_opening: bool) -> str | None:
        """Let limits count a stream as `address` from now on; return why not."""
        if not self._admission.counts_addresses:
            return None
        why = self._admission.move(
            visit.address, address, trio.current_time(), is_opening=is_opening
        )
        if why is None:
            visit.address = address
        else:
            self.refused += 1
        return why

    def stop_plain(self) -> None:
        """End the streams of plain requests when what is asked is answered, now and from now on."""
        self._is_draining = True
        for opening in self._kept:
            opening.drop()

    def drop_all(self) -> None:
        """Refuse all of them: the server stops."""
        for opening in (*self._present, *self._kept):
            opening.drop()

    def _drop_one(self, newest: ServerOpening, nursery: trio.Nursery) -> None:
        """Refuse an opening for `newest`: of those without a request, the oldest.

        So a flood of silent ones ends up dropping itself.  One whose request is complete waits
        for us, not for its client; if all are like that, `newest` itself is refused.
        """
        opening = next((one for one in self._present if not one.has_request), newest)
        del self._present[opening]
        self._note_refusal()
        opening.drop("the server has too many openings", is_over_limit=True)
        if not self._can_say_no:
            nursery.start_soon(trio.aclose_forcefully, opening.stream)

    # ---- refusals ----------------------------------------------------------------------------

    def _note_refusal(self) -> None:
        self.refused += 1
        self._refusing += 1

    @property
    def _can_say_no(self) -> bool:
        """Whether another client may be told why; even saying no has its limit."""
        return self._refusing <= self._settings.server_limits.openings

    @trio.lowlevel.enable_ki_protection
    async def _refuse(self, stream: trio.abc.Stream, why: str | None) -> None:
        """Tell the client why, unless that is None, and close `stream`; raises no `Exception`."""
        try:
            if why is None:
                await trio.aclose_forcefully(stream)
            else:
                headers = {"Retry-After": str(self._settings.server_limits.retry_after)}
                await refuse_stream(stream, Response(503, headers, why + "\n"), self._settings)
        except Exception as error:
            self._settings.logger.debug("a refused stream could not be closed", exc_info=error)
        finally:
            self._refusing -= 1
