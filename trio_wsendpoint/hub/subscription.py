"""A subscription: an `async with` block, and in it an iteration over what comes."""

from __future__ import annotations

from collections import deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.hub.backplane import Replay
from trio_wsendpoint.hub.core import Core
from trio_wsendpoint.hub.delivery import Delivery, Item
from trio_wsendpoint.hub.errors import SubscriberTooSlow
from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.hub.policies import Block
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.replaying import Feed
from trio_wsendpoint.hub.wishes import Wishes
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Subscription"]

#: Items that are taken without a pause for other tasks.
TURN = 64


class Subscription(AbstractAsyncContextManager["Subscription"]):
    """What `Hub.subscribe()` returns: `async with` it, then `async for item in subscription`.

    Items are `Delivery`, `Gap` and `Replay`, each in its place.  With history each topic begins
    with a `Replay`.  The iteration ends when the block of the hub is left, or the connection has
    ended that `subscribe` was given; it raises `SubscriberTooSlow` when the subscription was cut.

    `positions`: the place behind the last item of each topic, where it has one.
    """

    def __init__(
        self, core: Core, wishes: Wishes, name: str, connection: Connection | None
    ) -> None:
        self._core = core
        self._connection = connection
        self._member = Member(name, wishes.topics, wishes.policy, self)
        self._feed = Feed(core, self._member, wishes.after, wishes.last)
        self._page: deque[Item] = deque()
        self._is_live = False
        self._is_ended = False
        self._turn = 0
        self._ready = Waiter()
        self._watch = trio.CancelScope()
        self._use = BlockUse("a subscription is entered once: subscribe again for another")
        self.positions: dict[str, Position] = {}

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        self._use.begin()
        self._core.check_open()
        self._core.add(self._member)
        try:
            await trio.lowlevel.checkpoint()
            await self._feed.begin()
        except BaseException:
            self._core.remove(self._member)
            raise
        if self._connection is not None:
            self._core.nursery.start_soon(self._watch_end, self._connection)
        self._use.open()
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._use.close()
        self._watch.cancel()
        self._core.remove(self._member)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _watch_end(self, connection: Connection) -> None:
        with self._watch:
            await connection.wait_closed()
            self._is_ended = True
            self.wake()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> Item:
        """Return the next item.

        Raises `SubscriberTooSlow` if the subscription was cut, `BackplaneDown` if its history
        cannot be read, `trio.BusyResourceError` if another task waits here, and `RuntimeError`
        outside of the block.  If cancelled, nothing was taken.
        """
        self._use.check_open("a subscription")
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            item = self._take()
            if item is not None:
                self._note_place(item)
                return item
            if self._is_live:
                await self._ready.wait()
            elif page := await self._feed.next_page():
                self._page.extend(page)
            else:
                self._is_live = True

    def _take(self) -> Item | None:
        """Take what comes next, None if nothing is there; raise if nothing follows."""
        if self._page:
            self._member.queue.note_progress(trio.current_time())
            return self._page.popleft()
        if self._is_live:
            item = self._member.take(trio.current_time())
            if item is not None:
                if isinstance(self._member.queue.policy, Block):
                    self._core.room.wake_all()
                return item
        if self._member.queue.is_cut:
            raise SubscriberTooSlow(f"{self._member.name!a} took too little")
        if self._is_ended or self._core.is_closed:
            raise StopAsyncIteration
        return None

    def _note_place(self, item: Item) -> None:
        if isinstance(item, (Delivery, Replay)) and item.position is not None:
            self.positions[item.topic] = item.position

    # ---- as its member's holder --------------------------------------------------------------

    def wake(self) -> None:
        """Wake the task that waits for an item."""
        self._ready.wake()

    @property
    def is_excused(self) -> bool:
        """False: how long the app takes for an item is what the policy is about."""
        return False

    def has_progressed(self) -> bool:
        """Return False: progress is what the app takes, which is noted then."""
        return False
