"""What the parts of a hub share: the fan-out, the backplane, the tasks, and where tasks wait."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable

import trio

from trio_wsendpoint.hub.backplane import Backplane
from trio_wsendpoint.hub.errors import HubClosed
from trio_wsendpoint.hub.fanout import Fanout, Topic
from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.hub.policies import Block
from trio_wsendpoint.hub.statistics import Drop
from trio_wsendpoint.hub.watch import StallWatch
from trio_wsendpoint.transport.waiters import Waiters

__all__ = ["Core"]

_LOGGER = logging.getLogger("trio_wsendpoint.hub")


class Core:
    """One hub within; `nursery` is its block's.

    `members`: all that are there, joined to their topics or not yet.  `room`: where publishers
    wait for members with `Block`.  `watch`: cuts members that stall.  `cut`: how many were cut.
    `is_closed`: the block has been left.
    """

    def __init__(
        self,
        backplane: Backplane,
        nursery: trio.Nursery,
        on_drop: Callable[[Drop], object] | None,
    ) -> None:
        self.backplane = backplane
        self.nursery = nursery
        self._on_drop = on_drop
        self._changed = Waiters()
        self.room = Waiters()
        self.fanout = Fanout(trio.current_time, self._changed.wake_all, self)
        self.watch = StallWatch(self.cut_member)
        self.members: dict[Member, None] = {}
        self.cut = 0
        self.is_closed = False

    def check_open(self) -> None:
        """Raise `HubClosed` after the block."""
        if self.is_closed:
            raise HubClosed("the block of the hub has been left")

    def note_drop(self, drop: Drop) -> None:
        """Call the app's hook: the one place where what it raises is caught."""
        if self._on_drop is None:
            return
        try:
            self._on_drop(drop)
        except Exception:
            self._on_drop = None
            with contextlib.suppress(Exception):  # a logger that raises is the user's
                _LOGGER.exception("on_drop raised, and is called no more")

    # ---- members -----------------------------------------------------------------------------

    def add(self, member: Member) -> None:
        """Note a member; `join` puts it into its topics."""
        self.members[member] = None
        if member.queue.policy.stalled < math.inf:
            self.watch.add(member)

    @trio.lowlevel.enable_ki_protection
    def remove(self, member: Member) -> None:
        """Take a member out of everything."""
        if self.members.pop(member, self) is not None:
            return
        self.watch.remove(member)
        for topic in self.fanout.leave(member):
            self.backplane.unfollow(topic)
        if isinstance(member.queue.policy, Block):
            self.room.wake_all()

    @trio.lowlevel.enable_ki_protection
    def join(self, member: Member, name: str) -> Topic:
        """Put a member into a topic, which the backplane follows from then on."""
        topic = self.fanout.join(member, name)
        self.backplane.follow(name)
        return topic

    async def wait_followed(self, topic: Topic) -> None:
        """Wait until the backplane delivers a topic, or has lost its server.

        In the second case, a gap is told when it delivers the topic.
        """
        await trio.lowlevel.checkpoint()
        while not topic.is_followed and self.fanout.is_up and not self.is_closed:
            await self._changed.wait()
        topic.note_late()

    @trio.lowlevel.enable_ki_protection
    def cut_member(self, member: Member) -> None:
        """Give up a member that stalls."""
        self.note_cut(member)
        self.fanout.note_dropped(member, member.cut())

    def note_cut(self, member: Member) -> None:
        """Count a member that was given up, and note it in the log."""
        self.cut += 1
        if isinstance(member.queue.policy, Block):
            self.room.wake_all()
        with contextlib.suppress(Exception):  # a logger that raises is the user's
            _LOGGER.info("%s took too little, and is cut", ascii(member.name))

    def close(self) -> None:
        """End all subscriptions: the block is left."""
        self.is_closed = True
        for member in [*self.members]:
            member.holder.wake()
        self.room.wake_all()
        self._changed.wake_all()
