"""A conversation: sends what is given, tells what comes, and closes in order.

It knows neither where its messages come from nor where they go; `connect`, `record` and `replay`
are made of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import trio

from trio_wsendpoint.cli.output import Output, json_message
from trio_wsendpoint.cli.telling import milliseconds
from trio_wsendpoint.client.reconnecting_connection import ReconnectingConnection
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.connection.connection import Connection

__all__ = ["Conversation", "Manner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """When a conversation ends, and how.

    `count`: after so many messages that came.  `linger`: seconds, after the input has ended and
    since the last message that came; with `count` it is not looked at.  `code` and `reason` are
    what it closes with.
    """

    count: int | None = None
    linger: float = 1.0
    code: int = 1000
    reason: str = ""


class Conversation:
    """A connection in conversation, or a channel that outlives its connections.

    `on_message` is told of each message, with "sent" or "received", for a record.
    """

    def __init__(
        self,
        connection: Connection | ReconnectingConnection,
        output: Output,
        manner: Manner,
        on_message: Callable[[str, str | bytes], object] | None = None,
    ) -> None:
        self.connection = connection
        self._output = output
        self._manner = manner
        self._on_message = on_message
        self._scope = trio.CancelScope()
        self._farewell: tuple[int, str] = (manner.code, manner.reason)
        self._received = 0
        self._sent_at: float | None = None
        self._is_input_over = False

    @property
    def current(self) -> Connection | None:
        """The connection over which messages go now; None while a channel has none."""
        if isinstance(self.connection, ReconnectingConnection):
            return self.connection.connection
        return self.connection

    def stop(self, code: int | None = None, reason: str = "") -> None:
        """End the conversation: close with `code`, by default that of the manner."""
        if code is not None:
            self._farewell = (code, reason)
        self._scope.cancel()

    async def run(self, messages: trio.MemoryReceiveChannel[str | bytes]) -> None:
        """Talk until the peer closes, the manner says so, or `stop` does; then close.

        Returns when the connection has ended.  Raises `ConnectionLost` if messages that were
        committed could not be sent; `GaveUp` if a channel ends by itself.
        """
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all, messages)
                await self._receive_all()
                self._scope.cancel()
        await self._output.written()
        await self.connection.aclose(*self._farewell)

    async def send(self, message: str | bytes) -> None:
        """Send one message, and tell of it; nothing is done if the connection has ended."""
        try:
            await self.connection.send(message)
        except ConnectionClosed:
            return
        self._sent_at = trio.current_time()
        if self._on_message is not None:
            self._on_message("sent", message)
        self._output.event("message", direction="sent", **json_message(message))

    async def _send_all(self, messages: trio.MemoryReceiveChannel[str | bytes]) -> None:
        async for message in messages:
            await self.send(message)
        self._is_input_over = True
        self._renew()

    async def _receive_all(self) -> None:
        while True:
            try:
                message = await self.connection.receive()
            except ConnectionClosed:
                return
            self._received += 1
            if self._on_message is not None:
                self._on_message("received", message)
            self._output.message(message, self._about(message))
            if self._received == self._manner.count:
                return
            self._renew()
            await self._output.room()

    def _about(self, message: str | bytes) -> str:
        kind = "text" if isinstance(message, str) else "binary"
        size = len(message.encode() if isinstance(message, str) else message)
        told = f"{kind}, {size:,} B"
        if self._sent_at is not None:
            told += f", {milliseconds(trio.current_time() - self._sent_at)} after ours"
        return told

    def _renew(self) -> None:
        if self._is_input_over and self._manner.count is None:
            linger = self._manner.linger
            if not math.isinf(linger):
                self._scope.deadline = trio.current_time() + linger
