"""The incoming half of an endpoint: what the parser finds, into messages and control frames.

The endpoint reads the next frame, and keeps a message that is whole.  `begin()` is given any other,
and `go_on()` handles more of it.  They return

* a `Message` that is complete,
* a `ControlFrame` for the endpoint to act upon,
* `Progress.HANDLED` or `Progress.NEED_DATA`;

or raises `PeerError`, or what `on_data_frame` raises (the frame is then handled).  Once the
endpoint has closed, data frames are passed over and nothing is kept of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum

from trio_wsendpoint.errors import UnexpectedEOF
from trio_wsendpoint.protocol.closing import Closing
from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.frames import ControlFrame, DataFrame, Frame
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.parser import Parser
from trio_wsendpoint.protocol.traffic import Traffic

__all__ = ["Progress", "Receiver"]


class Progress(Enum):
    """What a step did when it did not complete a message."""

    NEED_DATA = "all that has come is handled"
    HANDLED = "a frame, or a part of one, was handled"
    HELD = "the peer's close or violation waits for release_end()"
    ENDED = "nothing more is expected of the peer"


class Receiver:
    """Steps through what the parser has, for as long as the peer may send.

    `frame` is the frame whose payload is coming in, or None.
    """

    __slots__ = (
        "_closing",
        "_defragmenter",
        "_on_data_frame",
        "_parser",
        "_traffic",
        "frame",
        "frame_listener",
        "is_inflating",
        "most",
    )

    def __init__(
        self,
        closing: Closing,
        parser: Parser,
        defragmenter: Defragmenter,
        on_data_frame: Callable[[DataFrame], DataFrame | None] | None,
        traffic: Traffic | None = None,
    ) -> None:
        self.frame_listener: Callable[[Frame, int], object] | None = None
        self._traffic = traffic or Traffic()
        self._closing = closing
        self._parser = parser
        self._defragmenter = defragmenter
        self._on_data_frame = on_data_frame
        self.frame: Frame | None = None
        # The defragmenter may have more of the piece that it was fed.
        self.is_inflating = False
        # The bytes of a message that the parser makes, of one frame; -1 if it makes none, because
        # a callback or a listener is told of the frame, or data frames are passed over.
        self.most = 0
        self.listen(None, None)

    def listen(
        self,
        frame_listener: Callable[[Frame, int], object] | None,
        message_listener: Callable[[str, int], object] | None,
    ) -> None:
        """Set the listeners: of frames that have come whole, and of messages; None for none."""
        self.frame_listener = frame_listener
        self._defragmenter.message_listener = message_listener
        tells = (frame_listener, message_listener, self._on_data_frame) != (None, None, None)
        is_whole = self._closing.is_open and not tells
        self.most = min(self._defragmenter.message_size, sys.maxsize) if is_whole else -1

    def discard(self) -> None:
        """Forget the message that has begun, and pass over those that follow: we have closed."""
        self._defragmenter.discard()
        self.is_inflating = False
        self.most = -1

    def begin(self, found: Frame | None) -> Message | ControlFrame | Progress:
        """Handle what the parser has found behind a frame, which is no whole message."""
        if found is None:
            if self._parser.at_eof:
                raise UnexpectedEOF("the bytes ended without a close frame")
            return Progress.NEED_DATA
        self.frame = found
        if isinstance(found, DataFrame) and self._joins:
            self._defragmenter.begin(found, self._parser.remaining)
        return self.go_on(found)

    def go_on(self, frame: Frame | None) -> Message | ControlFrame | Progress:
        """Handle more of `frame`, or of what it inflates to."""
        if self.is_inflating or frame is None:
            return self._inflate()
        if isinstance(frame, DataFrame) and self._joins:
            return self._join()
        return self._finish(frame)

    @property
    def _joins(self) -> bool:
        """Whether payloads go to the defragmenter in pieces: no callback takes whole frames."""
        return self._on_data_frame is None and self._closing.is_open

    def _join(self) -> Message | Progress:
        before = self._parser.remaining
        joiner = self._defragmenter.get_joiner()
        piece = self._parser.read_payload() if joiner is None else b""
        size = len(piece) if joiner is None else self._parser.read_payload_into(joiner)
        if before and not size:
            return Progress.NEED_DATA
        self._traffic.wire_received += size
        if joiner is None:
            self._defragmenter.feed(piece)
        else:
            self._defragmenter.note_joined(size)
        return self._inflate()

    def _inflate(self) -> Message | Progress:
        """Decode a part of what was fed; end the frame when all of it is decoded.

        So a step is short whatever a frame inflates to, also where a callback gets whole frames.
        """
        self.is_inflating = self._defragmenter.inflate()
        if self.is_inflating or self._parser.remaining:
            return Progress.HANDLED
        frame, self.frame = self.frame, None
        if frame is not None:  # it came piece by piece, and now it is whole
            self._traffic.frames_received += 1
            if self.frame_listener is not None:
                self.frame_listener(frame, self._defragmenter.frame_size)
        return self._defragmenter.end() or Progress.HANDLED

    def get_room(self) -> memoryview | None:
        """Return where the next bytes may be put, which are all payload; None if nowhere.

        `fill` tells how many were; release it before anything else is done.
        """
        if not isinstance(self.frame, DataFrame) or not self._joins:
            return None
        parser = self._parser
        joiner = self._defragmenter.get_joiner() if parser.is_drained and parser.remaining else None
        return None if joiner is None else joiner.get_room(parser.remaining)

    def fill(self, size: int) -> None:
        """Note that the next `size` bytes are in the room."""
        joiner = self._defragmenter.get_joiner()
        if joiner is not None:
            self._parser.fill(joiner, size)
            self._defragmenter.note_joined(size)
            self._traffic.wire_received += size

    def _finish(self, frame: Frame) -> Message | ControlFrame | Progress:
        """Continue a frame that is collected whole, or passed over."""
        before = self._parser.remaining
        is_skipped = isinstance(frame, DataFrame) and not self._closing.is_open
        finish = self._parser.skip_frame if is_skipped else self._parser.finish_frame
        if not finish(frame):
            return Progress.NEED_DATA if self._parser.remaining == before else Progress.HANDLED
        self.frame = None
        self._traffic.frames_received += 1
        if self.frame_listener is not None:
            self.frame_listener(frame, len(frame.payload))
        if isinstance(frame, ControlFrame):
            self._traffic.note_control_received(frame.type)
            return frame
        self._traffic.wire_received += len(frame.payload)
        if is_skipped or self._on_data_frame is None or not isinstance(frame, DataFrame):
            return Progress.HANDLED
        replacement = _check_replacement(frame, self._on_data_frame(frame))
        if not self._closing.is_open:
            return Progress.HANDLED  # the callback has closed
        self._defragmenter.add_whole(replacement, came=len(frame.payload))
        return self._inflate()


def _check_replacement(frame: DataFrame, replacement: object) -> DataFrame:
    """Return the frame that the callback gave, or `frame` for None, if it may take its place."""
    if replacement is None:
        return frame
    if not isinstance(replacement, DataFrame):
        raise TypeError(f"on_data_frame returns a DataFrame or None, not {replacement!r}")
    if type(replacement) is not type(frame) or replacement.fin is not frame.fin:
        raise ValueError(f"{replacement!r} cannot take the place of {frame!r}")
    return replacement
