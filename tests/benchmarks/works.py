"""What is measured: each `Work` is one kind of load, the same for every server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

KIB = 1024
MIB = 1024 * KIB

Kind = Literal["echo", "broadcast", "handshake", "idle"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kind of load.

    `connections` each keep `in_flight` messages of `size` bytes of payload under way ("echo"); or
    one of them sends a message that all get ("broadcast"); or each is opened and closed, one after
    another ("handshake"); or they are opened and left alone ("idle"), after one message if `used`.
    `unit` is what is counted.  `only`: the servers that it is for, if not for all.
    """

    key: str
    title: str
    kind: Kind = "echo"
    connections: int = 1
    in_flight: int = 1
    size: int = 125
    text: bool = False
    deflate: bool = False
    tls: bool = False
    used: bool = False
    unit: str = "messages"
    only: tuple[str, ...] = ()
    #: Whether the plot shows it.
    plotted: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as the load generator reads it."""
        return asdict(self)


#: Those that tell how the cost grows with the number of connections.
SCALING = ("pingpong", "connections-100", "connections-1000", "connections-5000")
#: Whom many connections are measured with: ours, the floor, and one to compare with.
MANY = ("ours", "raw_trio", "websockets_trio", "websockets_uvloop")

WORKS = (
    Work(key="pingpong", title="1 connection, 125 B, ping-pong"),
    Work(key="connections-100", title="100 connections, 125 B", connections=100),
    Work(
        key="connections-1000",
        title="1,000 connections, 125 B",
        connections=1000,
        only=MANY,
        plotted=False,
    ),
    Work(
        key="connections-5000",
        title="5,000 connections, 125 B",
        connections=5000,
        only=MANY,
        plotted=False,
    ),
    Work(
        key="pipelined", title="10 connections, 125 B, 32 in flight", connections=10, in_flight=32
    ),
    Work(key="16k", title="10 connections, 16 KiB", connections=10, size=16 * KIB),
    Work(key="1m", title="2 connections, 1 MiB binary", connections=2, size=MIB),
    Work(key="1m-text", title="2 connections, 1 MiB text", connections=2, size=MIB, text=True),
    Work(
        key="deflate",
        title="10 connections, 1 KiB of JSON, compressed",
        connections=10,
        size=KIB,
        text=True,
        deflate=True,
    ),
    Work(key="tls", title="TLS, 1 connection, 125 B, ping-pong", tls=True),
    Work(
        key="broadcast",
        title="125 B from one to 1,000",
        kind="broadcast",
        connections=1000,
        unit="deliveries",
    ),
    Work(
        key="handshakes",
        title="connections opened and closed",
        kind="handshake",
        unit="connections",
    ),
    Work(key="idle", title="2,000 idle connections", kind="idle", connections=2000),
    Work(
        key="idle-deflate",
        title="2,000 idle connections, compression agreed",
        kind="idle",
        connections=2000,
        deflate=True,
        plotted=False,
    ),
    Work(
        key="idle-deflate-used",
        title="2,000 idle connections, compression used once",
        kind="idle",
        connections=2000,
        size=KIB,
        text=True,
        deflate=True,
        used=True,
        plotted=False,
    ),
)
