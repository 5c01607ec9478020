"""Bytes of the session to the stream: at once where that takes no waiting, else by a task.

A frame that has begun is finished, whichever task is cancelled: `flush` does not wait, and the
writer task is shielded.
"""

from __future__ import annotations

from enum import Enum

import trio

from trio_wsendpoint.connection.waits import Driver
from trio_wsendpoint.session.outbox import Batch
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Writer", "Writing"]

#: Batches that `flush` writes; the rest is the task's, between whose batches other tasks run.
FLUSHES = 8
#: Bytes given at a time to a stream that does not tell how many of them the peer has taken: twice
#: as many after each piece that was taken soon, half after one that was not.  A large piece is
#: cheap, a small one shows progress: over a memory pipe 1 MiB took 2.9 ms of CPU time with `MOST`,
#: 26 ms with pieces of 1 KiB.
FIRST = 1024
FEWEST = 64
MOST = 16384
#: A piece was taken soon if that took no more than this part of `Timeouts.write`.
SOON = 1 / 32

_NO_BYTES = memoryview(b"")


class Writing(Enum):
    """Which task writes: set before a batch is taken out, until the stream has taken it.

    `IDLE`: none, and a message may be written at once.  `SYNC`: one that does not wait.  `TASK`:
    the writer task, which may wait; over a stream that has to wait it is always that one.
    `OVER`: none any more, because the stream broke.
    """

    __hash__ = object.__hash__

    IDLE = "no task"
    SYNC = "without waiting"
    TASK = "the writer task"
    OVER = "no task any more"


