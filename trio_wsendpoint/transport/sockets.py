"""The non-blocking form of a stream that an application gives: of a socket stream of Trio's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from socket import SHUT_WR

import trio

from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["SocketTransport", "non_blocking"]


class SocketTransport(NonBlockingStream, trio.abc.HalfCloseableStream):
    """The non-blocking form of a `trio.SocketStream`, over the same file descriptor.

    The descriptor stays the stream's own.  After any task has closed the stream, nothing is read
    from the number, which may be another file's by then.
    """

    __slots__ = ("_descriptor", "_socket", "_stream", "_waiting")

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._socket = stream.socket
        self._descriptor = self._socket.fileno()
        self._waiting = 0  # tasks that wait

    # `os.read` and `os.write`, not a second socket object: that would close the descriptor when
    # it is collected, and by then it may be another file's.

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what the system has received, `b""` at the end, or None."""
        if self._socket.fileno() < 0:
            self._check_open()
        try:
            return os.read(self._descriptor, max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    def receive_into_nowait(self, room: memoryview) -> int | None:
        """Read into `room` what the system has received; return how much, 0 at the end."""
        self._check_open()
        try:
            return os.readv(self._descriptor, (room,))
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the system as much as it takes."""
        if self._socket.fileno() < 0:
            self._check_open()
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    def send_parts_nowait(self, parts: Sequence[bytes | memoryview]) -> int:
        """Give the system as much as it takes of all of them."""
        self._check_open()
        try:
            return os.writev(self._descriptor, parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this socket was already closed")

    async def wait_readable(self) -> None:
        """Wait until there is something to read."""
        if self._socket.fileno() < 0:
            self._check_open()
        self._waiting += 1
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except trio.ClosedResourceError:  # by `interrupt`, or by the end
            self._check_open()
        finally:
            self._waiting -= 1

    async def wait_writable(self) -> None:
        """Wait until the system takes more."""
        self._check_open()
        self._waiting += 1
        try:
            await trio.lowlevel.wait_writable(self._descriptor)
        except trio.ClosedResourceError:
            self._check_open()
        finally:
            self._waiting -= 1

    def interrupt(self) -> None:
        """Wake the tasks that wait."""
        # To tell the system costs the same whether or not a task waits.
        if self._waiting and self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._descriptor)

    # What a stream is asked for beside.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream's."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream's."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream's."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """As the stream's."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the socket."""
        await self._stream.aclose()

    def send_eof_nowait(self) -> bool:
        """As the stream's `send_eof`, which does not wait either."""
        self._check_open()
        if not self._socket.did_shutdown_SHUT_WR:
            try:
                self._socket.shutdown(SHUT_WR)
            except OSError as error:
                raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
        return True

    def close_nowait(self) -> bool:
        """Close the socket."""
        self._socket.close()
        return True


def non_blocking(stream: trio.abc.Stream) -> NonBlockingStream | None:
    """Return the non-blocking form of `stream`, or None if it has none."""
    if isinstance(stream, NonBlockingStream):
        return stream
    if isinstance(stream, trio.SocketStream) and os.name == "posix":
        # Elsewhere a socket is no file descriptor.
        return SocketTransport(stream)
    return None
