"""One direction of a connection in memory: a bounded buffer, and what goes wrong with it.

Nothing here waits for anything but `park_*`.
"""

from __future__ import annotations

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.testing.faults import Faults

__all__ = ["Pipe"]


class Pipe:
    """Bytes on their way from one side to the other, `capacity` of them at most.

    `faults` are those of the sending side; those that strike at a byte are told to `struck`,
    which the streams at both ends share.
    """

    def __init__(self, capacity: int, faults: Faults) -> None:
        self._buffer = bytearray()
        self._capacity = capacity
        self._faults = faults
        self._stall_at = faults.stall_at
        self._given = 0  # bytes that the receiver has been given
        self.taken = 0  # bytes that the sender has been relieved of
        self.is_ended = False  # the receiver reads the end, after what is in the buffer
        self.receive_error: OSError | None = None  # the receiver gets this instead
        self.send_error: OSError | None = None
        self.is_lossy = False  # what is sent goes nowhere
        self.readers = ParkingLot()
        self.writers = ParkingLot()

    # ---- what the receiver does --------------------------------------------------------------

    @property
    def readable(self) -> int:
        """How many bytes the receiver may take now."""
        if self._stall_at is None:
            return len(self._buffer)
        return min(len(self._buffer), self._stall_at - self._given)

    @property
    def is_stalled(self) -> bool:
        """Whether what was sent so far does not arrive."""
        return self._stall_at is not None and self._given >= self._stall_at

    def give(self, size: int) -> bytes | None:
        """Give the receiver up to `size` bytes; b"" at the end; None if it has to wait.

        Raises `trio.BrokenResourceError` if the connection is broken.
        """
        if self.readable:
            data = bytes(self._buffer[: min(size, self.readable)])
            del self._buffer[: len(data)]
            self._given += len(data)
            self.writers.unpark_all()
            return data
        if self.receive_error is not None:
            raise trio.BrokenResourceError(str(self.receive_error)) from self.receive_error
        return b"" if self.is_ended and not self.is_stalled else None

    # ---- what the sender does ----------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many bytes the sender may be relieved of now."""
        return self._capacity - len(self._buffer)

    def take(self, data: memoryview) -> int:
        """Relieve the sender of the beginning of `data`; return its length: 0 if it has to wait.

        Raises `trio.BrokenResourceError` if the connection is broken.
        """
        if self.send_error is not None:
            raise trio.BrokenResourceError(str(self.send_error)) from self.send_error
        if self.is_lossy:
            self.taken += len(data)
            return len(data)
        size = min(len(data), self.room)
        fault = self.next_fault
        if fault is not None:
            size = min(size, fault - self.taken)
        self._buffer += data[:size]
        self.taken += size
        if size:
            self.readers.unpark_all()
        return size

    @property
    def next_fault(self) -> int | None:
        """After how many bytes in all something happens, if something does."""
        at = (self._faults.half_close_at, self._faults.tear_at, self._faults.reset_at)
        if self.is_lossy or self.is_ended or self.receive_error is not None:
            return None
        return min((position for position in at if position is not None), default=None)

    # ---- what happens to it ------------------------------------------------------------------

    def end(self) -> None:
        """Let the receiver read the end, after what has been sent."""
        self.is_ended = True
        self.wake()

    def lose(self) -> None:
        """Let the receiver read the end, and take what is sent from now on nowhere."""
        self.is_lossy = True
        self.end()

    def break_sending(self, error: OSError) -> None:
        """Let the sender get `error` from now on."""
        if self.send_error is None:
            self.send_error = error
        self.wake()

    def break_receiving(self, error: OSError) -> None:
        """Let the receiver get `error`, after what has been sent; a stall does not hold it up."""
        if self.receive_error is None and not self.is_ended:
            self.receive_error = error
        self.wake()

    def discard(self) -> bool:
        """Forget what is in the buffer; return whether anything was."""
        was_full = bool(self._buffer)
        self._buffer.clear()
        return was_full

    def resume(self) -> None:
        """End the stall, or prevent it."""
        self._stall_at = None
        self.wake()

    def wake(self) -> None:
        """Let everyone who waits look again."""
        self.readers.unpark_all()
        self.writers.unpark_all()
