"""Turns: a loop that never has to wait lets the other tasks run once in a while."""

from __future__ import annotations

import trio

__all__ = ["TURN", "Turns"]

#: Messages that a loop may take, or send, without waiting before other tasks get a turn.
TURN = 64


class Turns:
    """Counts what the app does without waiting; a fixed count, so that runs are deterministic."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def is_over(self) -> bool:
        """Count one more; return whether it is time for `pass_on`."""
        self._count += 1
        return self._count >= TURN

    async def pass_on(self) -> None:
        """Let the other tasks run; no cancel point."""
        self._count = 0
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def take(self) -> None:
        """Count one more, and let the other tasks run if it is time to; no cancel point."""
        if self.is_over():
            await self.pass_on()
