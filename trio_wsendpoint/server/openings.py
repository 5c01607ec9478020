"""From a stream that was accepted to a connection: within the limits, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from enum import Enum

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.peer import ConnectionLogger, ends_of
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.server.accepting import ServerOpening
from trio_wsendpoint.server.access_records import write_refusal
from trio_wsendpoint.server.admission import Admission
from trio_wsendpoint.server.back_off import BackOff
from trio_wsendpoint.server.host import Drop
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import ServeSettings
from trio_wsendpoint.server.turning_away import refuse_stream
from trio_wsendpoint.server.visit import Served, Visit

__all__ = ["NotOpened", "Openings", "Taking"]


#: The name of the task of each stream.
_TASK = "trio_wsendpoint connection"
_STOPS = Drop("the server stops", is_over_limit=False)
_OVER_LIMIT = Drop("the server has too many openings", is_over_limit=True)


class NotOpened(Exception):
    """An opening that came to nothing, of which the log has been told."""


class Taking(Enum):
    """What becomes of the streams that come.

    `ALL`: they are taken.  `NO_PLAIN`: those of plain requests are not kept.  `NONE`: each is
    refused, for the server stops.
    """

    ALL = "all"
    NO_PLAIN = "no plain requests"
    NONE = "none"


class Openings:
    """The openings of one server; `rules` hold for all of them.

    `accepted`, `opened`, `refused`: how many streams were accepted, became connections, and were
    refused.
    """

    def __init__(self, settings: ServeSettings, rules: Rules) -> None:
        self._settings = settings
        self._rules = rules
        self._present: dict[Visit, ServerOpening] = {}  # the oldest first
        self._kept: dict[Visit, ServerOpening] = {}  # which have brought plain requests
        self._admission = Admission(settings.server_limits)
        #: The delays of addresses whose credentials were wrong too often.
        self.back_off = BackOff(settings.server_limits)
        self._refusals = RefusalLog(is_shown=True)
        self.accepted = self.opened = self.refused = 0
        self._refusing = 0
        #: What becomes of those that come; moved by `stop_plain` and `drop_all`.
        self.taking = Taking.ALL

    def __len__(self) -> int:
        return len(self._present)

    def take(
        self,
        stream: trio.abc.Stream,
        served: Served,
        serve: Callable[[Visit], Awaitable[object]],
    ) -> None:
        """Start `serve` for `stream` in the nursery of `served`, or refuse it."""
        self.accepted += 1
        now, nursery = trio.current_time(), served.nursery
        logger = ConnectionLogger(self._settings.logger, ends_of(stream), str(self.accepted))
        address = self._rules.counted_as(logger.ends.peer) if self.counts_addresses else None
        why = self._admission.admit(address, now)
        if why is None:
            visit = Visit(stream, logger, address, now, openings=self, served=served)
            # One name for all of them: Trio would make a text for each.
            nursery.start_soon(serve, visit, name=_TASK)
            return
        self._note_refusal()
        error = HandshakeError(why)
        self._refusals.write(error, logger, is_ours=True)
        tell_refusal(self._settings.instruments, error, logger.ends.peer, logger)
        nursery.start_soon(self._refuse, stream, why if self._can_say_no else None)

    def release(self, visit: Visit) -> None:
        """Count a stream that was served no longer."""
        self._admission.release(visit.address)

    async def open(self, visit: Visit) -> Connection:
        """Open a connection; raises `NotOpened`, which the log knows by then.

        Once the 101 has left `visit` has the connection, and what is raised after that is raised
        as it is.
        """
        opening: ServerOpening | None = None
        try:
            opening = self._begin(visit)
            return await opening.run()
        except Exception as error:
            if visit.connection is not None:
                raise
            self._tell(error, visit, opening)
            raise NotOpened from error
        finally:
            if opening is None:
                await trio.aclose_forcefully(visit.stream)
            elif visit.connection is None:
                self._forget(visit)

    def _begin(self, visit: Visit) -> ServerOpening:
        opening = ServerOpening(
            visit.stream,
            self._settings,
            visit.logger,
            rules=self._rules,
            refusals=self._refusals,
            host=visit,
            since=visit.since,
        )
        self._present[visit] = opening
        is_over_limit = len(self._present) > self._settings.server_limits.openings
        if is_over_limit and self.taking is not Taking.NONE:
            self._drop_one(visit)
        return opening

    def _tell(self, error: Exception, visit: Visit, opening: ServerOpening | None) -> None:
        """Tell the logs why there is no connection."""
        if not isinstance(error, HandshakeError):
            with contextlib.suppress(Exception):
                visit.logger.error("the opening failed", exc_info=error)
        elif opening is not None:
            seconds = trio.current_time() - visit.since
            peer = visit.logger.ends.peer
            write_refusal(error, opening.request, peer, seconds, self._settings)

    def _forget(self, visit: Visit) -> None:
        if self._present.pop(visit, None) is None and self._kept.pop(visit, None) is None:
            self._refusing -= 1  # it was dropped

    # ---- what a visit tells --------------------------------------------------------------------

    def note_opened(self, visit: Visit) -> None:
        """Note that an opening has become a connection."""
        self._forget(visit)
        self.opened += 1

    def keep(self, visit: Visit) -> None:
        """Keep a stream, which is no opening any more: a first plain request has come."""
        opening = self._present.pop(visit, None)
        if opening is not None:  # else it was dropped
            self._kept[visit] = opening

    def why_dropped(self, visit: Visit) -> Drop | None:
        """Return why an opening, or a stream that is kept, is to end; None if it may go on."""
        if visit in self._present:
            return _STOPS if self.taking is Taking.NONE else None
        if visit in self._kept:
            return None if self.taking is Taking.ALL else _STOPS
        return _OVER_LIMIT

    @property
    def counts_addresses(self) -> bool:
        """Whether limits tell addresses apart."""
        return self._admission.counts_addresses

    def move(self, visit: Visit, address: str | None, *, is_opening: bool) -> str | None:
        """Let limits count a stream as `address` from now on; return why not."""
        now = trio.current_time()
        why = self._admission.move(visit.address, address, now, is_opening=is_opening)
        if why is not None:
            self.refused += 1
        return why

    # ---- the end -------------------------------------------------------------------------------

    def stop_plain(self) -> None:
        """End the streams of plain requests when what is asked is answered, now and from now on."""
        if self.taking is Taking.ALL:
            self.taking = Taking.NO_PLAIN
        for opening in self._kept.values():
            opening.drop()

    def drop_all(self) -> None:
        """Refuse all of them, now and from now on: the server stops."""
        self.taking = Taking.NONE
        for opening in (*self._present.values(), *self._kept.values()):
            opening.drop()

    def _drop_one(self, newest: Visit) -> None:
        """Refuse an opening for `newest`: of those without a request, the oldest.

        So a flood of silent ones ends up dropping itself.  One whose request is complete waits
        for us, not for its client; if all are like that, `newest` itself is refused.
        """
        present = self._present.items()
        visit = next((visit for visit, opening in present if not opening.has_request), newest)
        opening = self._present.pop(visit)
        self._note_refusal()
        opening.drop()
        if not self._can_say_no:
            visit.nursery.start_soon(trio.aclose_forcefully, opening.stream)

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