class Writer:
    """Writes for one connection.

    `driver` does what the session asks for and starts the task.
    """

    __slots__ = (
        "_clock",
        "_driver",
        "_patience",
        "_piece",
        "_rest",
        "_session",
        "_stream",
        "_transport",
        "_work",
        "writing",
    )

    def __init__(
        self,
        session: Session,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        patience: float,
        driver: Driver,
    ) -> None:
        self._session = session
        self._stream = stream
        self._transport = transport
        self._driver = driver
        self._clock = trio.lowlevel.current_clock()
        self._work: Waiter | None = None  # the task waits here for something to write
        # Which task writes; set by that task, read by each that has something to write.
        self.writing = Writing.TASK if transport is None else Writing.IDLE
        self._rest = _NO_BYTES  # what the stream has not taken of a batch
        self._piece = FIRST  # bytes that the stream is given next, if it has to wait
        self._patience = patience  # `Timeouts.write`, in seconds

    # ---- without waiting ---------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write a message that was encoded, while no task writes."""
        transport = self._transport
        if transport is None:
            raise RuntimeError("this stream has to wait")
        outbox = self._session.outbox
        if outbox.corked_bytes:
            self._write_all(transport, outbox.hand_out(data))
            return
        # To hand out the message first takes 4 Python calls more; an echo has 22 in all.
        try:
            sent = transport.send_nowait(data)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            outbox.hand_out(data)
            self._break(error)
        else:
            if sent == len(data):
                outbox.note_message(sent)
                return
            self._keep(outbox.hand_out(data), sent)
        self._driver.act()

    def _write_all(self, transport: NonBlockingStream, data: bytes) -> None:
        """Write bytes that were handed out; the task writes what the stream does not take."""
        self.writing = Writing.SYNC
        sent = self._offer(transport, data)
        if sent == len(data):
            self.writing = Writing.IDLE
            self._session.outbox.note_sent(len(data))
            return
        if sent is not None:
            self._keep(data, sent)
        self._driver.act()

    def flush(self) -> None:
        """Write what waits as far as that takes no waiting; the task writes the rest."""
        session, transport = self._session, self._transport
        if transport is None:
            self.call()
            return
        for _ in range(FLUSHES):
            if self.writing is not Writing.IDLE:
                return  # a callback asks for it, or the task writes on
            self.writing = Writing.SYNC
            batch = session.next_batch(self._clock.current_time())
            if batch is None:
                self.writing = Writing.IDLE
                return
            sent = self._offer(transport, batch)
            if sent is not None:
                self._keep(batch, sent)
            if session.outbox.is_empty:
                return
        self.call()

    def _offer(self, transport: NonBlockingStream, batch: Batch | memoryview) -> int | None:
        """Return how many bytes of `batch` the stream took; None if it failed."""
        try:
            if isinstance(batch, tuple):
                return transport.send_parts_nowait(batch)
            return transport.send_nowait(batch)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._break(error)
        return None

    def _break(self, error: Exception) -> None:
        """Tell the session that the stream broke, or raised what no stream should."""
        self._rest = _NO_BYTES
        self.writing = Writing.OVER
        if not isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError)):
            self._session.fail_internally(error)
        self._session.lose_writing(error, self._clock.current_time())

    def _keep(self, batch: Batch, sent: int) -> None:
        """Note what the stream took; the task writes the rest, if there is any."""
        self._session.note_sent(sent, self._clock.current_time())
        self._rest = _rest_of(batch, sent)
        if not self._rest:
            self.writing = Writing.IDLE
        else:
            self.writing = Writing.TASK
            self.call()

    def call(self) -> None:
        """Call the writer task, which writes what waits."""
        work = self._work
        if work is None:
            self._driver.start_task("writer", self.run)
        elif work.task is not None:
            work.wake()

    def wake(self) -> None:
        """Wake the writer task, which ends if nothing will follow."""
        if self._work is not None:
            self._work.wake()

    # ---- the task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until our last frame has left, or nothing can be written any more."""
        session = self._session
        work = self._work = Waiter()
        is_free = Writing.TASK if self._transport is None else Writing.IDLE
        while self.writing is not Writing.OVER and session.outbox.end is None:
            self.writing = Writing.TASK
            if self._rest or self._begin_batch():
                if self._rest:
                    await self._write_rest(self._rest)
                self._driver.act()
                if self._transport is not None and self.writing is Writing.TASK:
                    self.writing = Writing.IDLE
                    await trio.lowlevel.checkpoint()  # or a peer that takes all starves the others
                continue
            self.writing = is_free
            if session.outbox.is_done:
                return
            self._driver.act()
            if session.outbox.is_empty and not session.outbox.is_done:
                await work.wait()
            else:  # as `act` has called for it, or an end has come
                await trio.lowlevel.checkpoint()

    def _begin_batch(self) -> bool:
        """Take out what waits, if anything does; what the stream does not take is the rest.

        Returns whether there was anything.
        """
        session, transport = self._session, self._transport
        batch = session.next_batch(self._clock.current_time())
        if batch is None:
            return False
        if transport is None:
            self._rest = memoryview(b"".join(batch) if isinstance(batch, tuple) else batch)
            return True
        sent = self._offer(transport, batch)
        if sent is not None:
            session.note_sent(sent, self._clock.current_time())
            self._rest = _rest_of(batch, sent)
        return True

    async def _write_rest(self, rest: memoryview) -> None:
        session, transport = self._session, self._transport
        session.note_sent(0, self._clock.current_time())  # its deadline begins
        while rest:
            if session.wakes:
                self._driver.act()
            if transport is None:
                sent = await self._send_piece(rest)
            else:
                sent = self._offer(transport, rest)
                if sent == 0:
                    sent = await self._wait_writable(transport)
            if sent is None:
                return
            if sent:
                rest = rest[sent:]
                self._rest = rest or _NO_BYTES  # an empty view would keep the batch
                session.note_sent(sent, self._clock.current_time())

    async def _wait_writable(self, transport: NonBlockingStream) -> int | None:
        """Wait for room; return 0, or None if the stream failed."""
        try:
            await transport.wait_writable()
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._break(error)
            return None
        return 0

    async def _send_piece(self, rest: memoryview) -> int | None:
        """Send no more than even a slow peer takes in time; return its bytes, or None."""
        piece = rest[: self._piece]
        began = self._clock.current_time()
        try:
            await self._stream.send_all(piece)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self._break(error)
            return None
        is_soon = self._clock.current_time() - began <= self._patience * SOON
        self._piece = min(2 * self._piece, MOST) if is_soon else max(self._piece // 2, FEWEST)
        return len(piece)


def _rest_of(batch: Batch, sent: int) -> memoryview:
    """Return what is left of `batch` behind its first `sent` bytes."""
    if not isinstance(batch, tuple):
        return memoryview(batch)[sent:] if sent < len(batch) else _NO_BYTES
    payload = batch[-1]
    begun = sent - sum(map(len, batch)) + len(payload)
    if begun < 0:
        return memoryview(b"".join(batch))[sent:]
    return memoryview(payload)[begun:] if begun < len(payload) else _NO_BYTES
