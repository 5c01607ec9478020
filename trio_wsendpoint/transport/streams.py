"""The seam between a connection and what carries its bytes.

A connection prefers to read and write without waiting, and to wait only when it has to: that
costs a system call instead of a task switch, and it can be done where a user's cancellation must
not tear anything.  A stream that can do so is a `NonBlockingStream`.  Any other stream is read and
written by the connection's tasks, with the methods of `trio.abc.Stream`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Sequence

import trio

__all__ = ["NonBlockingStream"]


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
