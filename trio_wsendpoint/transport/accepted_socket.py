"""The stream of a socket that a server accepts itself."""

from __future__ import annotations

import contextlib
import socket

import trio

from trio_wsendpoint.transport.sockets import SocketTransport

__all__ = ["AcceptedSocket"]


#: Bytes that the system holds for a peer and has not sent, before it takes no more.  At the 16 KiB
#: that a `trio.SocketStream` sets, a message of 1 MiB takes 1.3 times as long, because its writer
#: is woken for each 16 KiB.  Without a bound it would be up to 4 MiB for each slow peer.
UNSENT = 1024 * 1024

#: What is set for each socket: small writes leave at once, and the bound of what is unsent.
_OPTIONS = [(socket.TCP_NODELAY, 1)]
if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
    _OPTIONS.append((trio.socket.TCP_NOTSENT_LOWAT, UNSENT))


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
