"""Reads a stream on while the app decides about a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

__all__ = ["Watch"]


class Watch:
    """One task that calls `read` until that raises; then it calls `give_up` with that, once.

    `read` takes in what the client sends ahead of its answer, and raises when there is too much
    of it, or when the client has gone.
    """

    __slots__ = ("_give_up", "_has_stopped", "_read", "_scope")

    def __init__(
        self, read: Callable[[], Awaitable[None]], give_up: Callable[[Exception], object]
    ) -> None:
        self._read = read
        self._give_up = give_up
        self._scope: trio.CancelScope | None = None  # of the task, while it reads
        self._has_stopped = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Read on until `stop`; raises no `Exception`."""
        if self._has_stopped.is_set():
            return  # the app had its answer at once
        try:
            with trio.CancelScope() as self._scope:
                while True:
                    await self._read()
        except Exception as error:  # noqa: BLE001 - it is the opening's to raise
            self._give_up(error)
        finally:
            self._scope = None
            self._has_stopped.set()

    async def stop(self) -> None:
        """Read no more; on return no task reads, even if cancelled."""
        if self._scope is None:
            self._has_stopped.set()
        else:
            self._scope.cancel()
            with trio.CancelScope(shield=True):  # its task ends at once
                await self._has_stopped.wait()
