"""What waits to be written: the endpoint's frames, joined into batches, and messages that wait."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Frame

__all__ = ["Batch", "Outbox"]

#: What is written at a time: frames joined, or a large one in pieces, its payload the last.
Batch = bytes | tuple[bytes | memoryview, ...]

#: Bytes joined into one write: four answers of 16 KiB, and their headers.  Copying one of them is
#: cheaper than a system call of its own (13.7 and 18.6 us a message).
CHUNK = 65 * 1024

#: Bytes that are copied so that they leave with a message of any size.
LITTLE = 16 * 1024
#: What a frame that waits takes besides its payload, in bytes, so that empty ones count too.
FRAME_OVERHEAD = 128
#: Bytes by which what waits to be written may cross `Limits.send_buffer`.
MOST_OVER = 32 * 1024


class WriteEnd(NamedTuple):
    """Why nothing can be written any more: `error` broke the stream, or None if we closed it."""

    error: Exception | None


class FrameSource(Protocol):
    """Where an outbox takes frames from."""

    def shift_frame(self) -> Frame | None:
        """Take the next frame out of the endpoint's queue, or return None."""
        ...


class Outbox:
    """The bytes of one connection that wait for the stream.

    `source`: where it takes the endpoint's frames from.  `unsent`: bytes of the batch that
    was handed out last which the stream has not taken.  `bytes_sent`: bytes that it has taken.
    `messages`: messages that were committed.
    `end`: why nothing can be written any more, None while it can; set by `fail`.  `dropped`: bytes
    of messages that were committed and never left.
    `corked_bytes`: bytes of messages that wait for more before they leave.
    """

    __slots__ = (
        "_batch_size",
        "_corked",
        "_data_size",
        "_endpoint",
        "_limit",
        "_most_corked",
        "_source",
        "bytes_sent",
        "corked_bytes",
        "dropped",
        "end",
        "messages",
        "unsent",
    )

    def __init__(self, endpoint: Endpoint, limits: Limits, source: FrameSource) -> None:
        self._endpoint = endpoint
        self._source = source
        self._limit = limits.send_buffer
        self._most_corked = min(CHUNK, limits.send_buffer + limits.send_buffer // 64)
        # Messages that wait for more before they leave; a list when the first one is corked.
        self._corked: list[bytes] | tuple[()] = ()
        self.corked_bytes = 0
        # Bytes of messages in the batch that was handed out last: lost control frames are no loss.
        self._data_size = 0
        self._batch_size = 0  # of the batch that was handed out last
        self.unsent = 0
        self.bytes_sent = 0
        self.messages = 0
        self.end: WriteEnd | None = None
        self.dropped = 0

    # ---- in ----------------------------------------------------------------------------------

    def cork(self, data: bytes) -> int:
        """Keep the bytes of a message until more is written; return how many messages wait so.

        0 if too many bytes wait already: then it is not kept.
        """
        size = self.corked_bytes + len(data)
        if size >= self._most_corked:
            return 0
        corked = self._corked
        if corked:
            corked.append(data)
        else:
            corked = self._corked = [data]
        self.corked_bytes = size
        self.messages += 1
        return len(corked)

    def hand_out(self, data: bytes) -> bytes:
        """Return what was corked and the message `data` behind it, to be written now.

        Tell `note_sent`, or `fail`, what became of it.
        """
        self.messages += 1
        if self._corked:
            data = self._uncork() + data
        self.unsent = self._batch_size = self._data_size = len(data)
        return data

    def note_message(self, size: int) -> None:
        """Note that the stream has taken a message of `size` bytes that was not handed out."""
        self.messages += 1
        self.bytes_sent += size

    def note_queued(self) -> None:
        """Count a message that was queued with the endpoint."""
        self.messages += 1

    def _uncork(self) -> bytes:
        data = b"".join(self._corked)
        self._corked = ()
        self.corked_bytes = 0
        return data

    # ---- out ---------------------------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """Take out what is to be written next, small frames joined; None if nothing waits.

        A system call costs more than to copy a small frame.  To copy a large one costs more than
        to give header and payload to the system as they are.
        """
        batch: Batch | None
        if self._corked:
            batch = self._uncork()
            self._data_size = len(batch)
        else:
            batch = self._join()
        if batch is not None:
            size = len(batch) if isinstance(batch, bytes) else sum(map(len, batch))
            self.unsent = self._batch_size = size
        return batch

    def _join(self) -> Batch | None:
        frame = self._source.shift_frame()
        if frame is None:
            return None
        if len(frame.payload) >= CHUNK:
            buffers = frame.to_buffers()
            self._data_size = sum(map(len, buffers))
            return buffers
        data = frame.to_bytes()
        self._data_size = 0 if frame.is_control else len(data)
        if len(data) >= CHUNK or not self._endpoint.has_frames:
            return data
        pieces = [data]
        size = len(data)
        while size < CHUNK and (frame := self._source.shift_frame()) is not None:
            data = frame.to_bytes()
            pieces.append(data)
            size += len(data)
            if not frame.is_control:
                self._data_size += len(data)
        return b"".join(pieces)

    def note_sent(self, count: int) -> None:
        """Note that the stream has taken `count` more bytes of what was handed out."""
        self.bytes_sent += count
        self.unsent -= count

    def fail(self, error: Exception | None = None) -> None:
        """Note that nothing more can be written, because of `error` or because we close."""
        if self.end is not None:
            return
        self.end = WriteEnd(error)
        rest = min(self.unsent, self._data_size)
        self.dropped = rest + self.corked_bytes + self._endpoint.message_bytes_waiting
        self.unsent = 0
        self._uncork()

    @property
    def error(self) -> Exception | None:
        """What broke the stream, if that did."""
        return None if self.end is None else self.end.error

    # ---- what waits --------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and the stream has taken all that was handed out."""
        return not self.unsent and not self._corked and not self._endpoint.has_frames

    @property
    def is_done(self) -> bool:
        """Whether nothing will be written any more."""
        return self.end is not None or (not self._endpoint.is_open and self.is_empty)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be handed out, with the longest header where a frame has none yet."""
        return self._endpoint.write_queue_bytes + self.corked_bytes

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be handed out."""
        return self._endpoint.get_write_queue_size() + len(self._corked)

    def has_space_for(self, size: int) -> bool:
        """Tell whether a message of `size` bytes may be queued.

        It may if less than `Limits.send_buffer` is queued.  But with it, and with a batch that the
        stream has not taken whole, no more may be held than `MOST_OVER` above the limit, unless
        nothing else is.
        """
        queued = self.queued_bytes
        waiting = queued + (self._batch_size if self.unsent else 0)
        held = waiting + FRAME_OVERHEAD * self.queued_frames
        return queued < self._limit and (not waiting or held + size <= self._limit + MOST_OVER)

    def can_join(self, size: int) -> bool:
        """Tell whether `size` more bytes may leave in one write with what is corked.

        If that is little, it may be copied behind it, whatever its size.
        """
        return self.corked_bytes <= LITTLE or self.corked_bytes + size <= self._most_corked
