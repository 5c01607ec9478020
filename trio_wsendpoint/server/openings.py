"""From a stream that was accepted to a connection: within the limits, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.peer import ConnectionLogger, socket_address
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response, ServerHandshake
from trio_wsendpoint.server.accepting import ServerOpening, refuse_stream
from trio_wsendpoint.server.admission import Admission
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.settings import ServeSettings

__all__ = ["NotOpened", "Openings"]


class NotOpened(Exception):
    """An opening that came to nothing, of which the log has been told."""


class Openings:
    """The openings of one server; `handshake` answers all of them.

    `accepted`, `opened`, `refused`: how many streams were accepted, became connections, and were
    refused.
    """

    def __init__(self, settings: ServeSettings, handshake: ServerHandshake) -> None:
        self._settings = settings
        self._handshake = handshake
        self._present: dict[ServerOpening, None] = {}  # the oldest first
        self._admission = Admission(settings.server_limits)
        self._refusals = RefusalLog(is_shown=True)
        self.accepted = self.opened = self.refused = 0
        self._refusing = 0

    def __len__(self) -> int:
        return len(self._present)

    def take(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        serve: Callable[[trio.abc.Stream, ConnectionLogger], Awaitable[object]],
    ) -> None:
        """Start `serve` for `stream` in `nursery`, or refuse it."""
        self.accepted += 1
        name = socket_address(stream)
        logger = ConnectionLogger(self._settings.logger, stream, name, str(self.accepted))
        address = logger.address
        why = self._admission.admit(address, trio.current_time())
        if why is None:
            nursery.start_soon(serve, stream, logger)
            return
        self._note_refusal()
        error = HandshakeError(why)
        self._refusals.write(error, logger, is_ours=True)
        tell_refusal(self._settings.instruments, error, address, logger)
        nursery.start_soon(self._refuse, stream, why if self._can_say_no else None)

    def release(self, logger: ConnectionLogger) -> None:
        """Count a stream that was served no longer, as of `logger.address`."""
        self._admission.release(logger.address)

    async def open(
        self,
        stream: trio.abc.Stream,
        logger: ConnectionLogger,
        nursery: trio.Nursery | None,
        *,
        is_closing: bool,
    ) -> Connection:
        """Open a connection over `stream`; raises `NotOpened`, which the log knows by then.

        `is_closing`: the server stops, and refuses it.
        """
        opening: ServerOpening | None = None
        try:
            opening = ServerOpening(stream, self._settings, logger, self._handshake, self._refusals)
            self._present[opening] = None
            if is_closing:
                opening.drop()
            elif len(self._present) > self._settings.server_limits.openings:
                self._drop_one(opening, nursery)
            connection = await opening.run()
        except HandshakeError as error:
            raise NotOpened from error
        except Exception as error:
            with contextlib.suppress(Exception):
                logger.error("the opening failed", exc_info=error)
            raise NotOpened from error
        finally:
            if opening is None:
                await trio.aclose_forcefully(stream)
            elif self._present.pop(opening, self) is self:
                self._refusing -= 1  # it was dropped
        self.opened += 1
        return connection

    def drop_all(self) -> None:
        """Refuse all of them: the server stops."""
        for opening in self._present:
            opening.drop()

    def _drop_one(self, newest: ServerOpening, nursery: trio.Nursery | None) -> None:
        """Refuse an opening for `newest`: of those without a request, the oldest.

        So a flood of silent ones ends up dropping itself.  One whose request is complete waits
        for us, not for its client; if all are like that, `newest` itself is refused.
        """
        opening = next((one for one in self._present if not one.has_request), newest)
        del self._present[opening]
        self._note_refusal()
        opening.drop("the server has too many openings", is_over_limit=True)
        if nursery is not None and not self._can_say_no:
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
