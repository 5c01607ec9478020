"""What a server runs for each connection, and what its end means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.session.session import Logger

__all__ = ["Handler", "is_within", "log_end"]

#: What a server runs for each connection.
Handler = Callable[[Connection], Awaitable[object]]


def log_end(error: Exception, connection: Connection | None, logger: Logger) -> bool:
    """Log what a handler has raised; return whether it has failed.

    `connection` is its own, None if there was none.
    """
    if connection is None:
        logger.error("the opening failed", exc_info=error)
        return False
    # A handler need not catch what the end of its connection raises: that is no failure.
    if is_the_end(error, connection.endpoint.closing):
        logger.debug("the handler ended with its connection: %s", error)
        return False
    logger.error("the handler failed", exc_info=error)
    return True


def is_within(nursery: trio.Nursery | None) -> bool:
    """Tell whether the caller is a task of `nursery`, or of a nursery within it."""
    found = trio.lowlevel.current_task().parent_nursery
    while found is not None and found is not nursery:
        found = found.parent_task.parent_nursery
    return found is not None
