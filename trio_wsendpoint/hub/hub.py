"""`open_hub` and `Hub`: one message to many subscribers, in one process or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.hub.backplane import Backplane, Publication, Reading, Receipt
from trio_wsendpoint.hub.core import Core
from trio_wsendpoint.hub.delivery import Wrap
from trio_wsendpoint.hub.errors import PublishFailed, PublishUnsure
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.memory import MemoryBackplane
from trio_wsendpoint.hub.policies import DropOldest, Policy
from trio_wsendpoint.hub.positions import Position, check_topic
from trio_wsendpoint.hub.pump import Pump
from trio_wsendpoint.hub.serving import Serving
from trio_wsendpoint.hub.statistics import Drop, HubStatistics
from trio_wsendpoint.hub.subscription import Subscription
from trio_wsendpoint.hub.wishes import Wishes
from trio_wsendpoint.protocol.frames import Buffer

__all__ = ["Hub", "open_hub"]


def open_hub(
    *,
    backplane: Backplane | None = None,
    history: History | None = None,
    on_drop: Callable[[Drop], object] | None = None,
) -> AbstractAsyncContextManager[Hub]:
    """Open a hub for the length of an `async with` block: it yields a `Hub`.

    `backplane`: what carries messages to the hubs of other processes, and keeps history; by default
    one in memory, for this process alone, which keeps as much as `history` says, or nothing.
    `on_drop`: `on_drop(drop)` is called whenever messages find no room with a subscriber.  What it
    raises is logged, and then it is called no more.

    Entering raises `BackplaneDown` or `BackplaneRefused` if the backplane cannot begin.  Leaving
    ends all subscriptions, and `serve` returns; connections stay as they are.
    """
    if backplane is not None and history is not None:
        raise ValueError("the backplane has the history: give it history=")
    return _HubContext(
        MemoryBackplane(history=history) if backplane is None else backplane, on_drop
    )


class Hub:
    """Topics, their subscribers in this process, and the way to those in others.

    Made by `open_hub`.  It belongs to the thread that opened it.
    """

    def __init__(self, core: Core, pump: Pump) -> None:
        self._core = core
        self._pump = pump
        self._published = self._failed = self._unsure = 0
        self._named = 0  # subscribers that had no name

    # ---- publishing --------------------------------------------------------------------------

    async def publish(self, topic: str, message: str | Buffer, key: str | None = None) -> Receipt:
        """Send a message to all subscribers of a topic; return when the backplane has it.

        A `str` is a text message, bytes a binary one.  `key`: of which value it is the newest, for
        subscribers with `Latest`.  It waits for no subscriber: what a slow one misses is up to
        that one's policy.  With the backplane in memory it never waits at all.

        If cancelled: it was published or not.
        Raises: `PublishFailed`: nobody got it; `PublishUnsure`: it may have arrived, or may yet;
            `HubClosed`, `TypeError`, `ValueError`; `UnicodeEncodeError` for a text with lone
            surrogates.
        """
        [receipt] = await self.publish_many([(topic, message, key)])
        return receipt

    async def publish_many(
        self, messages: Iterable[tuple[str, str | Buffer, str | None]]
    ) -> list[Receipt]:
        """Publish several messages, each a topic, a message and a key, in one step.

        If cancelled: as `publish`.
        Raises: as `publish`; an error is about all of them.
        """
        self._core.check_open()
        publications = [_publication(*message) for message in messages]
        try:
            receipts = await self._core.backplane.publish_many(publications)
        except PublishFailed:
            self._failed += len(publications)
            raise
        except PublishUnsure:
            self._unsure += len(publications)
            raise
        self._published += len(publications)
        return receipts

    @trio.lowlevel.enable_ki_protection
    async def wait_room(self, topic: str) -> None:
        """Wait until each subscriber of the topic that has `Block` has room for a message.

        For a publisher that is to be no faster than its slowest subscriber in this process.  The
        room is there when this returns, and nothing keeps it: another publisher may take it as soon
        as this task waits for anything.  A subscriber that stalls is cut, which ends the wait.

        If cancelled: nothing has changed.
        Raises: `HubClosed`.
        """
        core = self._core
        await trio.lowlevel.checkpoint()
        core.check_open()
        while (found := core.fanout.topics.get(topic)) is not None and found.full:
            await core.room.wait()
            core.check_open()

    # ---- subscribing -------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def serve(
        self,
        connection: Connection,
        topics: str | Iterable[str],
        *,
        policy: Policy | None = None,
        after: Position | Iterable[Position] | None = None,
        last: int | None = None,
        wrap: Wrap | None = None,
        compress: bool = True,
        name: str | None = None,
    ) -> None:
        """Send what is published to these topics to a connection, until the connection has ended.

        `policy`: what becomes of messages while the peer is slow; `DropOldest()` by default.
        `after`: places from which the client goes on; `last`: how many messages of each topic it
        gets first, where it names no place.  Each message comes once.
        `wrap`: makes what is sent for a message, a `Gap` or a `Replay`, or None for nothing; it is
        called once a message for all connections that are served with the same function.  By
        default messages are sent as they are, and gaps are not told to the peer.
        `compress=False` keeps a negotiated compression away.  `name`: for statistics.

        The message becomes a frame, and is compressed, once for all connections that can share it,
        as with `broadcast`.  The app may send and receive meanwhile.  A connection whose subscriber
        is cut is closed, with the code of `Close` or 1013; then this returns as well.  It returns
        also when the block of the hub is left.

        If cancelled: what was handed to the connection is sent; the connection stays open.
        Raises: `BackplaneDown` if the history cannot be read; what `wrap` raises; `HubClosed`,
            `TypeError` and `ValueError`.
        """
        core = self._core
        core.check_open()
        wishes = Wishes.check(topics, DropOldest() if policy is None else policy, after, last)
        serving = Serving(
            core,
            self._pump,
            connection,
            wishes,
            self._name(name),
            wrap=wrap,
            compress=compress,
        )
        await serving.run()

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        policy: Policy | None = None,
        after: Position | Iterable[Position] | None = None,
        last: int | None = None,
        connection: Connection | None = None,
        name: str | None = None,
    ) -> Subscription:
        """Subscribe for the length of a block: `async with hub.subscribe("news") as news`.

        In the block, `async for item in news`; what is published from entering it on comes.  The
        options are as for `serve`.  With `connection`, the iteration ends when that has ended.

        Entering raises `BackplaneDown` if there is a history that cannot be read.  Raises
        `HubClosed`, `TypeError` and `ValueError`.
        """
        self._core.check_open()
        wishes = Wishes.check(topics, DropOldest() if policy is None else policy, after, last)
        return Subscription(self._core, wishes, self._name(name), connection)

    async def read(
        self,
        topic: str,
        *,
        after: Position | None = None,
        last: int | None = None,
        limit: int = 500,
    ) -> Reading:
        """Read a page of a topic's history, without subscribing: see `Reading`.

        If cancelled: nothing has changed.
        Raises: `BackplaneDown`, `HubClosed`; `ValueError` for both of `after` and `last`, or none.
        """
        self._core.check_open()
        check_topic(topic)
        if (after is None) == (last is None):
            raise ValueError("give one of after= and last=")
        return await self._core.backplane.read(topic, after=after, last=last, limit=limit)

    # ---- the rest ----------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether the backplane has its server."""
        return self._core.fanout.is_up

    def statistics(self) -> HubStatistics:
        """Return what the hub has done and holds, as an immutable object."""
        core, now = self._core, trio.current_time()
        return HubStatistics(
            is_up=core.fanout.is_up,
            published=self._published,
            failed=self._failed,
            unsure=self._unsure,
            cut=core.cut,
            topics=tuple(topic.statistics() for topic in core.fanout.topics.values()),
            subscribers=tuple(member.statistics(now) for member in core.members),
        )

    def _name(self, name: str | None) -> str:
        if name is not None:
            return name
        self._named += 1
        return f"subscriber {self._named}"


