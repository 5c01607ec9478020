"""Calls the handler of a server, which is the user's."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.connection.connection import Connection

__all__ = ["Handler", "call_handler", "is_within"]

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


def is_within(nursery: trio.Nursery | None) -> bool:
    """Tell whether the caller is a task of `nursery`, or of a nursery within it."""
    found = trio.lowlevel.current_task().parent_nursery
    while found is not None and found is not nursery:
        found = found.parent_task.parent_nursery
    return found is not None
