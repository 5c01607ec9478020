"""The seam between a connection and what carries its bytes.

A connection prefers to read and write without waiting, and to wait only when it has to: that
costs a system call instead of a task switch, and it can be done where a user's cancellation must
not tear anything.  A stream that can do so is a `NonBlockingStream`.  `SocketTransport` makes one
of a Trio socket stream; an `AcceptedSocket` is one by itself.  Any other stream is read and
written by the connection's tasks, with the methods of `trio.abc.Stream`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from abc import abstractmethod
from collections.abc import Sequence
from socket import SHUT_WR

import trio

__all__ = ["AcceptedSocket", "NonBlockingStream", "SocketTransport", "non_blocking"]


#: Bytes that the system holds for a peer and has not sent, before it takes no more.  At the 16 KiB
#: that a `trio.SocketStream` sets, a message of 1 MiB takes 1.3 times as long, because its writer
#: is woken for each 16 KiB.  Without a bound it would be up to 4 MiB for each slow peer.
UNSENT = 1024 * 1024

#: What is set for each socket: small writes leave at once, and the bound of what is unsent.
_OPTIONS = [(socket.TCP_NODELAY, 1)]
if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
    _OPTIONS.append((trio.socket.TCP_NOTSENT_LOWAT, UNSENT))


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

    @abstractmethod
    async def wait_readable(self) -> None:
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


class SocketTransport(NonBlockingStream, trio.abc.HalfCloseableStream):
    """The non-blocking form of a `trio.SocketStream`, over the same file descriptor.

    The descriptor stays the stream's own.  After any task has closed the stream, nothing is read
    from the number, which may be another file's by then.
    """

    __slots__ = ("_descriptor", "_made", "_socket", "_waiting")

    _made: trio.SocketStream | None

    def __init__(self, stream: trio.SocketStream) -> None:
        self._made = stream
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

    @property
    def _stream(self) -> trio.SocketStream:
        if self._made is None:
            self._made = trio.SocketStream(self._socket)
        return self._made

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


class AcceptedSocket(SocketTransport):
    """The stream of a socket that was accepted just now, and that no other object has.

    It is a `SocketTransport` without the stream, which is made when it is asked for anything that
    only a `trio.SocketStream` does, and it needs fewer steps for all else.  Raises `OSError` if
    the socket is no good.
    """

    __slots__ = ("_plain",)

    def __init__(self, accepted: socket.socket) -> None:
        for option, value in _OPTIONS:
            # Not for each kind of socket, nor for one whose peer has gone.
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, option, value)
        self._plain = accepted
        self._socket = trio.socket.from_stdlib_socket(accepted)  # which closes it
        self._descriptor = accepted.fileno()
        self._made = None
        self._waiting = 0

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket, as a `trio.SocketStream` has it."""
        return self._socket

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what the system has received, `b""` at the end, or None."""
        try:
            return self._plain.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._broken(error) from error

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the system as much as it takes."""
        try:
            return self._plain.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    async def wait_readable(self) -> None:
        """Wait until there is something to read."""
        if self._plain.fileno() < 0:
            self._check_open()
        self._waiting += 1
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except trio.ClosedResourceError:  # by `interrupt`, or by the end
            self._check_open()
        finally:
            self._waiting -= 1

    def _broken(self, error: OSError) -> Exception:
        self._check_open()
        return trio.BrokenResourceError(f"socket connection broken: {error}")

    def _check_open(self) -> None:
        if self._plain.fileno() < 0:
            raise trio.ClosedResourceError("this socket was already closed")


def non_blocking(stream: trio.abc.Stream) -> NonBlockingStream | None:
    """Return the non-blocking form of `stream`, or None if it has none."""
    if isinstance(stream, NonBlockingStream):
        return stream
    if isinstance(stream, trio.SocketStream) and os.name == "posix":
        # Elsewhere a socket is no file descriptor.
        return SocketTransport(stream)
    return None
