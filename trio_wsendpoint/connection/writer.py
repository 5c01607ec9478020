"""Bytes of the session to the stream: at once where that takes no waiting, else by a task.

A frame that has begun is finished, whichever task is cancelled: `flush` does not wait, and the
writer task is shielded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

import trio

from trio_wsendpoint.session.outbox import Batch
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["Writer", "Writing"]

#: Batches that `flush` writes before it leaves the rest to the task, which lets others run.
FLUSHES = 8
#: Bytes given at a time to a stream that does not tell how many of them the peer has taken: twice
#: as many after each piece that was taken soon, half after one that was not.
FIRST = 1024
FEWEST = 64
MOST = 16384
#: The part of `Timeouts.write` that is soon.
SOON = 1 / 32

_STREAM_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError)


class Writing(Enum):
    """Which task writes: set before a batch is taken out, until the stream has taken it.

    `SYNC`: a task that sends, or whichever task the session asked to write; it does not wait.
    `TASK`: the writer task, which may wait.
    """

    __hash__ = object.__hash__

    IDLE = "no task"
    SYNC = "without waiting"
    TASK = "the writer task"


class Writer:
    """Writes for one connection.

    `act` does what the session asks for, `start` starts the task.
    """

    __slots__ = (
        "_act",
        "_clock",
        "_is_called",
        "_patience",
        "_piece",
        "_rest",
        "_session",
        "_start",
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
        *,
        act: Callable[[], None],
        start: Callable[[str, Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._session = session
        self._stream = stream
        self._transport = transport
        self._act = act
        self._start = start
        self._clock = trio.lowlevel.current_clock()
        self._work = Waiter()  # the task waits here for something to write
        self._is_called = False  # the task has been woken and has not found everything written
        self.writing = Writing.IDLE
        self._rest: memoryview | None = None  # what the stream has not taken of a batch
        self._piece = FIRST  # bytes that the stream is given next, if it has to wait
        self._patience = patience  # `Timeouts.write`, in seconds

    # ---- without waiting ---------------------------------------------------------------------

    @property
    def is_free(self) -> bool:
        """Whether a message may be written at once, because nothing is before it."""
        return (
            self.writing is Writing.IDLE
            and self._rest is None
            and self._transport is not None
            and not self._session.outbox.is_failed
        )

    def write_message(self, data: bytes, *, has_more: bool) -> None:
        """Write a message that the session encoded, while `is_free`.

        `has_more`: the app has more to answer.  The message then waits a little, so that answers
        leave together (1.7 times cheaper with 32 messages in flight).
        """
        session, transport = self._session, self._transport
        if has_more and session.cork(data):
            self.call()
            return
        if transport is None:
            raise RuntimeError("this stream has to wait")
        data = session.hand_out(data)
        self.writing = Writing.SYNC
        sent = self._offer(transport, data)
        self.writing = Writing.IDLE
        if sent == len(data):
            session.outbox.note_sent(len(data))
        elif sent is not None:
            self._keep(data, sent)

    def flush(self) -> None:
        """Write what waits as far as that takes no waiting; the task writes the rest."""
        if self.writing is not Writing.IDLE:
            return  # a callback asks for it, or the task is about to
        session, transport = self._session, self._transport
        if transport is None or self._rest is not None:
            self.call()
            return
        for _ in range(FLUSHES):
            self.writing = Writing.SYNC
            batch = session.next_batch(self._clock.current_time())
            sent = None if batch is None else self._offer(transport, batch)
            self.writing = Writing.IDLE
            if batch is None or sent is None:
                return
            if not self._keep(batch, sent):
                return
            if session.outbox.is_empty:
                return
        self.call()

    def _offer(self, transport: NonBlockingStream, batch: Batch | memoryview) -> int | None:
        """Return how many bytes of `batch` the stream took; None if it failed."""
        try:
            if isinstance(batch, tuple):
                return transport.send_parts_nowait(batch)
            return transport.send_nowait(batch)
        except _STREAM_ERRORS as error:
            self._break(error)
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
            self._session.fail_internally(error)
            self._break(error)
        return None

    def _break(self, error: Exception) -> None:
        self._rest = None
        self._session.lose_writing(error, self._clock.current_time())

    def _keep(self, batch: Batch, sent: int) -> bool:
        """Note what the stream took; return whether that was all, else the task writes the rest."""
        self._session.note_sent(sent, self._clock.current_time())
        self._rest = _rest_of(batch, sent)
        if self._rest is None:
            return True
        self.call()
        return False

    def call(self) -> None:
        """Let the task write what waits."""
        if not self._is_called:
            self._is_called = True
            self._start("writer", self.run)
            self._work.wake()

    def wake(self) -> None:
        """Let the task look whether anything will follow."""
        self._work.wake()

    # ---- the task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until our last frame has left, or nothing can be written any more."""
        session = self._session
        try:
            while not session.outbox.is_failed:
                self.writing = Writing.TASK
                if self._rest is None:
                    batch = session.next_batch(self._clock.current_time())
                    if batch is not None:
                        self._rest = memoryview(
                            b"".join(batch) if isinstance(batch, tuple) else batch
                        )
                if self._rest is not None:
                    await self._write_rest(self._rest)
                    self._act()
                    continue
                self.writing = Writing.IDLE
                if session.outbox.is_done:
                    return
                self._is_called = False
                self._act()
                if not self._is_called:
                    await self._work.wait()
        finally:
            self.writing = Writing.IDLE

    async def _write_rest(self, rest: memoryview) -> None:
        session, transport = self._session, self._transport
        session.note_sent(0, self._clock.current_time())  # its deadline begins
        while rest:
            if session.has_wakes:
                self._act()
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
                self._rest = rest or None
                session.note_sent(sent, self._clock.current_time())
        if transport is not None:
            await trio.lowlevel.checkpoint()  # a peer that always takes more starves the others

    async def _wait_writable(self, transport: NonBlockingStream) -> int | None:
        """Wait for room; return 0, or None if the stream failed."""
        try:
            await transport.wait_writable()
        except _STREAM_ERRORS as error:
            self._break(error)
            return None
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
            self._session.fail_internally(error)
            self._break(error)
            return None
        return 0

    async def _send_piece(self, rest: memoryview) -> int | None:
        """Send no more than even a slow peer takes in time; return its bytes, or None."""
        piece = rest[: self._piece]
        began = self._clock.current_time()
        try:
            await self._stream.send_all(piece)
        except _STREAM_ERRORS as error:
            self._break(error)
            return None
        except Exception as error:  # noqa: BLE001 - of a stream that is no good
            self._session.fail_internally(error)
            self._break(error)
            return None
        is_soon = self._clock.current_time() - began <= self._patience * SOON
        self._piece = min(2 * self._piece, MOST) if is_soon else max(self._piece // 2, FEWEST)
        return len(piece)


def _rest_of(batch: Batch, sent: int) -> memoryview | None:
    """Return what is left of `batch` behind its first `sent` bytes, or None."""
    if not isinstance(batch, tuple):
        return memoryview(batch)[sent:] if sent < len(batch) else None
    payload = batch[-1]
    begun = sent - sum(map(len, batch)) + len(payload)
    if begun < 0:
        return memoryview(b"".join(batch))[sent:]
    return memoryview(payload)[begun:] if begun < len(payload) else None
