"""The `async with` block of a connection."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Literal

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import Instrument, listen
from trio_wsendpoint.connection.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.protocol.opcodes import CloseCode

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
    """

    __slots__ = (
        "_block",
        "_connection",
        "_heartbeat",
        "_instruments",
        "_is_entered",
        "_nursery",
        "_open_connection",
    )

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        instruments: Sequence[Instrument] = (),
        nursery: trio.Nursery | None = None,
        heartbeat: HeartbeatTask | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._instruments = instruments
        self._connection: Connection
        # A server has one for all its connections, and one heartbeat.
        self._nursery = nursery
        self._heartbeat = heartbeat
        self._block: BlockNursery | None = None
        self._is_entered = False  # by `__aenter__`, for good

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Connection:
        if self._is_entered:
            raise RuntimeError("a connection is opened once: call the function again for another")
        self._is_entered = True
        connection = self._connection = await self._open_connection()
        try:
            nursery = self._nursery
            if nursery is None:
                block = BlockNursery()
                nursery = await block.enter()
                self._block = block
            tasks = connection.tasks
            tasks.start(nursery, self._heartbeat or HeartbeatTask(nursery))
            if self._instruments:
                listen(connection, self._instruments)
        except BaseException as error:
            raise_beside(error, await self._give_up())
            raise
        return connection

    async def _give_up(self) -> BaseException | None:
        """Close the stream of a connection whose block cannot be entered, and end its tasks."""
        tasks = self._connection.tasks
        left: BaseException | None = None
        with trio.CancelScope(shield=True):  # nothing here waits for the peer
            try:
                tasks.abort()
                await trio.aclose_forcefully(tasks.stream)
            except Exception as error:  # noqa: BLE001 - of a stream; returned unless more follows
                left = error
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
        connection, tasks = self._connection, self._connection.tasks
        farewell = tasks.session.farewell
        is_end = exc is not None and is_the_end(exc, connection.endpoint.closing)
        try:
            if exc is None and trio.current_effective_deadline() == -math.inf:
                # What the block returns is kept: the next checkpoint tells the app, as after a
                # nursery's block.
                await tasks.say_goodbye()
                if tasks.session.outbox.dropped:
                    await trio.lowlevel.checkpoint_if_cancelled()
            elif farewell is not None and (exc is None or is_end):
                await connection.aclose(*farewell)
            elif exc is None:
                await connection.aclose()
            elif isinstance(exc, Exception):
                await connection.aclose(CloseCode.INTERNAL_ERROR)
            else:
                await tasks.say_goodbye()
        except Exception:
            if exc is None:
                raise
            # The block's own error says more than the messages that could not be sent.
