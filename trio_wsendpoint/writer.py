"""The writer task: frames from the write queue, joined, to the stream.

Nothing else writes to the stream, so a frame that has begun is finished, whoever is cancelled.
Each write has a deadline of its own.  Only `tasks` imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.options import Limits, Timeouts
from trio_wsendpoint.protocol.frames import Frame, PingFrame

if TYPE_CHECKING:  # it makes writers
    from trio_wsendpoint.tasks import Tasks

__all__ = ["Writer"]

#: Bytes joined into one write.
CHUNK = 65536
#: Bytes given at a time to a stream that does not say how much of them the peer has taken.
PIECE = 16384


class Writer:
    """Writes for one connection, whose `tasks` it belongs to.

    `done` is set when nothing will be written any more, `error` is why, if it is not our Close
    frame that has left.
    """

    def __init__(self, tasks: Tasks, limits: Limits, timeouts: Timeouts) -> None:
        self._tasks = tasks
        self._stream = tasks.stream
        self._endpoint = tasks.endpoint
        self._limits = limits
        self._timeouts = timeouts
        self.room = ParkingLot()  # send() waits here for its turn, and room in the write queue
        self.chunk_room = ParkingLot()  # the one that is sending in chunks waits here for room
        self.work = ParkingLot()  # the task itself waits here for something to write
        self.bytes_sent = 0
        self.error: Exception | None = None
        self.done = trio.Event()

    async def run(self) -> None:
        """Write until our Close frame has left, or nothing can be written any more."""
        try:
            while await self._write_batch():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.error = error
        except trio.TooSlowError as error:
            self._tasks.abort(str(error), error)
        finally:
            self.done.set()
            self._tasks.settle()

    async def _write_batch(self) -> bool:
        """Write what waits, or wait for something; return False when nothing will follow."""
        frame = self._shift()
        if frame is None:
            if not self._endpoint.is_open:
                return False
            await self.work.park()
            return True
        pieces = [frame.to_bytes()]
        size = len(pieces[0])
        # Small frames leave together: a system call costs more than any of them.
        while size < CHUNK and (frame := self._shift()) is not None:
            pieces.append(frame.to_bytes())
            size += len(pieces[-1])
        self.wake_a_sender()
        await self._send(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            with trio.move_on_after(self._timeouts.write) as scope:
                sent = await self._send_some(view)
                self.bytes_sent += sent
                view = view[sent:]
            if scope.cancelled_caught:
                raise trio.TooSlowError(f"the peer accepted nothing for {self._timeouts.write:g} s")

    async def _send_some(self, view: memoryview) -> int:
        """Write the beginning of `view` and return its length: slow progress is progress too.

        A socket says how much it took; of any other stream no more is asked at a time than even
        a slow peer takes within `Timeouts.write`.
        """
        if isinstance(self._stream, trio.SocketStream):
            try:
                return await self._stream.socket.send(view)
            except OSError as error:
                raise trio.BrokenResourceError from error
        piece = view[:PIECE]
        await self._stream.send_all(piece)
        return len(piece)

    def _shift(self) -> Frame | None:
        try:
            frame = self._endpoint.shift_write_queue()
        except Exception as error:  # noqa: BLE001 - `before_send_frame` raised; the frame is next
            self._tasks.crash(error)
            frame = self._endpoint.shift_write_queue()
        if isinstance(frame, PingFrame):
            self._tasks.pings.note(frame.payload)
        return frame

    def wake_a_sender(self) -> None:
        """Let the task that has waited longest in `send()` go on, if there is room."""
        if self.has_space:
            lot = self.room if self._endpoint.is_between_messages else self.chunk_room
            lot.unpark()

    @property
    def has_space(self) -> bool:
        """Whether less is queued than `Limits.send_buffer`."""
        return self._endpoint.write_queue_bytes < self._limits.send_buffer

    @property
    def has_room(self) -> bool:
        """Whether `send()` may queue a message, of whatever size."""
        return self.has_space and self._endpoint.is_between_messages
