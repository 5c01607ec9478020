"""A connection that is served: its messages go from the queue to the connection, as it has room.

While there is room, the hub's pump task hands messages over.  When there is none, the task in
`Hub.serve()` waits for it, and hands over what has gathered.
"""

from __future__ import annotations

import contextlib
from enum import Enum

import trio

from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.hub.core import Core
from trio_wsendpoint.hub.delivery import Delivery, Item, Wrap
from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.hub.policies import Block, Close
from trio_wsendpoint.hub.pump import Pump
from trio_wsendpoint.hub.replaying import Feed
from trio_wsendpoint.hub.room import Room
from trio_wsendpoint.hub.wishes import Wishes
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Serving"]

#: Bytes of messages that wait together and leave together: fewer calls of the system.
JOINED = 8 * 1024
#: Seconds that a peer which was too slow has to take the Close frame.
PATIENCE = 5.0


class Stage(Enum):
    """Which task hands messages over: `HISTORY`, `FULL`: the one in `serve()`; `FREE`: the pump."""

    HISTORY = "history"
    FREE = "free"
    FULL = "full"
    OVER = "over"


_FREE = Stage.FREE


class Serving:
    """One call of `Hub.serve()`."""

    def __init__(
        self,
        core: Core,
        pump: Pump,
        connection: Connection,
        wishes: Wishes,
        name: str,
        *,
        wrap: Wrap | None,
        compress: bool,
    ) -> None:
        self._core = core
        self._pump = pump
        self._connection = connection
        self._sending = connection.sending
        self._wrap = wrap
        self._compress = compress
        self._member = Member(name, wishes.topics, wishes.policy, self)
        self._feed = Feed(core, self._member, wishes.after, wishes.last)
        self._room = Room(connection, wishes.policy)
        self._has_block = isinstance(wishes.policy, Block)
        # Moved by `_serve` and `pump` alone.
        self._stage = Stage.HISTORY
        self._gathered = 0  # bytes that are queued with the connection, and not written yet
        self._error: Exception | None = None  # what `wrap`, or the endpoint, has raised
        self._work = Waiter()  # the task in `serve()` waits here while the pump hands over
        self._waiting = trio.CancelScope()  # around a wait for room
        self._scope = trio.CancelScope()  # around all that it does

    # ---- the task in serve() -----------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Serve until the connection has ended, or the member was cut and it is closed."""
        core, watch = self._core, trio.CancelScope()
        core.add(self._member)
        try:
            core.nursery.start_soon(self._watch_end, watch)
            with self._scope, contextlib.suppress(ConnectionClosed):
                await trio.lowlevel.checkpoint()
                await self._serve()
        finally:
            self._stage = Stage.OVER
            watch.cancel()
            core.remove(self._member)
        if self._member.queue.is_cut:
            await self._close()
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _watch_end(self, watch: trio.CancelScope) -> None:
        with watch:
            await self._connection.wait_closed()
            self._scope.cancel()

    async def _serve(self) -> None:
        await self._feed.begin()
        while not self._is_ended() and (page := await self._feed.next_page()):
            for item in page:
                if not self._room.is_open:
                    self._flush()
                while not self._is_ended() and not self._room.is_open:
                    await self._wait_for_room()
                if self._is_ended():
                    return
                self._hand_over(item, has_more=item is not page[-1])
            self._flush()
        self._stage = Stage.FREE
        self.pump()
        while not self._is_ended():
            if self._stage is Stage.FULL:
                await self._wait_for_room()
                self._stage = Stage.FREE
                self.pump()
                await trio.lowlevel.checkpoint()
            else:
                await self._work.wait()
        if self._error is not None:
            raise self._error

    async def _wait_for_room(self) -> None:
        with trio.CancelScope() as self._waiting:
            await self._room.wait()

    def _is_ended(self) -> bool:
        """Tell whether nothing more is handed over."""
        return (
            self._member.queue.is_cut
            or self._core.is_closed
            or self._error is not None
            or not self._connection.is_open
        )

    async def _close(self) -> None:
        """Close the connection of a member that was cut."""
        policy = self._member.queue.policy
        code = policy.code if isinstance(policy, Close) else CloseCode.TRY_AGAIN_LATER
        with trio.move_on_after(PATIENCE), contextlib.suppress(ConnectionClosed):
            await self._connection.aclose(code, "too slow")

    # ---- without waiting ---------------------------------------------------------------------

    def pump(self) -> None:
        """Hand over what there is room for; then the task in `serve()` waits for more room."""
        if self._stage is not _FREE:
            return
        if self._pump_alone():
            return
        member, now = self._member, trio.current_time()
        has_taken = False
        try:
            while not member.queue.is_empty and not self._is_ended():
                if not self._room.is_open:
                    self._stage = Stage.FULL
                    self._work.wake()
                    break
                item = member.take(now)
                has_taken = True
                if item is not None:
                    self._hand_over(item, has_more=not member.queue.is_empty)
        except Exception as error:  # noqa: BLE001 - it is raised by `serve()`
            self._error = error
        self._flush()
        if has_taken and self._has_block:
            self._core.room.wake_all()
        if self._is_ended():
            self._work.wake()

    # Few calls: most deliveries of a hub pass here.
    def _pump_alone(self) -> bool:
        """Write the one message that waits, at once; return False if that takes `pump`."""
        room, delivery = self._room, self._member.queue.peek_alone()
        if delivery is None or self._error is not None or room.given >= room.ahead:
            return False
        try:
            message = delivery.shared(self._wrap)
        except Exception as error:  # noqa: BLE001 - it is raised by `serve()`
            self._error = error
            self._work.wake()
            return True
        try:
            if message is None or not self._sending.try_share(message, compress=self._compress):
                return False
        except Exception as error:  # noqa: BLE001 - its endpoint's, or its extension's
            self._fail(error)
            return False
        self._member.take_alone()
        if room.is_paced:
            room.note_given(len(message.payload))
        if self._has_block:
            self._core.room.wake_all()
        return True

    def _hand_over(self, item: Item, *, has_more: bool = False) -> None:
        """Commit the message for an item, if there is one.

        `has_more`: others follow at once, with which it may leave.
        """
        message = self._message_for(item)
        if message is None:
            return
        size = len(message.payload)
        self._room.note_given(size)
        try:
            if has_more and self._gathered + size < JOINED:
                self._connection.tasks.session.send(message, compress=self._compress)
                self._gathered += size
            else:
                self._gathered = 0
                self._sending.commit(message, compress=self._compress)
        except Exception as error:  # noqa: BLE001 - its endpoint's, or its extension's
            self._fail(error)

    def _flush(self) -> None:
        """Write what was queued to leave with others."""
        if self._gathered:
            self._gathered = 0
            self._connection.tasks.act()

    def _fail(self, error: Exception) -> None:
        """Close the connection because of an error; one that is closed already ends by itself."""
        if not isinstance(error, EndpointClosed):
            tasks = self._connection.tasks
            tasks.session.fail_internally(error)
            tasks.act()

    def _message_for(self, item: Item) -> SharedMessage | None:
        if isinstance(item, Delivery):
            return item.shared(self._wrap)
        wrapped = None if self._wrap is None else self._wrap(item)
        return None if wrapped is None else SharedMessage(wrapped)

    # ---- as its member's holder --------------------------------------------------------------

    def wake(self) -> None:
        """Have the queue pumped soon; end a wait for room that has become pointless."""
        if self._stage is _FREE:
            self._pump.put(self)
        if self._member.queue.is_cut or self._core.is_closed:
            self._waiting.cancel()
            self._work.wake()

    @property
    def is_excused(self) -> bool:
        """Whether the app's own sending is before us, while the peer has taken all."""
        return self._room.is_held_by_app

    def has_progressed(self) -> bool:
        """Tell whether the peer has taken something, or had nothing to take."""
        return self._room.has_progressed()
