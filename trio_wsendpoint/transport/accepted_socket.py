"""The stream of a socket that a server accepts itself."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

import trio
from trio.lowlevel import Abort

from trio_wsendpoint.transport.poller import DATA, Poller
from trio_wsendpoint.transport.sockets import SocketMethods

__all__ = ["AcceptedSocket"]

#: Bytes that the system holds for a peer and has not sent, before it takes no more.  At the 16 KiB
#: that a `trio.SocketStream` sets, a message of 1 MiB takes 1.3 times as long, because its writer
#: is woken for each 16 KiB.  Without a bound it would be up to 4 MiB for each slow peer.
UNSENT = 1024 * 1024

#: What is set for each socket: small writes leave at once, and the bound of what is unsent.
_OPTIONS = [(socket.TCP_NODELAY, 1)]
if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
    _OPTIONS.append((trio.socket.TCP_NOTSENT_LOWAT, UNSENT))


class AcceptedSocket(SocketMethods[socket.socket]):
    """The stream of a socket that was accepted just now, and that no other object has.

    It does itself what a `trio.SocketStream` does: `_Accepter` in `server/listening.py` says what
    that saves.  With a `poller` it waits there to read, once that pays; the poller wakes, and
    never reads.  `names` are those of both ends, the peer's first; by default the socket is asked
    for them when they are.  Raises `OSError` if the socket is no good; then the socket is the
    caller's to close.
    """

    __slots__ = ("_made", "_names", "_noted", "_poller")

    def __init__(
        self,
        accepted: socket.socket,
        poller: Poller | None = None,
        names: tuple[object, object] | None = None,
    ) -> None:
        super().__init__(accepted)
        # Not for a Unix socket, nor for one whose peer has gone.
        with contextlib.suppress(OSError):
            for option, value in _OPTIONS:
                accepted.setsockopt(socket.IPPROTO_TCP, option, value)
        accepted.setblocking(False)
        self._names = names
        self._made: trio.socket.SocketType | None = None
        # Events that the poller has seen since the socket was found empty.  A short read finds it
        # empty if nothing but data was seen; after an end, an error or urgent data more may follow.
        self._noted = 0
        self._poller = poller
        if poller is not None:
            poller.add()

    # ---- without waiting ---------------------------------------------------------------------

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what the system has received, `b""` at the end, or None."""
        try:
            data = self._socket.recv(max_bytes)
        except BlockingIOError:
            self._noted = 0
            return None
        except OSError as error:
            raise self._broken(error) from error
        if self._noted == DATA and len(data) < max_bytes:
            self._noted = 0
        return data

    def receive_into_nowait(self, room: memoryview) -> int | None:
        """Read into `room` what the system has received; return how much, 0 at the end."""
        try:
            size = self._socket.recv_into(room)
        except BlockingIOError:
            self._noted = 0
            return None
        except OSError as error:
            raise self._broken(error) from error
        if self._noted == DATA and size < len(room):
            self._noted = 0
        return size

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the system as much as it takes."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def send_parts_nowait(self, parts: Sequence[bytes | memoryview]) -> int:
        """Give the system as much as it takes of all of them."""
        try:
            return self._socket.sendmsg(parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    # ---- waiting -----------------------------------------------------------------------------

    def wait_readable(self) -> Coroutine[Any, Any, None]:
        """Wait until there is something to read, by the poller if that takes the socket."""
        if self._noted:
            return self._be_readable()
        poller = self._poller
        if poller is None or not poller.takes(self._descriptor, self):
            return self._wait_to_read()
        if self._readers:
            raise trio.BusyResourceError("another task waits to read from this socket")
        return poller.wait(self._descriptor, self)

    async def _be_readable(self) -> None:
        self.check_open()
        await trio.lowlevel.checkpoint()
        self.check_open()

    def abort_wait(self, raise_cancel: object) -> Abort:
        """Let the task that waits with the poller be cancelled."""
        if self._poller is not None:
            self._poller.leave(self._descriptor)
        return Abort.SUCCEEDED

    def note_events(self, events: int) -> None:
        """Hear of events from the poller."""
        self._noted |= events

    def interrupt(self) -> None:
        """Wake the tasks that wait."""
        if self._poller is not None:
            self._poller.wake(self._descriptor)
        super().interrupt()

    # ---- the other methods of a stream -------------------------------------------------------

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket, as a `trio.SocketStream` has it.

        Any task can close that, and the poller would not hear of it: this stream waits with Trio
        from now on.
        """
        if self._made is None:
            self._leave_poller()
            self._made = trio.socket.from_stdlib_socket(self._socket)
        return self._made

    def names(self) -> tuple[object, object]:
        """Return the names of both ends, the peer's first; raises `OSError` if it has gone."""
        return self._names or (self._socket.getpeername(), self._socket.getsockname())

    @trio.lowlevel.enable_ki_protection
    def close_nowait(self) -> bool:
        """Close the socket, and wake the tasks that wait."""
        plain = self._socket
        if plain.fileno() >= 0:
            self._leave_poller()
            # Also for a task that has waited once: the system may know the number still, if a
            # child of this process has it too.
            trio.lowlevel.notify_closing(plain)
            plain.close()
        return True

    def _leave_poller(self) -> None:
        if self._poller is not None:
            # Before the socket is closed: see `Poller.remove`.
            self._poller.remove(self._descriptor, self)
            self._poller = None
