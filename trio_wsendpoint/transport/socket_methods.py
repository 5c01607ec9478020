"""What the streams of sockets have in common: waiting, their end, and what an error tells."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

import trio

from trio_wsendpoint.transport.stream_methods import StreamMethods

__all__ = ["SocketMethods"]


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
