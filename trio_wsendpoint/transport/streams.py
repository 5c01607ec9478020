"""The seam between a connection and what carries its bytes.

A connection prefers to read and write without waiting, and to wait only when it has to: that
costs a system call instead of a task switch, and it can be done where a user's cancellation must
not tear anything.  A stream that can do so is a `NonBlockingStream`.  Any other stream is read and
written by the connection's tasks, with the methods of `trio.abc.Stream`.  `StreamMethods` has those
methods for a stream that need not wait.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Sequence

import trio

from trio_wsendpoint.transport.one_task import OneTask

__all__ = ["CHUNK", "NonBlockingStream", "StreamMethods"]

#: Bytes asked for at a time, if the caller does not say.
CHUNK = 65536


class NonBlockingStream(trio.abc.Stream):
    """A stream that also reads and writes without waiting.

    The methods `*_nowait`, to read, write, end and close, never wait and are no checkpoints.
    `wait_readable` and `wait_writable` are; they may return early, and must be tried again then.
    One task at a time waits for either: a second gets `trio.BusyResourceError`.  All of them raise
    `trio.BrokenResourceError` when the stream broke and `trio.ClosedResourceError` after we have
    closed it, which also wakes the tasks that wait.
    """

    __slots__ = ()

    @abstractmethod
    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return 1 to `max_bytes` bytes, `b""` at the end of the stream, None if none are here."""

    def receive_into_nowait(self, room: memoryview) -> int | None:
        """As `receive_nowait`, into `room`: return how many bytes, 0 at the end of the stream."""
        data = self.receive_nowait(len(room))
        if data is None:
            return None
        room[: len(data)] = data
        return len(data)

    @abstractmethod
    def send_nowait(self, data: bytes | memoryview) -> int:
        """Take the beginning of `data` and return its length in bytes: 0 if none can be taken."""

    def send_parts_nowait(self, parts: Sequence[bytes | memoryview]) -> int:
        """As `send_nowait`, of the joined `parts`: for a stream that need not join them."""
        return self.send_nowait(b"".join(parts))

    # An async method, or one that returns what another has to wait for.
    @abstractmethod
    def wait_readable(self) -> Awaitable[None]:
        """Wait until `receive_nowait` may have something to return, or to raise."""

    @abstractmethod
    async def wait_writable(self) -> None:
        """Wait until `send_nowait` may take something, or raise."""

    @abstractmethod
    def interrupt(self) -> None:
        """Wake the tasks in `wait_readable` and `wait_writable`, which then return early."""

    def send_eof_nowait(self) -> bool:
        """End our bytes, as `send_eof()` of the stream would; False if only that can.

        Raises as `send_nowait`.
        """
        return False

    def close_nowait(self) -> bool:
        """Close at once, as a cancelled `aclose` would; False if that takes waiting.

        Raises nothing; closing again is no error.
        """
        return False


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
