"""What an endpoint counts: plain integers, added up in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.protocol.coding import Received

__all__ = ["Traffic"]


class Traffic(Received):
    """Frames and bytes of one endpoint so far; every count only grows.

    `frames_*` and `control_*`: frames that left or came whole, and how many of them were control
    frames.  `pings_*`, `pongs_*`: of these, by type.
    `payload_sent`: bytes of payload that were queued, before an extension encoded them; of these
    `plain_sent` were encoded, and became `encoded_sent`.
    `wire_received`: bytes of payload of data frames, as they came; of these `encoded_received`
    were encoded, and became `plain_received`.  Bytes that come after our Close are not counted.
    """

    __slots__ = (
        "control_received",
        "control_sent",
        "encoded_received",
        "encoded_sent",
        "frames_sent",
        "payload_sent",
        "pings_received",
        "pings_sent",
        "plain_received",
        "plain_sent",
        "pongs_received",
        "pongs_sent",
    )

    if TYPE_CHECKING:
        frames_received: int
        wire_received: int

    def __init__(self) -> None:
        super().__init__()
        self.frames_sent = 0
        self.control_sent = self.control_received = 0
        self.pings_sent = self.pings_received = 0
        self.pongs_sent = self.pongs_received = 0
        self.payload_sent = self.plain_sent = self.encoded_sent = 0
        self.encoded_received = self.plain_received = 0

    def note_control_sent(self, kind: str) -> None:
        """Count a control frame that leaves, in addition to `frames_sent`; `kind` is its type."""
        self.control_sent += 1
        if kind == "ping":
            self.pings_sent += 1
        elif kind == "pong":
            self.pongs_sent += 1

    def note_control_received(self, kind: str) -> None:
        """Count a control frame that has come, in addition to `frames_received`."""
        self.control_received += 1
        if kind == "ping":
            self.pings_received += 1
        elif kind == "pong":
            self.pongs_received += 1

    def add(self, other: Traffic) -> None:
        """Count what `other` has counted as well.

        In so many lines, for it is done at the end of each connection: a loop over the names costs
        a hundredth of opening and closing one.
        """
        self.frames_sent += other.frames_sent
        self.frames_received += other.frames_received
        self.control_sent += other.control_sent
        self.control_received += other.control_received
        self.pings_sent += other.pings_sent
        self.pings_received += other.pings_received
        self.pongs_sent += other.pongs_sent
        self.pongs_received += other.pongs_received
        self.payload_sent += other.payload_sent
        self.plain_sent += other.plain_sent
        self.encoded_sent += other.encoded_sent
        self.wire_received += other.wire_received
        self.encoded_received += other.encoded_received
        self.plain_received += other.plain_received

    @property
    def wire_sent(self) -> int:
        """Bytes of `payload_sent` after an extension encoded them."""
        return self.payload_sent - self.plain_sent + self.encoded_sent

    @property
    def payload_received(self) -> int:
        """Bytes of `wire_received` after an extension decoded them."""
        return self.wire_received - self.encoded_received + self.plain_received
