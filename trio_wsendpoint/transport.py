"""The seam between a connection and what carries its bytes.

A connection prefers to read and write without waiting, and to wait only when it has to: that
costs a system call instead of a task switch, and it can be done where a user's cancellation must
not tear anything.  A stream that can do so is a `NonBlockingStream`; for any other the methods of
`trio.abc.Stream` do.

Imported by everything that touches a stream's bytes, and by those who write streams.
"""

from __future__ import annotations

from abc import abstractmethod

import trio

__all__ = ["NonBlockingStream"]


class NonBlockingStream(trio.abc.Stream):
    """A stream that also reads and writes without waiting.

    The two `*_nowait` methods never wait and are no checkpoints.  `wait_readable` and
    `wait_writable` are; they may return early, and must be tried again then.  One task at a time
    waits for either: a second gets `trio.BusyResourceError`.  All of them raise
    `trio.BrokenResourceError` when the stream broke and `trio.ClosedResourceError` after we have
    closed it, which also wakes those who wait.
    """

    @abstractmethod
    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return 1 to `max_bytes` bytes, `b""` at the end of the stream, None if none are here."""

    @abstractmethod
    def send_nowait(self, data: bytes | memoryview) -> int:
        """Take the beginning of `data` and return its length in bytes: 0 if none can be taken."""

    @abstractmethod
    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` may have something to return, or to raise."""

    @abstractmethod
    async def wait_writable(self) -> None:
        """Wait until `send_nowait` may take something, or raise."""
