"""Calls the handler of a server, which is the user's."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.session.session import Logger

__all__ = ["Handler", "call_handler", "is_within", "log_end"]

#: What a server runs for each connection.
Handler = Callable[[Connection], Awaitable[object]]


@trio.lowlevel.disable_ki_protection
async def call_handler(handler: Handler, connection: Connection) -> None:
    """Run `handler`, which a Ctrl-C may interrupt; raises what it raises.

    Raises `TypeError` if it is no async function.
    """
    awaitable: object = handler(connection)
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            f"the handler must be an async function: {handler!r} returned {awaitable!r}"
        )
    await awaitable


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
