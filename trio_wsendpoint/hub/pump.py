"""The task that hands messages to the connections that have room, one after the other.

A publisher only queues; so it waits for no subscriber, and all subscribers get the messages of a
topic in one order.
"""

from __future__ import annotations

from typing import Protocol

import trio

from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Pump", "Pumped"]

#: Connections that are served without a pause for other tasks.
TURN = 64


class Pumped(Protocol):
    """What the pump serves."""

    def pump(self) -> None:
        """Hand over what there is room for, without waiting.  Raises nothing."""
        ...


class Pump:
    """Calls `pump()` of those that were put in, in the order in which they came."""

    def __init__(self) -> None:
        self._ready: dict[Pumped, None] = {}
        self._work = Waiter()

    def put(self, ready: Pumped) -> None:
        """Have `ready` pumped soon."""
        if not self._ready:
            self._work.wake()
        self._ready[ready] = None

    # A Ctrl-C in the middle would leave a message half handed over.
    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Pump until cancelled."""
        turn = 0
        while True:
            while self._ready:
                # A dict from which the first is taken again and again is searched from its start.
                batch, self._ready = self._ready, {}
                for ready in batch:
                    ready.pump()
                    turn += 1
                    if turn >= TURN:
                        turn = 0
                        await trio.lowlevel.checkpoint()
            await self._work.wait()
