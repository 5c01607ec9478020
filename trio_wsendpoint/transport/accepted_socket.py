"""The stream of a socket that a server accepts itself."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

import trio
from trio.lowlevel import Abort

from trio_wsendpoint.transport.poller import DATA, Poller
from trio_wsendpoint.transport.stream_methods import StreamMethods

__all__ = ["AcceptedSocket"]

#: Bytes that the system holds for a peer and has not sent, before it takes no more.  At the 16 KiB
#: that a `trio.SocketStream` sets, a message of 1 MiB takes 1.3 times as long, because its writer
#: is woken for each 16 KiB.  Without a bound it would be up to 4 MiB for each slow peer.
UNSENT = 1024 * 1024

#: What is set for each socket: small writes leave at once, and the bound of what is unsent.
_OPTIONS = [(socket.TCP_NODELAY, 1)]
if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
    _OPTIONS.append((trio.socket.TCP_NOTSENT_LOWAT, UNSENT))


class AcceptedSocket(StreamMethods, trio.abc.HalfCloseableStream):
    """The stream of a socket that was accepted just now, and that no other object has.

    It does itself what a `trio.SocketStream` does: `_Accepter` in `server/listening.py` says what
    that saves.  With a `poller` it waits there to read, once that pays; the poller wakes, and
    never reads.  `names` are those of both ends, the peer's first; by default the socket is asked
    for them when they are.  Raises `OSError` if the socket is no good; then the socket is the
    caller's to close.
    """

    __slots__ = (
        "_descriptor",
        "_made",
        "_names",
        "_noted",
        "_plain",
        "_poller",
        "_readers",
        "_writers",
    )

    def __init__(
        self,
        accepted: socket.socket,
        poller: Poller | None = None,
        names: tuple[object, object] | None = None,
    ) -> None:
        super().__init__()
        # Not for a Unix socket, nor for one whose peer has gone.
        with contextlib.suppress(OSError):
            for option, value in _OPTIONS:
                accepted.setsockopt(socket.IPPROTO_TCP, option, value)
        accepted.setblocking(False)
        self._plain = accepted
        self._names = names
        self._descriptor = accepted.fileno()
        self._made: trio.socket.SocketType | None = None
        self._readers = self._writers = 0  # tasks that wait with Trio
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
            data = self._plain.recv(max_bytes)
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
            size = self._plain.recv_into(room)
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
            return self._plain.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def send_parts_nowait(self, parts: Sequence[bytes | memoryview]) -> int:
        """Give the system as much as it takes of all of them."""
        try:
            return self._plain.sendmsg(parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._broken(error) from error

    def send_eof_nowait(self) -> bool:
        """End our bytes; ending them again is no error."""
        self.check_open()
        if self._sending is not None:
            try:
                self._plain.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise self._broken(error) from error
            self._sending = None
        return True

    def _broken(self, error: OSError) -> Exception:
        if self._plain.fileno() < 0:
            return _closed()
        return trio.BrokenResourceError(f"socket connection broken: {error}")

    # ---- waiting -----------------------------------------------------------------------------

    # The coroutine of what waits, and none around it: 0.2 KiB less for an idle connection.
    def wait_readable(self) -> Coroutine[Any, Any, None]:
        """Wait until there is something to read.

        If cancelled: nothing has changed.
        Raises: `trio.ClosedResourceError`, `trio.BusyResourceError`.
        """
        poller = self._poller
        if self._noted or poller is None or not poller.takes(self._descriptor, self):
            return self._wait_with_trio()
        if self._readers:
            raise trio.BusyResourceError("another task waits to read from this socket")
        return poller.wait(self._descriptor, self)

    @trio.lowlevel.enable_ki_protection
    async def _wait_with_trio(self) -> None:
        """Wait until there is something to read, without the poller."""
        self.check_open()
        if self._noted:
            await trio.lowlevel.checkpoint()
        else:
            self._readers += 1
            try:
                await trio.lowlevel.wait_readable(self._descriptor)
            except trio.ClosedResourceError:  # by `interrupt`, or by the end
                pass
            finally:
                self._readers -= 1
        self.check_open()

    def check_open(self) -> None:
        """Raise `trio.ClosedResourceError` if it is closed."""
        if self._plain.fileno() < 0:
            raise _closed()

    def abort_wait(self, raise_cancel: object) -> Abort:
        """Let the task that waits with the poller be cancelled."""
        if self._poller is not None:
            self._poller.leave(self._descriptor)
        return Abort.SUCCEEDED

    def note_events(self, events: int) -> None:
        """Hear of events from the poller."""
        self._noted |= events

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
        if self._poller is not None:
            self._poller.wake(self._descriptor)
        # To tell the system costs the same whether or not a task waits.
        if self._readers or self._writers:
            trio.lowlevel.notify_closing(self._descriptor)

    # ---- the other methods of a stream -------------------------------------------------------

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket, as a `trio.SocketStream` has it.

        Any task can close that, and the poller would not hear of it: this stream waits with Trio
        from now on.
        """
        if self._made is None:
            self._leave_poller()
            self._made = trio.socket.from_stdlib_socket(self._plain)
        return self._made

    def names(self) -> tuple[object, object]:
        """Return the names of both ends, the peer's first; raises `OSError` if it has gone."""
        return self._names or (self._plain.getpeername(), self._plain.getsockname())

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

    @trio.lowlevel.enable_ki_protection
    def close_nowait(self) -> bool:
        """Close the socket, and wake the tasks that wait."""
        plain = self._plain
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


def _closed() -> trio.ClosedResourceError:
    return trio.ClosedResourceError("this socket was already closed")
