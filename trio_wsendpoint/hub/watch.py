"""The task that cuts subscribers which take nothing for as long as their policy allows."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["StallWatch"]

#: How often a member is looked at within `Policy.stalled`: it is cut this part of it late at most.
LOOKS = 4


class StallWatch:
    """Looks at the members that have a limit; `cut` is called with one that has stalled."""

    def __init__(self, cut: Callable[[Member], object]) -> None:
        self._cut = cut
        self._members: dict[Member, None] = {}
        self._work = Waiter()

    def add(self, member: Member) -> None:
        """Look at a member from now on."""
        self._members[member] = None
        self._work.wake()

    def remove(self, member: Member) -> None:
        """Look at it no more."""
        self._members.pop(member, None)

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Look at all of them again and again, while there are any."""
        while True:
            while not self._members:
                await self._work.wait()
            shortest = min(member.queue.policy.stalled for member in self._members)
            await trio.sleep(shortest / LOOKS)
            self.look(trio.current_time())

    def look(self, now: float) -> None:
        """Cut those that have stalled."""
        for member in [*self._members]:
            queue = member.queue
            if member.holder.has_progressed():
                queue.note_progress(now)
            if queue.stalled_at <= now:
                self.remove(member)
                self._cut(member)
