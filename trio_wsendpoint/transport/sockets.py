"""The non-blocking form of a stream that an application gives: of a socket stream of Trio's."""

from __future__ import annotations

import os
from collections.abc import Sequence

import trio

from trio_wsendpoint.transport.socket_methods import SocketMethods
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["SocketTransport", "non_blocking"]


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
