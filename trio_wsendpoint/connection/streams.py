"""One message, chunk by chunk: for messages that are too large, or too slow, to hold whole.

`SendStream` is what `connection.send_stream()` returns, `ReceiveStream` what
`connection.receive_stream()` does; each is entered with `async with`, and leaving it early has an
outcome of its own, told below.  Imported by `connection`.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import trio

from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.opcodes import CloseCode

if TYPE_CHECKING:  # it imports this module, to make streams
    from trio_wsendpoint.connection.connection import Connection

__all__ = ["ReceiveStream", "SendStream"]


class SendStream:
    """Sends one message in chunks; other messages wait until it has ended, pings do not.

    Entering waits for its turn as `Connection.send` does; a task that sends a stream and would
    wait for its end gets `RuntimeError`.  Leaving the block ends the message.
    Leaving it by an error, or cancelled: if no chunk was sent, nothing is; else the connection is
    closed with 1011, for half a message must not be taken for a whole one, and cannot be taken
    back.
    """

    def __init__(
        self, connection: Connection, kind: Literal["text", "binary"], *, compress: bool
    ) -> None:
        if kind not in {"text", "binary"}:
            raise ValueError(f'a message is "text" or "binary", not {kind!r}')
        self.type = kind
        self._connection = connection
        self._compress = compress
        self._is_entered = False

    async def __aenter__(self) -> Self:
        await self._connection._wait_for_turn()
        self._connection.endpoint.begin_message(self.type, compress=self._compress)
        self._connection._streaming_task = trio.lowlevel.current_task()
        self._is_entered = True
        return self

    async def send(self, chunk: str | Buffer) -> None:
        """Send the next chunk: `str` of a text, bytes of a binary message, of any size.

        Waits while `Limits.send_buffer` bytes or more are queued.  If cancelled, nothing of the
        chunk was or will be sent, and the stream can go on.  Raises `TypeError`, and what
        `Connection.send` raises when the connection ends.
        """
        tasks = self._connection._tasks
        if not self._is_entered:
            raise RuntimeError("a stream is entered with `async with`, once, and then over")
        await trio.lowlevel.checkpoint_if_cancelled()
        while tasks.is_open and not tasks.writer.has_space:
            await tasks.writer.chunk_room.wait()
        if not tasks.is_open:
            raise tasks.error(sending=True)
        try:
            tasks.endpoint.send_chunk(chunk)
        finally:
            tasks.settle()
            tasks.writer.wake_a_sender()  # another task may have a chunk that waits
        await self._connection._take_turns()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        tasks = self._connection._tasks
        self._is_entered = False
        self._connection._streaming_task = None
        if exc is None:
            if not tasks.is_open:
                raise tasks.error(sending=True)
            tasks.endpoint.send_chunk("" if self.type == "text" else b"", final=True)
            self._connection._messages_sent += 1
        elif tasks.endpoint.is_open and not tasks.endpoint.cancel_message():
            tasks.endpoint.close(CloseCode.INTERNAL_ERROR, "a message was left unfinished")
        tasks.settle()
        tasks.writer.wake_a_sender()
        return False


class ReceiveStream:
    """Receives one message in pieces, as an async iterator of `str` (text) or `bytes`.

    Entering waits until a message has begun; `type` is then "text" or "binary" (or that of an
    extension's frames).  A piece is what has come, however that was cut into frames: a text's
    pieces have whole characters.  At most `Limits.receive_buffer` bytes (and the last read) wait
    for the next piece; `Limits.message_size` holds for the whole message.

    Leaving the block before the end skips the rest of this message, whatever its size within
    that limit, and holds none of it; the connection goes on with the next message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_over = True
        self.type = ""

    async def __aenter__(self) -> Self:
        connection, tasks = self._connection, self._connection._tasks
        connection._check_single_receiver()
        await trio.lowlevel.checkpoint_if_cancelled()
        connection._is_receiving = tasks.inbox.is_streaming = True
        tasks.inbox.is_message_wanted = False  # whatever an earlier receive() has wanted
        try:
            while not tasks.inbox.messages and tasks.endpoint.incoming.partial_type is None:
                await self._wait()
        except BaseException:
            self._leave()
            raise
        self._is_over = False
        self.type = (
            tasks.inbox.messages[0].type
            if tasks.inbox.messages
            else tasks.endpoint.incoming.partial_type or ""
        )
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next piece; cancelled, it takes none.

        Raises `StopAsyncIteration` at the end of the message, and if the connection ends before
        it, `ConnectionClosedLocally` or `ConnectionLost`, however orderly the peer has closed.
        """
        tasks = self._connection._tasks
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._is_over:
            message = tasks.inbox.take()
            if message is not None:  # the message is complete; this is what is left of it
                self._is_over = True
                self._connection._messages_received += 1
                if message.size:
                    await self._connection._take_turns()
                    return message.payload
            elif part := tasks.inbox.take_part():
                await self._connection._take_turns()
                return part.decode() if self.type == "text" else part
            else:
                await self._wait()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        """Wait for more of the message, or for its beginning."""
        if self._connection._tasks.inbox.is_receiver_waiting:
            raise trio.BusyResourceError("another task is receiving from this stream")
        self._connection._check_receivable(in_message=not self._is_over)
        await self._connection._tasks.reader.wait_for_app(in_parts=True)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        tasks = self._connection._tasks
        if not self._is_over:
            self._is_over = True
            if tasks.inbox.take() is None:
                tasks.endpoint.incoming.skip()
        self._leave()
        return False

    def _leave(self) -> None:
        tasks = self._connection._tasks
        self._connection._is_receiving = tasks.inbox.is_streaming = False
        tasks.inbox.app.wake()
