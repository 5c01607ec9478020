"""The reference: one side of a conversation, told in lists and one small table.

It is written from the closing table of the documentation and from what `Endpoint` promises, and
shares no code with the library.  Frames are tuples here, and bytes are counted, never read.

    side.queue       what waits to be written, in its lanes
    side.incoming    what is on its way to the side, each item with the bytes it takes
    side.drain()     what the side has to make of the bytes that have come
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["EOF", "Boom", "Item", "Queue", "Refused", "Side", "step"]

OPEN, CLOSE_SENT, CLOSE_RECEIVED = "open", "close sent", "close received"
CLOSED, FAILED = "closed", "failed"

#: State and event, to the state that follows; what is not here changes nothing.
TABLE = {
    (OPEN, "we close"): CLOSE_SENT,
    (OPEN, "peer closes"): CLOSE_RECEIVED,
    (OPEN, "bytes end"): FAILED,
    (OPEN, "we fail"): FAILED,
    (CLOSE_SENT, "peer closes"): CLOSED,
    (CLOSE_SENT, "bytes end"): FAILED,
    (CLOSE_SENT, "we fail"): FAILED,
    (CLOSE_RECEIVED, "answer leaves"): CLOSED,
    (CLOSE_RECEIVED, "bytes end"): FAILED,
    (CLOSE_RECEIVED, "we fail"): FAILED,
}

#: The code that stands for the end of the bytes, and is never sent.
EOF = 1006


def step(state: str, event: str) -> str:
    return TABLE.get((state, event), state)


class Refused(Exception):
    """The side gives up with this close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Boom(Exception):
    """What the callbacks of a test raise, with the name of the callback."""


@dataclass
class Item:
    """Something on the wire: `size` bytes, of which `shown` are enough to judge it.

    `kind`: "data" (`value`: the message that this frame completes, or None), "ping" and "pong"
    (the payload), "close" (code and reason), and of violations "bad" (any frame),
    "bad text" and "bad size" (data, which nobody looks at after a close).  A frame of which not
    all will ever come has a `size` beyond measure.
    """

    kind: str
    value: Any
    size: int
    shown: int
    code: int = 0


@dataclass
class Queue:
    """What waits to be written: one pong, then pings, then data, then the Close frame."""

    pong: bytes | None = None
    pings: deque[bytes | None] = field(default_factory=deque)
    data: deque[Any] = field(default_factory=deque)
    close: tuple[int | None, str] | None = None
    #: Taken out, and not handed over, because `before_send_frame` raised.
    stuck: tuple[str, Any] | None = None

    def take(self) -> tuple[str, Any] | None:
        if self.stuck is not None:
            taken, self.stuck = self.stuck, None
            return taken
        if self.pong is not None:
            taken, self.pong = ("pong", self.pong), None
            return taken
        if self.pings:
            return "ping", self.pings.popleft()
        if self.data:
            return "data", self.data.popleft()
        if self.close is not None:
            taken, self.close = ("close", self.close), None
            return taken
        return None

    def __len__(self) -> int:
        singles = (self.pong, self.close, self.stuck)
        return len(self.pings) + len(self.data) + sum(one is not None for one in singles)


