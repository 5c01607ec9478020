"""Opens a connection over one stream, without a server."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.peer import make_logger
from trio_wsendpoint.server.accepting import ServerOpening
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings

__all__ = ["open_as_server"]


class OneStream:
    """What `accept_endpoint` is to its opening: there are no limits, and no plain requests."""

    heartbeat = back_off = dropped = None
    answers_plain = False

    def __init__(self, nursery: trio.Nursery, begin: Callable[[Connection], object] | None) -> None:
        self.nursery = nursery
        self._begin = begin

    @property
    def begins(self) -> bool:
        """Whether there is something that starts a connection."""
        return self._begin is not None

    def begin(self, connection: Connection) -> None:
        """Start the connection, whose 101 has just left."""
        if self._begin is not None:
            self._begin(connection)

    def count(self, address: str | None, *, is_opening: bool) -> str | None:
        """Count nothing."""

    def keep(self) -> None:
        """Keep nothing."""

    def fail(self, error: Exception) -> None:
        """Do nothing: no handler answers plain requests."""


async def open_as_server(
    stream: trio.abc.Stream,
    settings: AcceptSettings,
    nursery: trio.Nursery,
    begin: Callable[[Connection], object] | None,
) -> Connection:
    """Read a request from `stream`, and accept it or answer it otherwise.

    `begin` is called with the connection as soon as its 101 has left; None if it is not started.
    """
    try:
        rules = Rules(settings)
        logger = make_logger(stream, settings.logger, settings.random_bytes)
        # The caller gets the error, so it is the caller's to show.
        opening = ServerOpening(
            stream,
            settings,
            logger,
            rules=rules,
            refusals=RefusalLog(is_shown=False),
            host=OneStream(nursery, begin),
            since=trio.current_time(),
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()
