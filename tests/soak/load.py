"""What the soak's two processes agree on: the mix of connections, and how each kind must end.

A connection says by the path of its request what it is: `/chat/17`, `/hostile/reset`.  How it
must end is known on both sides, so that every close is either explained or counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from trio_wsendpoint import ConnectionClosed, ConnectionEnded

__all__ = ["ENDINGS", "HOSTILE", "Mix", "Pace", "ending", "kind_of"]

#: How the server must see a connection of each kind end: what `ending` says.
ENDINGS = {
    "idle": {"the peer closed with 1000"},
    "chat": {"the peer closed with 1000"},
    "large": {"the peer closed with 1000"},
    "deflate": {"the peer closed with 1000"},
    "churn": {"the peer closed with 1000"},
    "bye": {"the handler returned", "the peer closed with 1000"},  # some leave before they say it
    "hostile/opcode": {"we closed with 1002"},
    "hostile/unmasked": {"we closed with 1002"},
    "hostile/utf8": {"we closed with 1007"},
    "hostile/oversize": {"we closed with 1009"},
    # A server that is short of time may take a flood so slowly that it is none; when it has
    # ended its peer is a silent one.
    "hostile/pings": {"we closed with 1008", "we closed with 1002"},
    "hostile/silent": {"we closed with 1002"},
    "hostile/deaf": {"no Close frame"},
    "hostile/vanish": {"no Close frame"},
    "hostile/torn": {"no Close frame"},
    "hostile/reset": {"no Close frame"},
}
#: What the hostile do, in turn; the last three do not get as far as a connection.
HOSTILE = (
    *(kind.removeprefix("hostile/") for kind in ENDINGS if kind.startswith("hostile/")),
    "half-request",
    "no-request",
    "not-http",
)


def kind_of(path: str) -> str:
    """Return the key of `ENDINGS` for the path of a request."""
    first, *rest = path.strip("/").split("/")
    return f"{first}/{rest[0]}" if first == "hostile" and rest else first


def ending(error: ConnectionClosed | None) -> str:
    """Say how a connection has ended, in the words of `ENDINGS`."""
    if error is None:
        return "the handler returned"
    if isinstance(error, ConnectionEnded) and error.received is not None:
        return f"the peer closed with {error.received.code}"
    if error.sent is not None:
        return f"we closed with {error.sent.code}"
    if error.received is None:
        return "no Close frame"
    return f"the peer closed with {error.received.code}"


@dataclass(frozen=True)
class Mix:
    """How many connections of each kind there are at a time."""

    idle: int
    chat: int
    large: int
    deflate: int
    churn: int
    hostile: int

    @classmethod
    def of(cls, connections: int) -> Mix:
        """Share `connections` out."""
        large = max(1, connections // 100)
        hostile = max(len(HOSTILE), connections // 40)
        churn = max(4, connections // 10)
        deflate = max(2, connections // 8)
        chat = max(5, connections * 3 // 10)
        idle = max(1, connections - large - hostile - churn - deflate - chat)
        return cls(idle, chat, large, deflate, churn, hostile)

    @property
    def total(self) -> int:
        return self.idle + self.chat + self.large + self.deflate + self.churn + self.hostile


@dataclass(frozen=True)
class Pace:
    """How often things happen; seconds, and per second.

    Both processes read the same clock, so that large messages can keep out of the moment in which
    the memory is read: what is under way would be taken for growth.
    """

    beat: float  # the heartbeat's interval
    sample: float  # from one sample to the next
    chat: float = 15.0  # between two messages of one speaker
    large: float = 6.0
    deflate: float = 6.0
    closes: float = 80.0  # churning connections that end in a second, all together
    attacks: float = 20.0  # hostile ones

    @classmethod
    def of(cls, seconds: float) -> Pace:
        """Return the pace of a run of so many seconds."""
        return cls(beat=max(1.0, min(10.0, seconds / 40)), sample=max(0.5, min(5.0, seconds / 12)))

    @property
    def write(self) -> float:
        """How long a peer may accept nothing."""
        return min(3.0, self.beat)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing large should begin now."""
        return time.monotonic() % self.sample > 0.6 * self.sample

    @property
    def until_sample(self) -> float:
        """Seconds until the next moment to read the memory."""
        moment = 0.95 * self.sample
        return (moment - time.monotonic() % self.sample) % self.sample
