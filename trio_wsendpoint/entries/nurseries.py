"""A nursery that an async context manager of ours holds for its block.

A class rather than a generator: a generator that holds a nursery can be left in the wrong task
(python-trio/trio#638).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import cast

import trio

__all__ = ["BlockNursery", "raise_beside"]


class BlockNursery:
    """Enter it in `__aenter__`, leave it in `__aexit__` of one and the same block.

    What the block raises does not pass through the nursery, which would wrap it: its tasks have
    ended before, and the block's error leaves as it is.
    """

    def __init__(self) -> None:
        # Made when the block is entered: an app may make the block itself outside of trio.run().
        self._manager: AbstractAsyncContextManager[trio.Nursery, bool | None] | None = None
        self._nursery: trio.Nursery | None = None

    @property
    def nursery(self) -> trio.Nursery:
        """The nursery; raises `RuntimeError` before it is open."""
        if self._nursery is None:
            raise RuntimeError("the block has not been entered")
        return self._nursery

    async def enter(self) -> trio.Nursery:
        """Open the nursery."""
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def leave(self, *, shield: bool = True) -> BaseException | None:
        """Wait for the tasks to end.

        `shield`: they are about to end, so wait whether or not the caller is cancelled.

        Returns what a task raised, or a Ctrl-C that came meanwhile: one error as it is, more in
        the group that the nursery made.
        """
        if self._manager is None:
            return None
        if self._nursery is not None:
            self._nursery.cancel_scope.shield = shield
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            only, *others = group.exceptions
            return group if others else only
        except BaseException as error:  # noqa: BLE001 - without strict groups it comes as it is
            return error
        return None


def raise_beside(exc: BaseException | None, error: BaseException | None) -> None:
    """Raise `error`, which came up while `exc` of the block was raised; do nothing if it is None.

    Two errors leave in a group; if one is a cancellation, `error` leaves alone.  A Ctrl-C leaves as
    it is, in no group: the other one is its context, or a second Ctrl-C.
    """
    if error is None or error is exc:
        return
    if exc is None or is_cancellation(exc):
        raise error
    if is_cancellation(error):
        if not isinstance(exc, Exception):
            return
        raise error
    if not isinstance(error, Exception):
        raise error
    raise BaseExceptionGroup("the block failed, and what follows it", [exc, error])


def is_cancellation(error: BaseException) -> bool:
    """Tell whether `error` is nothing but `trio.Cancelled`, in a group or not."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(map(is_cancellation, inner))
    return isinstance(error, trio.Cancelled)
