"""One message, chunk by chunk: for messages that are too large, or too slow, to hold whole.

`SendStream` is what `connection.send_stream()` returns, `ReceiveStream` what
`connection.receive_stream()` does.  Each is entered once, with `async with`.
"""

from __future__ import annotations

from typing import Literal, Self

import trio

from trio_wsendpoint.connection.receiving import Receiving
from trio_wsendpoint.connection.sending import Sending
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.message import Message

__all__ = ["ReceiveStream", "SendStream"]


class SendStream:
    """Sends one message in chunks; other messages wait until it has ended, pings do not.

    Entering waits for its turn as `Connection.send` does; a task that sends a stream and would
    wait for its end gets `RuntimeError`.  Leaving the block ends the message.
    Leaving it by an error, or cancelled: if no chunk was sent, nothing is.  Else the connection is
    closed with 1011, for half a message must not be taken for a whole one, and cannot be taken
    back.
    """

    def __init__(
        self, sending: Sending, kind: Literal["text", "binary"], *, compress: bool
    ) -> None:
        if kind not in {"text", "binary"}:
            raise ValueError(f'a message is "text" or "binary", not {kind!r}')
        self.type = kind
        self._sending = sending
        self._compress = compress
        self._block = BlockUse("a stream is entered once: make another with send_stream()")

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        self._block.begin()
        await self._sending.begin_stream(self.type, compress=self._compress)
        self._block.open()
        return self

    @trio.lowlevel.enable_ki_protection
    async def send(self, chunk: str | Buffer) -> None:
        """Send the next chunk: `str` of a text, bytes of a binary message, of any size.

        Wait while `Limits.send_buffer` bytes or more are queued.

        If cancelled: nothing of the chunk was or will be sent, and the stream can go on.
        Raises: `TypeError` for another type; as `Connection.send` when the connection ends;
            `RuntimeError` outside of the block, also if another task leaves it meanwhile.
        """
        await self._sending.send_chunk(self._block, chunk)

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, exc_type: object, exc: BaseException | None, traceback: object
    ) -> Literal[False]:
        if self._block.is_open:
            self._block.close()
            self._sending.end_stream(self.type, is_whole=exc is None)
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

    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving
        self._block = BlockUse("a stream is entered once: make another with receive_stream()")
        self.type = ""

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        self._block.check_new()  # if entering fails, nothing of a message was taken: it is new
        self.type = await self._receiving.begin_stream()
        self._block.open()
        return self

    def __aiter__(self) -> Self:
        self._block.check_open("this stream cannot receive")
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> str | bytes:
        """Return the next piece; if cancelled, it takes none.

        Raises `StopAsyncIteration` at the end of the message; if the connection ends before that,
        `ConnectionClosedLocally` or `ConnectionLost`, however orderly the peer has closed; and
        `RuntimeError` outside of the block, also if another task leaves it meanwhile.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._block.check_open("this stream cannot receive")
            if self._block.is_done:
                raise StopAsyncIteration
            part = self._receiving.take_part()
            if isinstance(part, Message):  # the message is complete; this is what is left of it
                self._block.finish()
                if part.size:
                    await self._receiving.take_turns()
                    return part.payload
            elif part is not None:
                await self._receiving.take_turns()
                return part.decode() if self.type == "text" else part
            else:
                await self._receiving.wait_for_part()

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, exc_type: object, exc: BaseException | None, traceback: object
    ) -> Literal[False]:
        is_whole = self._block.is_done
        self._block.close()
        self._receiving.end_stream(skip=not is_whole)
        return False
