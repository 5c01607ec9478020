"""Frames from the write queue, joined, to the stream.

They leave at once where that takes no waiting, and the writer task sees to the rest.
A frame that has begun is finished, whoever is cancelled: `flush` does not wait, and the task is
shielded.  Each write of the task has a deadline of its own.  Only `tasks` imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.options import Limits, Timeouts
from trio_wsendpoint.protocol.frames import Frame, PingFrame
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiter, Waiters

if TYPE_CHECKING:  # it makes writers
    from trio_wsendpoint.connection.tasks import Tasks

__all__ = ["Writer"]

#: What is written at a time: frames joined, or a large one in pieces, its payload the last.
Batch = bytes | tuple[bytes | memoryview, ...]

#: Bytes joined into one write.
CHUNK = 65536
#: Bytes given at a time to a stream that does not say how much of them the peer has taken.
PIECE = 16384
#: Writes that `flush` makes before it leaves the rest to the task, which lets others run.
FLUSHES = 8


class Writer:
    """Writes for one connection, whose `tasks` it belongs to.

    `is_done` is whether nothing will be written any more, `error` is why, if it is not our Close
    frame that has left.
    """

    __slots__ = (
        "_endpoint",
        "_is_called",
        "_is_flushing",
        "_is_writing",
        "_limits",
        "_most_corked",
        "_rest",
        "_tasks",
        "_timeouts",
        "_work",
        "bytes_sent",
        "chunk_room",
        "corked",
        "corked_size",
        "error",
        "is_done",
        "room",
    )

    def __init__(self, tasks: Tasks, limits: Limits, timeouts: Timeouts) -> None:
        self._tasks = tasks
        self._endpoint = tasks.endpoint
        self._limits = limits
        self._timeouts = timeouts
        self._work = Waiter()  # the task waits here for something to write
        self._rest: memoryview | None = None  # of what `flush` has begun to write
        self._is_called = False  # the task has been woken
        self._is_writing = False  # it holds a frame that has begun
        self._is_flushing = False
        self.room = Waiters()  # send() waits here for its turn, and room in the write queue
        self.chunk_room = Waiters()  # the one that is sending in chunks waits here for room
        #: Messages, as the bytes of their frames, that wait for more before they are written.
        self.corked: list[bytes] | None = None
        self.corked_size = 0  # their bytes
        self._most_corked = min(CHUNK, limits.send_buffer)
        self.bytes_sent = 0
        self.error: Exception | None = None
        self.is_done = False

    # ---- without waiting ---------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Write what waits as far as that takes no waiting; the task writes the rest.

        Raises nothing: a stream that has broken is noted as `error`, one that raises what no
        stream should fails the connection, as it does in the task.
        """
        if self.is_done or self._is_flushing:
            return
        stream = self._tasks.non_blocking
        if stream is None or self._is_writing or self._rest is not None:
            self.call()
            return
        self._is_flushing = True  # a callback may send
        try:
            is_all_written = self._write_without_waiting(stream)
        except Exception as error:  # noqa: BLE001 - who sends is not to get it
            self._give_up(error)
            return
        finally:
            self._is_flushing = False
        if not is_all_written:
            self.call()
        elif not self._endpoint.is_open:
            self._finish(None)
        self.wake_a_sender()

    @property
    def is_free(self) -> bool:
        """Whether a message may be written at once, because nothing is before it."""
        return not (
            self._is_writing
            or self._is_flushing
            or self.is_done
            or self._rest is not None
            or self._tasks.non_blocking is None
        )

    @trio.lowlevel.enable_ki_protection
    def write_message(self, data: bytes, *, has_more: bool) -> None:
        """Write a whole message, while `is_free`; what is not taken is the task's.  As `flush`.

        If the app `has_more` to answer, it waits a little, so that they leave together: for the
        next one, the task, or whatever else writes.
        """
        corked = self.corked
        if has_more and self.corked_size + len(data) < self._most_corked:
            if corked is None:
                self.corked = [data]
            else:
                corked.append(data)
            self.corked_size += len(data)
            if not self._is_called:
                self.call()
            return
        if corked is not None:
            data = self._uncork() + data
        stream = self._tasks.non_blocking
        if stream is None:
            raise RuntimeError("this stream has to wait")
        try:
            sent = stream.send_nowait(data)
        except Exception as error:  # noqa: BLE001 - who sends is not to get it
            self._give_up(error)
            return
        self.bytes_sent += sent
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self.call()

    def _uncork(self) -> bytes:
        data = b"".join(self.corked or ())
        self.corked = None
        self.corked_size = 0
        return data

    def _give_up(self, error: Exception) -> None:
        """Write no more: the stream has broken, or raised what no stream should."""
        if isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError)):
            self._finish(error)
        else:
            self._finish(None)
            self._tasks.crash(error)

    def _write_without_waiting(self, stream: NonBlockingStream) -> bool:
        for _ in range(FLUSHES):
            batch = self._next_batch()
            if batch is None:
                return True
            self._rest = self._offer(stream, batch)
            if self._rest is not None:
                return False
            if not self._endpoint.has_frames:
                return True
        return False

    def _offer(self, stream: NonBlockingStream, batch: Batch) -> memoryview | None:
        """Give the stream what it takes of a batch without waiting; return the rest of it."""
        if isinstance(batch, bytes):
            sent = stream.send_nowait(batch)
            self.bytes_sent += sent
            return memoryview(batch)[sent:] if sent < len(batch) else None
        sent = stream.send_parts_nowait(batch)
        self.bytes_sent += sent
        payload = batch[-1]
        begun = sent - sum(map(len, batch)) + len(payload)
        if begun < 0:
            return memoryview(b"".join(batch))[sent:]
        return memoryview(payload)[begun:] if begun < len(payload) else None

    def call(self) -> None:
        """Have the task write what waits."""
        if not self._is_called:
            self._is_called = True
            self._tasks.start_task("writer", self.run)
            self._work.wake()

    def _finish(self, error: Exception | None) -> None:
        self.error = error
        self.is_done = True
        self._rest = self.corked = None
        self._work.wake()
        self._tasks.settle()
        self._tasks.wake_closer()

    # ---- the task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until our Close frame has left, or nothing can be written any more."""
        error: Exception | None = None
        try:
            while await self._write_batch():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
            error = broken
        except trio.TooSlowError as late:
            self._tasks.abort(str(late), late)
        finally:
            if not self.is_done:
                self._finish(error)

    async def _write_batch(self) -> bool:
        """Write what waits, or wait for something; return False when nothing will follow."""
        view = self._rest
        self._rest = None
        batch = self._next_batch() if view is None else None
        if view is not None or batch is not None:
            self._is_writing = True
            self.wake_a_sender()
            stream = self._tasks.non_blocking
            if batch is not None:
                if stream is None:
                    view = memoryview(batch if isinstance(batch, bytes) else b"".join(batch))
                else:
                    view = self._offer(stream, batch)
            await self._send(view)
            self._is_writing = False
            if stream is not None:
                await trio.lowlevel.checkpoint()  # a peer that always takes more starves the others
            return True
        if self.is_done or not self._endpoint.is_open:
            return False
        self._is_called = False
        await self._work.wait()
        return True

    async def _send(self, view: memoryview | None) -> None:
        stream = self._tasks.non_blocking
        while view:
            with trio.move_on_after(self._timeouts.write) as scope:
                if stream is None:
                    # Slow progress is progress too: no more is asked at a time than even a slow
                    # peer takes within `Timeouts.write`.
                    sent = len(view[:PIECE])
                    await self._tasks.stream.send_all(view[:PIECE])
                else:
                    while not (sent := stream.send_nowait(view)):
                        await stream.wait_writable()
                self.bytes_sent += sent
                view = view[sent:]
            if scope.cancelled_caught:
                raise trio.TooSlowError(f"the peer accepted nothing for {self._timeouts.write:g} s")

    # ---- both --------------------------------------------------------------------------------

    def _next_batch(self) -> Batch | None:
        """Take what waits, joined: a system call costs more than a small frame.

        A large one costs more to copy than to give to the system as it is.
        """
        if self.corked is not None:
            return self._uncork()
        frame = self._shift()
        if frame is None:
            return None
        if len(frame.payload) >= CHUNK:
            return frame.to_buffers()
        data = frame.to_bytes()
        size = len(data)
        if size >= CHUNK or not self._endpoint.has_frames or (frame := self._shift()) is None:
            return data
        pieces = [data, frame.to_bytes()]
        size += len(pieces[-1])
        while size < CHUNK and (frame := self._shift()) is not None:
            pieces.append(frame.to_bytes())
            size += len(pieces[-1])
        return b"".join(pieces)

    def _shift(self) -> Frame | None:
        try:
            frame = self._endpoint.shift_write_queue(copy=False)
        except Exception as error:  # noqa: BLE001 - `before_send_frame` raised; the frame is next
            self._tasks.crash(error)
            frame = self._endpoint.shift_write_queue(copy=False)
        if isinstance(frame, PingFrame):
            self._tasks.pings.note(frame.payload)
        return frame

    def wake_a_sender(self) -> None:
        """Let the task that has waited longest in `send()` go on, if there is room."""
        if (self.room.count or self.chunk_room.count) and self.has_space:
            lot = self.room if self._endpoint.is_between_messages else self.chunk_room
            lot.wake_one()

    @property
    def has_space(self) -> bool:
        """Whether less is queued than `Limits.send_buffer`."""
        return self.queued_bytes < self._limits.send_buffer

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be written, with the longest header where a frame has none yet."""
        return self._endpoint.write_queue_bytes + self.corked_size

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be written."""
        return self._endpoint.get_write_queue_size() + len(self.corked or ())

    @property
    def has_room(self) -> bool:
        """Whether `send()` may queue a message, of whatever size."""
        return self.has_space and self._endpoint.is_between_messages
