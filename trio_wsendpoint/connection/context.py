"""The `async with` block of a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.course import start, wind_down
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import Instrument
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside

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

    `open_connection` is given this context, whose `nursery` there is by then.  What it returns is
    started with `begin`, unless it has called that itself, to go on with a connection that works:
    what it raises after that closes the connection as the block would.
    """

    __slots__ = ("_block", "_connection", "_instruments", "_open_connection", "_use")

    def __init__(
        self,
        open_connection: Callable[[ConnectionContext], Awaitable[Connection]],
        instruments: Sequence[Instrument] = (),
    ) -> None:
        self._open_connection = open_connection
        self._instruments = instruments
        # Once it has begun.
        self._connection: Connection | None = None
        self._block = BlockNursery()
        self._use = BlockUse("a connection is opened once: call the function again for another")

    @property
    def nursery(self) -> trio.Nursery:
        """Where the tasks of the connection run; raises `RuntimeError` before it is entered."""
        return self._block.nursery

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Connection:
        self._use.begin()
        await self._block.enter()
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
        start(connection, self.nursery, HeartbeatTask(self.nursery), self._instruments)
        self._use.open()

    async def _leave_for(self, error: BaseException | None) -> BaseException | None:
        """Leave the block, in which `error` was raised, if any; return what else comes up."""
        left: BaseException | None = None
        try:
            if self._connection is None:
                pass
            elif self._use.is_open:
                await wind_down(self._connection, error)
            else:
                await _give_up(self._connection)
        except BaseException as failure:  # noqa: BLE001 - it is raised when the tasks have ended
            left = failure
        return await self._block.leave() or left

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, exc_type: object, exc: BaseException | None, traceback: object
    ) -> Literal[False]:
        raise_beside(exc, await self._leave_for(exc))
        return False


async def _give_up(connection: Connection) -> None:
    """Close the stream of a connection that cannot be started, and end its tasks."""
    tasks = connection.tasks
    with trio.CancelScope(shield=True):  # nothing here waits for the peer
        tasks.abort()
        await trio.aclose_forcefully(tasks.stream)
