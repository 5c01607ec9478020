"""What connections and servers tell about themselves, as immutable objects.

Nothing here counts: the endpoint does (`protocol.traffic`), and the tasks of a connection do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from trio_wsendpoint.errors import PeerTooSlow
from trio_wsendpoint.protocol.closing import CloseCause, Closing
from trio_wsendpoint.protocol.traffic import Traffic

__all__ = [
    "ConnectionStatistics",
    "Counts",
    "ServerStatistics",
    "Totals",
    "TrafficStatistics",
    "cause_of",
    "code_of",
    "fields_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStatistics:
    """What has gone over one connection, or over all those of a server; sizes in bytes.

    `messages_*`: what the app sent and was given.  `bytes_*`: what went over the stream.
    `frames_*`: frames that left and came, `control_frames_*` how many of these were control
    frames, `pings_*` and `pongs_*` pings and pongs among them.
    `payload_*`: payload of messages, before it was compressed and after it was inflated;
    `wire_payload_*`: the same as it went over the wire.  Sent counts with `send()`, received as
    it comes.  Of these, compressed messages alone: `plain_*` before, `compressed_*` after.
    """

    messages_sent: int = 0
    messages_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    control_frames_sent: int = 0
    control_frames_received: int = 0
    pings_sent: int = 0
    pings_received: int = 0
    pongs_sent: int = 0
    pongs_received: int = 0
    payload_sent: int = 0
    payload_received: int = 0
    wire_payload_sent: int = 0
    wire_payload_received: int = 0
    plain_sent: int = 0
    plain_received: int = 0
    compressed_sent: int = 0
    compressed_received: int = 0

    @property
    def compression_ratio_sent(self) -> float | None:
        """Bytes before compression for each byte after it; None if nothing was compressed."""
        return self.plain_sent / self.compressed_sent if self.compressed_sent else None

    @property
    def compression_ratio_received(self) -> float | None:
        """Bytes after inflation for each byte before it; None if nothing was inflated."""
        return self.plain_received / self.compressed_received if self.compressed_received else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatistics(TrafficStatistics):
    """What a connection has done and holds at one moment; sizes in bytes, times in seconds.

    Beside the fields of `TrafficStatistics`: `inbox_*` is what waits for `receive()`,
    `write_queue_*` what waits to be written, `tasks_waiting_send` how many wait for room.
    `round_trip` is that of the last `ping()`, or None.  `opened` is when it opened, by Trio's
    clock, `age` the seconds from then to now, or to its end.  `close_code` (RFC 6455 section
    7.1.5: the peer's, 1005, or 1006) is None until it is known, `close_cause` while it is open.
    """

    inbox_messages: int = 0
    inbox_bytes: int = 0
    write_queue_frames: int = 0
    write_queue_bytes: int = 0
    tasks_waiting_send: int = 0
    round_trip: float | None = None
    opened: float = 0.0
    age: float = field(default=0.0, compare=False)  # else no two would be equal
    close_code: int | None = None
    close_cause: CloseCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics(TrafficStatistics):
    """How many connections a server has, and has had, and what all of them have done.

    `connections`: open now, `opening`: in their opening handshake now.  `accepted`: streams
    accepted so far, `opened`: handshakes that succeeded, `failed`: handlers that raised,
    `refused`: streams that were over a limit of `ServerLimits`.

    The fields of `TrafficStatistics` are sums over its connections past and present, those of
    the queues (see `ConnectionStatistics`) over the present ones.  `closes`: how many have ended,
    by their cause; a cause that has not occurred is missing.
    """

    connections: int = 0
    opening: int = 0
    accepted: int = 0
    opened: int = 0
    failed: int = 0
    refused: int = 0
    inbox_messages: int = 0
    inbox_bytes: int = 0
    write_queue_frames: int = 0
    write_queue_bytes: int = 0
    tasks_waiting_send: int = 0
    closes: Mapping[CloseCause, int] = field(default_factory=dict[CloseCause, int], hash=False)


_QUEUES = (
    "inbox_messages",
    "inbox_bytes",
    "write_queue_frames",
    "write_queue_bytes",
    "tasks_waiting_send",
)


class Counts(NamedTuple):
    """What a connection, or all that a server had, has counted."""

    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    traffic: Traffic


def fields_of(counts: Counts) -> dict[str, int]:
    """Return the fields of `TrafficStatistics`."""
    traffic = counts.traffic
    return {
        "messages_sent": counts.messages_sent,
        "messages_received": counts.messages_received,
        "bytes_sent": counts.bytes_sent,
        "bytes_received": counts.bytes_received,
        "frames_sent": traffic.frames_sent,
        "frames_received": traffic.frames_received,
        "control_frames_sent": traffic.control_sent,
        "control_frames_received": traffic.control_received,
        "pings_sent": traffic.pings_sent,
        "pings_received": traffic.pings_received,
        "pongs_sent": traffic.pongs_sent,
        "pongs_received": traffic.pongs_received,
        "payload_sent": traffic.payload_sent,
        "payload_received": traffic.payload_received,
        "wire_payload_sent": traffic.wire_sent,
        "wire_payload_received": traffic.wire_received,
        "plain_sent": traffic.plain_sent,
        "plain_received": traffic.plain_received,
        "compressed_sent": traffic.encoded_sent,
        "compressed_received": traffic.encoded_received,
    }


def code_of(closing: Closing) -> int | None:
    """Return the close code, once it is known."""
    if closing.received is None and not closing.is_over:
        return None
    return int(closing.code)


def cause_of(closing: Closing) -> CloseCause | None:
    """Return why a connection ended, in a word; None while it is open."""
    return CloseCause.TIMEOUT if isinstance(closing.error, PeerTooSlow) else closing.cause


class Totals:
    """The sums of connections that have ended: adding one costs the same however many were."""

    __slots__ = ("_closes", "_numbers", "_traffic")

    def __init__(self) -> None:
        self._traffic = Traffic()
        self._numbers = [0, 0, 0, 0]
        self._closes: Counter[CloseCause] = Counter()

    def add(self, counts: Counts, closing: Closing) -> None:
        """Add what a connection that has ended has counted, and why it ended."""
        self._traffic.add(counts.traffic)
        self._numbers = [
            ours + theirs for ours, theirs in zip(self._numbers, counts[:4], strict=True)
        ]
        cause = cause_of(closing)
        if cause is not None:
            self._closes[cause] += 1

    def with_present(self, present: Iterable[ConnectionStatistics]) -> dict[str, Any]:
        """Return the sums of these and the ended ones, as fields of `ServerStatistics`."""
        sent, received, bytes_sent, bytes_received = self._numbers
        ended = Counts(sent, received, bytes_sent, bytes_received, self._traffic)
        sums: dict[str, Any] = {**fields_of(ended), **dict.fromkeys(_QUEUES, 0)}
        for one in present:
            for name in sums:
                sums[name] += getattr(one, name)
        sums["closes"] = MappingProxyType(dict(self._closes))
        return sums
