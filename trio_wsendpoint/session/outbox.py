"""What waits to be written: the endpoint's frames, joined into batches, and messages that wait."""

from __future__ import annotations

from collections.abc import Callable

from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Frame

__all__ = ["Batch", "Outbox"]

#: What is written at a time: frames joined, or a large one in pieces, its payload the last.
Batch = bytes | tuple[bytes | memoryview, ...]

#: Bytes joined into one write.
CHUNK = 65536


class Outbox:
    """The bytes of one connection that wait for the stream.

    `shift` takes the next frame out of the endpoint's queue.  `unsent`: bytes of the batch that
    was handed out last which the stream has not taken.  `bytes_sent`: bytes that it has taken.
    `messages`: messages that were committed.
    `is_failed`: nothing can be written any more; set by `fail`.  `error`: what broke the stream,
    if that did.  `dropped`: bytes of messages that were committed and never left.
    """

    __slots__ = (
        "_corked",
        "_corked_size",
        "_endpoint",
        "_has_data",
        "_limit",
        "_most_corked",
        "_shift",
        "bytes_sent",
        "dropped",
        "error",
        "is_failed",
        "messages",
        "unsent",
    )

    def __init__(
        self, endpoint: Endpoint, limits: Limits, shift: Callable[[], Frame | None]
    ) -> None:
        self._endpoint = endpoint
        self._shift = shift
        self._limit = limits.send_buffer
        self._most_corked = min(CHUNK, limits.send_buffer)
        # Messages that wait for more before they leave; a list when the first one is corked.
        self._corked: list[bytes] | tuple[()] = ()
        self._corked_size = 0  # their bytes
        # What is unsent is of a message, not of control frames alone; set when it is handed out,
        # read by `fail`: lost control frames are no lost messages.
        self._has_data = False
        self.unsent = 0
        self.bytes_sent = 0
        self.messages = 0
        self.is_failed = False
        self.error: Exception | None = None
        self.dropped = 0

    # ---- in ----------------------------------------------------------------------------------

    def cork(self, data: bytes) -> bool:
        """Keep the bytes of a message until more is written; False if too many wait already."""
        if self._corked_size + len(data) >= self._most_corked:
            return False
        if isinstance(self._corked, tuple):
            self._corked = []
        self._corked.append(data)
        self._corked_size += len(data)
        self.messages += 1
        return True

    def hand_out(self, data: bytes) -> bytes:
        """Return what was corked and the message `data` behind it, to be written now."""
        self._has_data = True
        self.messages += 1
        if self._corked:
            data = self._uncork() + data
        self.unsent = len(data)
        return data

    def note_queued(self) -> None:
        """Count a message that was queued with the endpoint."""
        self.messages += 1

    def _uncork(self) -> bytes:
        data = b"".join(self._corked)
        self._corked = ()
        self._corked_size = 0
        return data

    # ---- out ---------------------------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """Take out what is to be written next, small frames joined; None if nothing waits.

        A system call costs more than to copy a small frame.  To copy a large one costs more than
        to give header and payload to the system as they are.
        """
        self._has_data = bool(self._corked)
        batch = self._uncork() if self._has_data else self._join()
        if batch is not None:
            self.unsent = len(batch) if isinstance(batch, bytes) else sum(map(len, batch))
        return batch

    def _join(self) -> Batch | None:
        frame = self._shift()
        if frame is None:
            return None
        self._has_data = not frame.is_control
        if len(frame.payload) >= CHUNK:
            return frame.to_buffers()
        data = frame.to_bytes()
        if len(data) >= CHUNK or not self._endpoint.has_frames:
            return data
        pieces = [data]
        size = len(data)
        while size < CHUNK and (frame := self._shift()) is not None:
            self._has_data = self._has_data or not frame.is_control
            pieces.append(frame.to_bytes())
            size += len(pieces[-1])
        return b"".join(pieces)

    def note_sent(self, count: int) -> None:
        """Note that the stream has taken `count` more bytes of what was handed out."""
        self.bytes_sent += count
        self.unsent -= count

    def fail(self, error: Exception | None = None) -> None:
        """Note that nothing more can be written, because of `error` or because we close."""
        if self.is_failed:
            return
        self.is_failed = True
        self.error = error
        rest = self.unsent if self._has_data else 0
        self.dropped = rest + self._corked_size + self._endpoint.message_bytes_waiting
        self.unsent = 0
        self._uncork()

    # ---- what waits --------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and the stream has taken all that was handed out."""
        return not self.unsent and not self._corked and not self._endpoint.has_frames

    @property
    def is_corked(self) -> bool:
        """Whether messages wait for more before they leave."""
        return self._corked_size > 0

    @property
    def is_done(self) -> bool:
        """Whether nothing will be written any more."""
        return self.is_failed or (not self._endpoint.is_open and self.is_empty)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be handed out, with the longest header where a frame has none yet."""
        return self._endpoint.write_queue_bytes + self._corked_size

    @property
    def queued_frames(self) -> int:
        """Frames that wait to be handed out."""
        return self._endpoint.get_write_queue_size() + len(self._corked)

    @property
    def has_space(self) -> bool:
        """Whether less is queued than `Limits.send_buffer`."""
        return self.queued_bytes < self._limit
