"""Calls the async functions of the app: handlers, applications, hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import trio

__all__ = ["call_async"]


@trio.lowlevel.disable_ki_protection
async def call_async(name: str, function: Callable[..., object], *arguments: object) -> object:
    """Run `function`, which a Ctrl-C may interrupt; return what it returns.

    Raises what it raises, and `TypeError` if it is no async function.  That names it as `name`,
    and tells the type of what it has returned: the value may be a secret.
    """
    awaitable: object = None
    try:
        awaitable = function(*arguments)
        if not inspect.isawaitable(awaitable):
            found = type(awaitable).__name__
            raise TypeError(f"{name} must be an async function: {function!r} returned {found}")
        return await awaitable
    finally:
        # A Ctrl-C between the two would leave a coroutine that was never awaited.
        if inspect.iscoroutine(awaitable):
            awaitable.close()