def _publication(topic: str, message: str | Buffer, key: str | None) -> Publication:
    """Return the message, checked."""
    check_topic(topic)
    if key is not None and not isinstance(key, str):
        raise TypeError(f"a key is a str or None, not {type(key).__name__}")
    if isinstance(message, str):
        (message + (key or "")).encode()  # which refuses lone surrogates
        return Publication(topic, message, key)
    if not isinstance(message, (bytes, bytearray, memoryview)):
        raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
    (key or "").encode()
    return Publication(topic, bytes(message), key)


class _HubContext(AbstractAsyncContextManager[Hub]):
    """The block of a hub: its tasks live in a nursery that is this block's."""

    def __init__(self, backplane: Backplane, on_drop: Callable[[Drop], object] | None) -> None:
        self._backplane = backplane
        self._on_drop = on_drop
        self._block = BlockNursery()
        self._use = BlockUse("a hub is opened once: call open_hub() again for another")
        self._core: Core

    # A Ctrl-C between the nursery and its tasks would leave it open.
    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Hub:
        self._use.check_new()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._use.begin()
        nursery = await self._block.enter()
        core = self._core = Core(self._backplane, nursery, self._on_drop)
        pump = Pump()
        try:
            await nursery.start(self._backplane.run, core.fanout, name="trio_wsendpoint backplane")
        except BaseException as error:
            nursery.cancel_scope.cancel()
            raise_beside(error, await self._block.leave())
            raise
        nursery.start_soon(pump.run, name="trio_wsendpoint pump")
        nursery.start_soon(core.watch.run, name="trio_wsendpoint stall watch")
        return Hub(core, pump)

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._core.close()
        self._core.nursery.cancel_scope.cancel()
        raise_beside(exc, await self._block.leave())
