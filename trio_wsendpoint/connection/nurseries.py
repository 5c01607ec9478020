"""A nursery that an async context manager of ours holds for its block.

A class rather than a generator: a generator that holds a nursery can be left in the wrong task
(python-trio/trio#638).  Imported by `connection` and `server`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import trio

__all__ = ["BlockNursery"]


class BlockNursery:
    """Enter it in `__aenter__`, leave it in `__aexit__` of one and the same block."""

    def __init__(self) -> None:
        self._manager: AbstractAsyncContextManager[trio.Nursery, bool | None] = trio.open_nursery()

    async def enter(self) -> trio.Nursery:
        """Open the nursery."""
        return await self._manager.__aenter__()

    async def leave(self, exc: BaseException | None, leaving: BaseException | None) -> None:
        """Wait for the tasks, while `leaving` is on its way out; `exc` is what the block raised.

        Returns if what comes out is `exc` itself, which is then the caller's to let pass; raises
        a single other error as it is, and two or more as the group that the nursery made.
        """
        try:
            await self._manager.__aexit__(
                None if leaving is None else type(leaving),
                leaving,
                None if leaving is None else leaving.__traceback__,
            )
        except BaseExceptionGroup as group:
            # A nursery wraps whatever leaves it.  The tasks raise nothing of their own, so one
            # error is the block's, a cancellation, or a KeyboardInterrupt that Trio gave a task.
            only, *others = group.exceptions
            if others:
                raise
            if only is exc:
                return
            raise only from only.__cause__