@dataclass
class Side:
    """One endpoint as it should be."""

    max_pings: int
    holds: bool
    closes_on_stray_pong: bool
    #: Whether data frames are looked at whole, because there is an `on_data_frame`.
    takes_whole_frames: bool
    state: str = OPEN
    queue: Queue = field(default_factory=Queue)
    incoming: deque[Item] = field(default_factory=deque)
    #: Bytes of `incoming` that have been delivered.
    come: int = 0
    #: Whether the bytes have ended.
    at_end: bool = False
    #: Payloads of the pings that were sent.
    pings: set[bytes] = field(default_factory=set)
    received: list[str | bytes] = field(default_factory=list)
    #: Heartbeats since the peer was last known to live.
    beats: int = 0
    sent_close: tuple[int | None, str] | None = None
    received_close: tuple[int | None, str] | None = None
    held: tuple[str, Any] | None = None
    #: Callbacks that raise when they are called next.
    armed: set[str] = field(default_factory=set)

    # ---- what the side does of itself ----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.state == OPEN

    @property
    def is_over(self) -> bool:
        return self.state in {CLOSED, FAILED}

    def send_close(self, code: int | None, reason: str) -> None:
        self.sent_close = self.queue.close = (code, reason)

    def close(self, code: int | None, reason: str) -> None:
        assert self.is_open
        self.state = step(self.state, "we close")
        self.send_close(code, reason)
        self.release()

    def beat(self) -> None:
        if self.beats < self.max_pings:
            self.beats += 1
            self.queue.pings.append(None)  # its payload is known when it leaves
        else:
            self.close(1002, f"Unanswered ping(s): {self.beats}")

    def shift(self) -> tuple[str, Any] | None:
        """Return the frame that leaves; raises `Boom` if `before_send_frame` does."""
        is_new = self.queue.stuck is None
        frame = self.queue.take()
        if frame is None:
            return None
        if is_new and frame[0] != "data" and self.fires("before_send_frame"):
            self.queue.stuck = frame
            raise Boom("before_send_frame")
        if frame[0] == "close":
            self.state = step(self.state, "answer leaves")
        return frame

    def fail(self, code: int) -> None:
        was_open = self.is_open
        self.state = step(self.state, "bytes end" if code == EOF else "we fail")
        self.held = None
        if was_open and code != EOF:
            self.send_close(code, "")

    def release(self) -> None:
        """Let what is held take effect; raises `Boom` if `on_close` does."""
        held, self.held = self.held, None
        if held is None or self.is_over:
            return
        if held[0] == "close":
            self.take_close(held[1])
        else:
            self.fail(held[1])

    def take_close(self, close: tuple[int | None, str]) -> None:
        self.received_close = close
        self.state = step(self.state, "peer closes")
        raises = self.fires("on_close")
        if self.sent_close is None:
            self.send_close(*((1011, "") if raises else close))
        if raises:
            raise Boom("on_close")

    def fires(self, callback: str) -> bool:
        if callback not in self.armed:
            return False
        self.armed.remove(callback)
        return True

    # ---- what comes ----------------------------------------------------------------------------

    def drain(self, most: int) -> None:
        """Handle what has come until `most` messages are there, or the side is no longer open.

        After a close of its own it handles all that has come.  Raises `Refused` for a violation
        or the end of the bytes, and `Boom`.
        """
        was_open = self.is_open
        most += len(self.received)
        while self.expects_frames and self.is_open is was_open and len(self.received) < most:
            if not self.incoming or not self.judge(self.incoming[0]):
                if self.at_end and self.expects_frames:
                    self.refuse(EOF)
                break
            item = self.incoming.popleft()
            self.come -= item.size
            self.handle(item)

    @property
    def expects_frames(self) -> bool:
        return self.state in {OPEN, CLOSE_SENT} and self.held is None

    def judge(self, item: Item) -> bool:
        """Return whether an item is whole; raises `Refused` for one that has shown itself."""
        is_looked_at = item.kind == "bad" or (
            item.kind in {"bad text", "bad size"}
            and (self.is_open or (self.takes_whole_frames and item.kind == "bad size"))
        )
        if is_looked_at and self.come >= item.shown:
            self.refuse(item.code)
            return False
        return self.come >= item.size

    def refuse(self, code: int) -> None:
        if self.held is not None:
            return  # what is held came first
        if self.holds and self.is_open and code != EOF:
            self.held = ("violation", code)
            return
        self.fail(code)
        raise Refused(code)

    def handle(self, item: Item) -> None:
        if item.kind == "close":
            if self.holds and self.is_open:
                self.held = ("close", item.value)
            else:
                self.take_close(item.value)
        elif not self.is_open:
            return
        elif item.kind == "data":
            if self.takes_whole_frames and self.fires("on_data_frame"):
                raise Boom("on_data_frame")
            if item.value is not None:
                self.received.append(item.value)
        elif item.kind == "ping":
            if self.fires("on_ping"):
                raise Boom("on_ping")
            self.queue.pong = item.value
        elif item.value in self.pings:
            self.beats = 0
        elif self.closes_on_stray_pong:
            self.close(1002, "unrecognized pong")
