"""Streams in memory with a bounded buffer, which chop, slow, stall, half-close, reset and tear.

There are two forms over the same pipe.  `MemoryStream` is a `trio.abc.HalfCloseableStream` and
nothing else, as a TLS stream is a plain one; `NonBlockingMemoryStream` also reads and writes
without waiting, as a socket does.  Both behave as Trio's own streams do: every async method is a
checkpoint; one task at a time may send and one may receive, another gets
`trio.BusyResourceError`; `trio.ClosedResourceError` after we have closed it, which wakes the
waiters; `trio.BrokenResourceError` when the other side, or the network, is gone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import Literal

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.testing.faults import Chopper, Faults
from trio_wsendpoint.testing.pipes import Pipe
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["MemoryStream", "NonBlockingMemoryStream", "Side"]

#: Which end of a connection a stream is.
Side = Literal["client", "server"]

#: Bytes that `receive_some()` returns at most if it is not told.
RECEIVE_SIZE = 65536


def os_error(number: int) -> OSError:
    """Return the `OSError` of this number, of its own class and with the system's words."""
    return OSError(number, os.strerror(number))


class _OneAtATime:
    """Lets one task in; another gets `trio.BusyResourceError`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_busy = False

    def __enter__(self) -> None:
        if self._is_busy:
            raise trio.BusyResourceError(f"another task is {self._what} this stream")
        self._is_busy = True

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_busy = False


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory, made by `MemoryNetwork`.

    `side` is "client" for the end that connected, "server" for the other.  `operations` counts
    what was asked of this end: each read, write, wait and end of sending, not its closing.
    `bytes_sent` is how many bytes it was relieved of.  `is_closed` says whether we have closed it.
    """

    def __init__(
        self,
        side: Side,
        incoming: Pipe,
        outgoing: Pipe,
        faults: Faults,
        on_operation: Callable[[MemoryStream], object] | None,
    ) -> None:
        self.side: Side = side
        self.operations = 0
        self.is_closed = False
        self._incoming = incoming
        self._outgoing = outgoing
        self._faults = faults
        self._on_operation = on_operation
        self._chopper = Chopper(faults)
        self._has_sent_eof = False
        self._failure: OSError | None = None
        self._idlers = ParkingLot()  # those for whom a slow stream takes its time
        self._sending = _OneAtATime("sending to")
        self._receiving = _OneAtATime("receiving from")
        self._strike()

    @property
    def bytes_sent(self) -> int:
        """How many bytes this end has sent, whether they have arrived or not."""
        return self._outgoing.taken

    # ---- trio.abc.HalfCloseableStream --------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`.

        If cancelled: an unknown part of it was sent.
        Raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`, `trio.BusyResourceError`.
        """
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._begin_operation()
            self._check_sendable()
            view = memoryview(data).cast("B")
            while view:
                await self._idle()
                self._check_sendable()
                size = self._put(view)
                view = view[size:]
                if not size:
                    await self._outgoing.writers.park()
                elif view:
                    await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for a byte, or sending fails.

        If cancelled: nothing has changed.
        Raises: as `send_all`.
        """
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._begin_operation()
            self._check_sendable()
            while self._is_sending_blocked:
                await self._outgoing.writers.park()
            self._check_sendable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return some bytes, `b""` at their end.

        If cancelled: none are taken.
        Raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`, `trio.BusyResourceError`;
            `TypeError` and `ValueError` for `max_bytes`.
        """
        if max_bytes is None:
            max_bytes = RECEIVE_SIZE
        elif not isinstance(max_bytes, int):
            raise TypeError(f"max_bytes must be an int, not {max_bytes!r}")
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            self._begin_operation()
            await self._idle()
            while True:
                self._check_open()
                data = self._incoming.give(self._chopper.limit(max_bytes))
                if data is not None:
                    return data
                await self._incoming.readers.park()

    async def send_eof(self) -> None:
        """End our bytes; the other side's still come.  A further call does nothing.

        If cancelled: the bytes have not ended.
        Raises: as `send_all`.
        """
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._end()

    async def aclose(self) -> None:
        """Close this end.

        The other side reads the end after what was sent; if we leave bytes of its own unread, it
        finds the connection reset instead, as with TCP.

        If cancelled: this end is closed all the same.
        Raises: nothing of its own.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    # ---- for tests ---------------------------------------------------------------------------

    def resume(self) -> None:
        """Let what this end sends arrive again, after `Faults.stall_at`, or in spite of it."""
        self._outgoing.resume()

    def reset(self) -> None:
        """Break the connection: both ends get `trio.BrokenResourceError`, when nothing is left."""
        for pipe in (self._incoming, self._outgoing):
            pipe.break_sending(os_error(errno.EPIPE))
            pipe.break_receiving(os_error(errno.ECONNRESET))

    def fail(self, error: OSError) -> None:
        """Let whatever this end does from now on raise `error`; the other end finds a reset."""
        if self._failure is None:
            self._failure = error
        self.reset()

    def __repr__(self) -> str:
        state = " closed" if self.is_closed else ""
        return f"<{type(self).__name__} {self.side}{state}>"

    # ---- what the forms share ----------------------------------------------------------------

    def _end(self) -> None:
        self._begin_operation()
        self._check_open()
        if self._has_sent_eof:
            return
        self._has_sent_eof = True
        if self._outgoing.send_error is not None:
            raise trio.BrokenResourceError from self._outgoing.send_error
        self._outgoing.end()

    def _begin_operation(self) -> None:
        """Count an operation, and break if it is the one that fails."""
        self.operations += 1
        if self._on_operation is not None and not self.is_closed:
            self._on_operation(self)
        if self.operations == self._faults.fail_at_operation:
            self.fail(os_error(errno.EIO))

    def _check_open(self) -> None:
        if self.is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._failure is not None:
            raise trio.BrokenResourceError(str(self._failure)) from self._failure

    def _check_sendable(self) -> None:
        self._check_open()
        if self._has_sent_eof:
            raise trio.ClosedResourceError("this stream's sending was ended")

    def _put(self, view: memoryview) -> int:
        size = self._outgoing.take(view[: self._chopper.limit(len(view))])
        self._strike()
        return size

    def _strike(self) -> None:
        """Let happen what is to happen after the bytes that were sent so far."""
        if self._outgoing.next_fault != self._outgoing.taken:
            return
        if self._faults.reset_at == self._outgoing.taken:
            self.reset()
        elif self._faults.tear_at == self._outgoing.taken:
            self._outgoing.end()
            self._outgoing.break_sending(os_error(errno.EPIPE))
            self._incoming.break_sending(os_error(errno.EPIPE))
            self._incoming.end()
        else:
            self._outgoing.lose()

    @property
    def _is_sending_blocked(self) -> bool:
        pipe = self._outgoing
        is_over = self.is_closed or self._failure is not None or pipe.send_error is not None
        return pipe.room <= 0 and not is_over and not pipe.is_lossy

    async def _idle(self) -> None:
        if self._faults.slow:
            with trio.move_on_after(self._faults.slow):
                await self._idlers.park()  # until we are closed, at most

    def close(self) -> None:
        """Close this end, as `aclose()` does, without a checkpoint."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._incoming.discard():
            self._outgoing.break_receiving(os_error(errno.ECONNRESET))
        else:
            self._outgoing.end()
        self._outgoing.wake()
        self._idlers.unpark_all()
        self._incoming.break_sending(os_error(errno.EPIPE))

    #: The name that `close` had before it was public.
    _close = close


class NonBlockingMemoryStream(MemoryStream, NonBlockingStream):
    """A `MemoryStream` that also reads and writes without waiting, as a socket does.

    With `Faults.slow`, each read and write has to be waited for.
    """

    _interruptions = 0
    _may_receive = False  # a slow stream was waited for
    _may_send = False

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what is here, `b""` at the end, None if nothing is."""
        self._begin_operation()
        self._check_open()
        if self._faults.slow and not self._may_receive:
            return None
        data = self._incoming.give(self._chopper.limit(max_bytes))
        self._may_receive = False
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Take the beginning of `data`, and return its length."""
        self._begin_operation()
        self._check_sendable()
        if self._faults.slow and not self._may_send:
            return 0
        self._may_send = False
        return self._put(memoryview(data).cast("B"))

    async def wait_readable(self) -> None:
        """Wait until there is something to receive, or receiving fails.

        If cancelled: nothing has changed.
        Raises: as `receive_some`.
        """
        with self._receiving:
            seen = self._interruptions
            await trio.lowlevel.checkpoint()
            self._begin_operation()
            await self._idle()
            while self._is_receiving_blocked and seen == self._interruptions:
                await self._incoming.readers.park()
            self._check_open()
            self._may_receive = True

    async def wait_writable(self) -> None:
        """Wait until there is room to send, or sending fails.

        If cancelled: nothing has changed.
        Raises: as `send_all`.
        """
        with self._sending:
            seen = self._interruptions
            await trio.lowlevel.checkpoint()
            self._begin_operation()
            await self._idle()
            while self._is_sending_blocked and seen == self._interruptions:
                await self._outgoing.writers.park()
            self._check_open()
            self._may_send = True

    def send_eof_nowait(self) -> bool:
        """As `send_eof`."""
        self._end()
        return True

    def close_nowait(self) -> bool:
        """Close it at once."""
        self.close()
        return True

    def interrupt(self) -> None:
        """Wake the tasks in `wait_readable` and `wait_writable`, which then return early."""
        self._interruptions += 1
        self._incoming.readers.unpark_all()
        self._outgoing.writers.unpark_all()
        self._idlers.unpark_all()

    @property
    def _is_receiving_blocked(self) -> bool:
        pipe = self._incoming
        is_over = self.is_closed or self._failure is not None or pipe.receive_error is not None
        is_at_end = pipe.is_ended and not pipe.is_stalled
        return not (pipe.readable or is_over or is_at_end)
