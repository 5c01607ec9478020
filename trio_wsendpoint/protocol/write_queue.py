"""What waits to be written, in the order in which it will leave.

Rule 1: control frames pass data frames that have not been started.
Rule 2: at most one pong waits; a later one takes its place (RFC 6455 section 5.5.3).
Rule 3: the Close frame leaves last, and once it is in, nothing else gets in.

Frames wait as objects and become bytes when they leave, so a pong costs nothing until then.
"""

from __future__ import annotations

from collections import deque

from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.protocol.frames import MAX_HEADER, CloseFrame, Frame, PongFrame

__all__ = ["WriteQueue"]


class WriteQueue:
    """A lane for control frames, a lane for data frames, a place for a pong and one for a close.

    `size` is the bytes that wait, counting each frame with its payload and the longest header;
    `is_ended` is whether the queue takes no more frames.
    """

    __slots__ = ("_close", "_control", "_data", "_pong", "is_ended", "size")

    def __init__(self) -> None:
        self._pong: PongFrame | None = None
        # Deques from the first frame on: an idle endpoint does without their 1.5 KiB.
        self._control: deque[Frame] | tuple[()] = ()
        self._data: deque[Frame] | tuple[()] = ()
        self._close: CloseFrame | None = None
        self.is_ended = False
        self.size = 0

    def add(self, frame: Frame) -> None:
        """Put `frame` in its place; raises `EndpointClosed` behind a Close frame, sent or not."""
        if self.is_ended:
            raise EndpointClosed(f"a {frame.type} frame cannot follow the end of all that is sent")
        self.size += len(frame.payload) + MAX_HEADER
        if not frame.is_control:
            if isinstance(self._data, tuple):
                self._data = deque()
            self._data.append(frame)
        elif isinstance(frame, PongFrame):
            if self._pong is not None:
                self.size -= len(self._pong.payload) + MAX_HEADER
            self._pong = frame
        elif isinstance(frame, CloseFrame):
            self._close = frame
            self.is_ended = True
        else:
            if isinstance(self._control, tuple):
                self._control = deque()
            self._control.append(frame)

    @property
    def message_bytes(self) -> int:
        """Of `size`, the bytes of data frames."""
        return sum(len(frame.payload) + MAX_HEADER for frame in self._data)

    @property
    def has_pong(self) -> bool:
        """Whether a pong waits, which the next pong would replace."""
        return self._pong is not None

    def shift(self) -> Frame | None:
        """Take out the frame that leaves next; None when there is none."""
        frame: Frame | None
        if self._pong is not None:
            frame, self._pong = self._pong, None
        elif self._control:
            frame = self._control.popleft()
        elif self._data:
            frame = self._data.popleft()
        else:
            frame, self._close = self._close, None
        if frame is not None:
            self.size -= len(frame.payload) + MAX_HEADER
        return frame

    def clear(self) -> None:
        """Drop all frames, and take no more: nothing can be written any longer."""
        self.is_ended = True
        self._pong = self._close = None
        self._control = self._data = ()
        self.size = 0

    def __len__(self) -> int:
        return (
            len(self._control)
            + len(self._data)
            + (self._pong is not None)
            + (self._close is not None)
        )
