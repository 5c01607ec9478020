"""The `async with` block of a connection.

Imported by `serving`, `server`, `client` and `testing`, which open connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import Hooks, Instrument
from trio_wsendpoint.connection.nurseries import BlockNursery
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["ConnectionContext"]


class ConnectionContext(AbstractAsyncContextManager[Connection]):
    """The scope of one connection: opened by `open_connection`, closed when the block is left.

    After the block has ended the connection is closed in order: with 1000, or with 1011 if the
    block raised.  If it was cancelled (or interrupted), the peer is told 1001, as far as that
    takes no waiting; until the block is left, a shielded `finally` in it can still send, and
    close with a code of its own.  An error of the block comes out as it is, in no group.

    `instruments` are told from when the connection is open until it has ended.

    The tasks of the connection run in `nursery`, looked after by `heartbeat`; by default both are
    its own.
    """

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

    async def __aenter__(self) -> Connection:
        self._connection = await self._open_connection()
        nursery = self._nursery
        if nursery is None:
            self._block = BlockNursery()
            nursery = await self._block.enter()
        if self._instruments:
            _listen(self._connection, self._instruments)
        self._connection._tasks.start(nursery, self._heartbeat or HeartbeatTask(nursery))
        return self._connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if self._block is None:
            await self._wind_down(exc)
            return False
        leaving = exc
        try:
            await self._wind_down(exc)
        except BaseException as error:  # noqa: BLE001 - it leaves through the nursery
            leaving = error
        await self._block.leave(exc, leaving)
        return False

    async def _wind_down(self, exc: BaseException | None) -> None:
        farewell = self._connection._tasks.farewell
        if farewell is not None and (exc is None or is_the_end(exc)):
            await self._connection.aclose(*farewell)
        elif exc is None:
            await self._connection.aclose()
        elif isinstance(exc, Exception):
            await self._connection.aclose(CloseCode.INTERNAL_ERROR)
        else:
            await self._connection._tasks.say_goodbye()


def _listen(connection: Connection, instruments: Sequence[Instrument]) -> None:
    """Bind what `instruments` listen to, and tell them that the connection is open."""
    hooks = Hooks(connection)
    connection.endpoint.listen(
        frame_sent=hooks.bind(instruments, "frame_sent"),
        frame_received=hooks.bind(instruments, "frame_received"),
        message_sent=hooks.bind(instruments, "message_sent"),
        message_received=hooks.bind(instruments, "message_received"),
    )
    tasks = connection._tasks
    tasks.pings.listener = hooks.bind(instruments, "round_trip")
    closed = hooks.bind(instruments, "connection_closed")
    if closed is not None:
        tasks.end_listener = lambda: closed(connection.statistics())
    opened = hooks.bind(instruments, "connection_opened")
    if opened is not None:
        opened()
