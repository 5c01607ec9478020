"""The methods of a `trio.abc.Stream`, for a stream that has those that do not wait."""

from __future__ import annotations

import trio

from trio_wsendpoint.transport.one_task import OneTask
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["CHUNK", "StreamMethods"]

#: Bytes asked for at a time, if the caller does not say.
CHUNK = 65536


class StreamMethods(NonBlockingStream):
    """A base that sends and receives with `send_nowait` and `receive_nowait`, and waits between.

    `_sending` is the guard of those that send: None once our bytes have ended.
    """

    __slots__ = ("_sending",)

    def __init__(self) -> None:
        # Set here, and to None by a stream that can end its bytes.
        self._sending: OneTask | None = OneTask("sending over this stream")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return 1 to `max_bytes` bytes, `b""` at the end.

        If cancelled: nothing was taken.
        Raises: `ValueError`, `trio.BrokenResourceError`, `trio.ClosedResourceError`.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        await trio.lowlevel.checkpoint()
        while (data := self.receive_nowait(max_bytes or CHUNK)) is None:
            await self.wait_readable()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`.

        If cancelled: a part of it was sent.
        Raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`, `trio.BusyResourceError`.
        """
        with self._one_sender():
            await trio.lowlevel.checkpoint()
            rest = memoryview(bytes(data))
            while True:
                sent = self.send_nowait(rest)  # of no bytes too: it tells if we have closed
                rest = rest[sent:]
                if not rest:
                    return
                if not sent:
                    await self.wait_writable()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the stream takes more.

        If cancelled: nothing has changed.
        Raises: as `send_all`.
        """
        with self._one_sender():
            await self.wait_writable()

    def _one_sender(self) -> OneTask:
        if self._sending is None:
            raise trio.ClosedResourceError("our bytes were already ended")
        return self._sending
