"""The `async with` block of a connection.

Imported by `serving`, `server`, `client` and `testing`, which open connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal

from trio_wsendpoint.connection import Connection
from trio_wsendpoint.nurseries import BlockNursery
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["ConnectionContext"]


class ConnectionContext(AbstractAsyncContextManager[Connection]):
    """The scope of one connection: opened by `open_connection`, closed when the block is left.

    After the block has ended the connection is closed in order: with 1000, or with 1011 if the
    block raised.  If it was cancelled (or interrupted), the peer is told 1001, as far as that
    takes no waiting.  An error of the block comes out as it is, in no group.
    """

    def __init__(self, open_connection: Callable[[], Awaitable[Connection]]) -> None:
        self._open_connection = open_connection
        self._connection: Connection
        self._nursery: BlockNursery

    async def __aenter__(self) -> Connection:
        self._connection = await self._open_connection()
        self._nursery = BlockNursery()
        self._connection._tasks.start(await self._nursery.enter())
        return self._connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        leaving = exc
        try:
            await self._wind_down(exc)
        except BaseException as error:  # noqa: BLE001 - it leaves through the nursery
            leaving = error
        await self._nursery.leave(exc, leaving)
        return False

    async def _wind_down(self, exc: BaseException | None) -> None:
        if exc is None:
            await self._connection.aclose()
        elif isinstance(exc, Exception):
            await self._connection.aclose(CloseCode.INTERNAL_ERROR)
        else:
            await self._connection._tasks.say_goodbye()
