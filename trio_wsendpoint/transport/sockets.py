"""What the streams of sockets have in common, and the non-blocking form of one of Trio's."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, TypeVar

import trio

from trio_wsendpoint.transport.streams import NonBlockingStream, StreamMethods

__all__ = ["SocketMethods", "SocketTransport", "non_blocking"]

S = TypeVar("S", bound=socket.socket | trio.socket.SocketType)


class SocketMethods(StreamMethods, trio.abc.HalfCloseableStream, Generic[S]):
    """A base for the stream of `of`, a socket that does not block."""

    __slots__ = ("_descriptor", "_readers", "_socket", "_writers")

    def __init__(self, of: S) -> None:
        super().__init__()
        self._socket = of
        self._descriptor = of.fileno()
        self._readers = self._writers = 0  # tasks that wait with Trio

    def check_open(self) -> None:
        """Raise `trio.ClosedResourceError` if it is closed."""
        if self._socket.fileno() < 0:
            raise _closed()

    def _broken(self, error: OSError) -> Exception:
        """Return what to raise for `error` of the system."""
        if self._socket.fileno() < 0:
            return _closed()
        return trio.BrokenResourceError(f"socket connection broken: {error}")

    def send_eof_nowait(self) -> bool:
        """End our bytes; ending them again is no error."""
        self.check_open()
        if self._sending is not None:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise self._broken(error) from error
            self._sending = None
        return True

    async def send_eof(self) -> None:
        """End our bytes.

        If cancelled: they have not ended.
        Raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`, `trio.BusyResourceError`.
        """
        with self._sending or contextlib.nullcontext():
            await trio.lowlevel.checkpoint()
            self.send_eof_nowait()

    async def aclose(self) -> None:
        """Close the socket.

        If cancelled: it is closed all the same.
        Raises: nothing.
        """
        self.close_nowait()
        await trio.lowlevel.checkpoint()

    # The coroutine of what waits, and none around it: 0.2 KiB less for an idle connection.
    def wait_readable(self) -> Coroutine[Any, Any, None]:
        """Wait until there is something to read.

        If cancelled: nothing has changed.
        Raises: `trio.ClosedResourceError`, `trio.BusyResourceError`.
        """
        return self._wait_to_read()

    @trio.lowlevel.enable_ki_protection
    async def _wait_to_read(self) -> None:
        """Wait with Trio until there is something to read."""
        self.check_open()
        self._readers += 1
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except trio.ClosedResourceError:  # by `interrupt`, or by the end
            pass
        finally:
            self._readers -= 1
        self.check_open()

    @trio.lowlevel.enable_ki_protection
    async def wait_writable(self) -> None:
        """Wait until the system takes more.

        If cancelled: nothing has changed.
        Raises: as `wait_readable`.
        """
        self.check_open()
        self._writers += 1
        try:
            await trio.lowlevel.wait_writable(self._descriptor)
        except trio.ClosedResourceError:
            pass
        finally:
            self._writers -= 1
        self.check_open()

    def interrupt(self) -> None:
        """Wake the tasks that wait."""
        # To tell the system costs the same whether or not a task waits.  Once the socket is
        # closed, which has woken them, its number may be another file's.
        if (self._readers or self._writers) and self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._descriptor)


def _closed() -> trio.ClosedResourceError:
    return trio.ClosedResourceError("this socket was already closed")


class SocketTransport(SocketMethods[trio.socket.SocketType]):
    """The non-blocking form of a `trio.SocketStream`, over the same file descriptor.

    The descriptor stays the stream's own.  After any task has closed the stream, nothing is read
    from the number, which may be another file's by then.
    """

    __slots__ = ()

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream.socket)

    # `os.read` and `os.write`, not a second socket object: that would close the descriptor when
    # it is collected, and by then it may be another file's.  The number is asked for each time:
    # it is -1 once the socket is closed.

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what the system has received, `b""` at the end, or None."""
        try:
            return os.read(self._socket.fileno(), max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._broken(error) from error

    def receive_into_nowait(self, room: memoryview) -> int | None:
        """Read into `room` what the system has received; return how much, 0 at the end."""
        try:
            return os.readv(self._socket.fileno(), (room,))
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._broken(error) from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the system as much as it takes."""
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def send_parts_nowait(self, parts: Sequence[bytes | memoryview]) -> int:
        """Give the system as much as it takes of all of them."""
        try:
            return os.writev(self._socket.fileno(), parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def send_eof_nowait(self) -> bool:
        """End our bytes, unless the stream's own `send_eof` has."""
        if self._socket.did_shutdown_SHUT_WR:
            self.check_open()
            return True
        return super().send_eof_nowait()

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
