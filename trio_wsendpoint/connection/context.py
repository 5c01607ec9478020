"""The `async with` block of a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Literal

import trio

from trio_wsendpoint.connection.block_use import BlockUse
from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import Instrument, listen
from trio_wsendpoint.connection.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.session.session import Owner

__all__ = ["ConnectionContext"]


class ConnectionContext:
    """The scope of one connection: opened by `open_connection`, closed when the block is left.

    After the block has ended the connection is closed in order: with 1000, or with 1011 if the
    block raised.  If it was cancelled (or interrupted), the peer is told 1001, if that takes
    no waiting; until the block is left, a shielded `finally` in it can still send, and
    close with a code of its own.  An error of the block comes out as it is, in no group.

    Leaving is a cancel point while it waits for the peer.  If the scope around the block is
    cancelled before the block is left in order, leaving does not wait, and raises `Cancelled` only
    if committed messages could not be sent.

    If messages that were committed could not be sent, leaving raises `ConnectionLost`, unless the
    block has raised something itself.

    It is entered once: a second time, or in another task, raises `RuntimeError` before anything
    is sent.

    `instruments` are told from when the connection is open until it has ended.

    The tasks of the connection run in `nursery`, and `heartbeat` keeps its deadlines; by default
    both are its own.

    `open_connection` is given this context, whose `nursery` there is by then.  What it returns is
    started with `begin`, unless it has called that itself, to go on with a connection that works:
    what it raises after that closes the connection as the block would.
    """

    __slots__ = (
        "_block",
        "_connection",
        "_heartbeat",
        "_instruments",
        "_nursery",
        "_open_connection",
        "_use",
    )

    def __init__(
        self,
        open_connection: Callable[[ConnectionContext], Awaitable[Connection]],
        instruments: Sequence[Instrument] = (),
        nursery: trio.Nursery | None = None,
        heartbeat: HeartbeatTask | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._instruments = instruments
        # Once it has begun.
        self._connection: Connection | None = None
        # A server has one for all its connections, and one heartbeat.
        self._nursery = nursery
        self._heartbeat = heartbeat
        self._block: BlockNursery | None = None
        self._use = BlockUse("a connection is opened once: call the function again for another")

    @property
    def nursery(self) -> trio.Nursery:
        """Where the tasks of the connection run; raises `RuntimeError` before it is entered."""
        if self._nursery is None:
            raise RuntimeError("the block has not been entered")
        return self._nursery

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Connection:
        self._use.begin()
        if self._nursery is None:
            block = BlockNursery()
            self._nursery = await block.enter()
            self._block = block
        try:
            connection = await self._open_connection(self)
            if self._connection is None:
                self.begin(connection)
        except BaseException as error:
            raise_beside(error, await self._leave_for(error))
            raise
        return connection

    @trio.lowlevel.enable_ki_protection
    def begin(self, connection: Connection) -> None:
        """Start the tasks of `connection`, and tell the instruments that it is open."""
        self._connection = connection
        connection.tasks.start(self.nursery, self._heartbeat or HeartbeatTask(self.nursery))
        if self._instruments:
            listen(connection, self._instruments)
        self._use.open()

    async def _leave_for(self, error: BaseException) -> BaseException | None:
        """Leave a block that cannot be entered, because of `error`; return what else comes up."""
        left: BaseException | None = None
        try:
            if self._use.is_open:
                await self._wind_down(error)
            elif self._connection is not None:
                await _give_up(self._connection)
        except BaseException as failure:  # noqa: BLE001 - it is returned
            left = failure
        if self._block is not None:
            left = await self._block.leave() or left
        return left

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        leaving: BaseException | None = None
        try:
            await self._wind_down(exc)
        except BaseException as error:  # noqa: BLE001 - it is raised when the tasks have ended
            leaving = error
        if self._block is not None:
            leaving = await self._block.leave() or leaving
        raise_beside(exc, leaving)
        return False

    async def _wind_down(self, exc: BaseException | None) -> None:
        connection = self._connection
        if connection is None:
            return
        tasks, session = connection.tasks, connection.tasks.session
        is_end = exc is not None and is_the_end(exc, connection.endpoint.closing)
        try:
            if exc is None and await self._look_for_cancellation():
                # What the block returns is kept: the next checkpoint tells the app, as after a
                # nursery's block.
                await tasks.say_goodbye()
                if tasks.session.outbox.dropped:
                    await trio.lowlevel.checkpoint_if_cancelled()
            elif exc is None or (is_end and session.owner is Owner.DISMISSED):
                await connection.aclose(*session.farewell)
            elif isinstance(exc, Exception):
                await connection.aclose(CloseCode.INTERNAL_ERROR)
            else:
                await tasks.say_goodbye()
        except Exception:
            if exc is None:
                raise
            # The block's own error says more than the messages that could not be sent.

    async def _look_for_cancellation(self) -> bool:
        """Return whether the scope around is cancelled.

        A Ctrl-C that comes now ends the connection before it is raised.

        `trio.current_effective_deadline()` tells it too, but goes through all scopes around by
        recursion, which ends at some hundred blocks within each other.
        """
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:  # the app's next checkpoint raises it again
            return True
        except BaseException:
            if self._connection is not None:
                await self._connection.tasks.say_goodbye()
            raise
        return False


async def _give_up(connection: Connection) -> None:
    """Close the stream of a connection that cannot be started, and end its tasks."""
    tasks = connection.tasks
    with trio.CancelScope(shield=True):  # nothing here waits for the peer
        tasks.abort()
        await trio.aclose_forcefully(tasks.stream)
