"""Opens a connection over one stream, without a server."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.peer import make_logger
from trio_wsendpoint.server.accepting import ServerOpening
from trio_wsendpoint.server.hooks import Hooks
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings

__all__ = ["open_as_server"]


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
            hooks=Hooks(nursery, begin),
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()
