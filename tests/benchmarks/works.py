"""What is measured: each `Work` is one kind of load, the same for every server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

KIB = 1024
MIB = 1024 * KIB

Kind = Literal["echo", "request", "broadcast", "handshake", "idle", "growth"]

#: Where the processes run: "one" is server and load on the same core, "two" each on its own.
Regime = Literal["one", "two"]
REGIMES: dict[Regime, str] = {"one": "one core", "two": "two cores"}


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kind of load.

    "echo": `connections` each keep `in_flight` messages of `size` bytes of payload under way, and
    each message is written by a call of its own.  "request": the same with GETs, whose answers have
    `size` bytes.  "broadcast": one of them sends a message, and
    all get it.  "handshake": each is opened and closed, one after another.  "idle": they are
    opened and left alone, after one message if `used`.  "growth": so many are opened, used and
    closed, again and again, and what stays of them is measured.

    `unit` is what is counted.  `only`: the servers that the work is for, if not for all.
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
    regimes: tuple[Regime, ...] = ("one",)

    @property
    def is_memory(self) -> bool:
        """Whether what it measures is KiB, and not time."""
        return self.kind in {"idle", "growth"}

    def to_json(self) -> dict[str, Any]:
        """Return it as the load generator reads it."""
        return asdict(self)


BOTH: tuple[Regime, ...] = ("one", "two")
#: The works that tell how the cost grows with the number of connections.
SCALING = ("pingpong", "connections-100", "connections-1000", "connections-5000")
#: The servers that 1,000 connections are measured with, and 5,000.
MANY = (
    *("ours", "websockets_trio", "websockets_uvloop", "aiohttp_uvloop"),
    *("picows", "picows_uvloop", "raw_trio", "c_echo"),
)
#: The servers of ASGI applications, and ours without an application.
ASGI = ("ours", "ours_asgi", "hypercorn_trio", "uvicorn_h11")
#: The ways to reach many, and `broadcast` of others.
REACH = ("ours", "ours_hub", "ours_send", "websockets_uvloop", "socketio")
VERY_MANY = ("ours", "websockets_uvloop", "picows", "picows_uvloop", "raw_trio", "c_echo")

WORKS = (
    Work(key="pingpong", title="1 connection, 125 B, ping-pong", regimes=BOTH),
    Work(key="connections-100", title="100 connections, 125 B", connections=100, regimes=BOTH),
    Work(
        key="connections-1000",
        title="1,000 connections, 125 B",
        connections=1000,
        only=MANY,
        regimes=BOTH,
    ),
    Work(
        key="connections-5000",
        title="5,000 connections, 125 B",
        connections=5000,
        only=VERY_MANY,
        regimes=BOTH,
    ),
    Work(
        key="in-flight-32",
        title="10 connections, 125 B, 32 in flight",
        connections=10,
        in_flight=32,
        regimes=BOTH,
    ),
    Work(
        key="1k",
        title="10 connections, 1 KiB, 4 in flight",
        connections=10,
        in_flight=4,
        size=KIB,
        only=("ours", "ours_pure", "picows", "c_echo"),
        regimes=BOTH,
    ),
    Work(
        key="16k",
        title="10 connections, 16 KiB, 4 in flight",
        connections=10,
        in_flight=4,
        size=16 * KIB,
        regimes=BOTH,
    ),
    Work(
        key="1m",
        title="2 connections, 1 MiB binary, 2 in flight",
        connections=2,
        in_flight=2,
        size=MIB,
        regimes=BOTH,
    ),
    Work(
        key="1m-text",
        title="2 connections, 1 MiB text, 2 in flight",
        connections=2,
        in_flight=2,
        size=MIB,
        text=True,
    ),
    Work(
        key="deflate",
        title="10 connections, 1 KiB of JSON, compressed",
        connections=10,
        size=KIB,
        text=True,
        deflate=True,
    ),
    Work(key="tls", title="TLS, 1 connection, 125 B, ping-pong", tls=True, regimes=BOTH),
    Work(key="tls-50", title="TLS, 50 connections, 125 B", connections=50, tls=True, regimes=BOTH),
    Work(
        key="broadcast",
        title="125 B from one to 1,000",
        kind="broadcast",
        connections=1000,
        unit="deliveries",
    ),
    Work(
        key="hub-1000",
        title="125 B to 1,000 subscribers",
        kind="broadcast",
        connections=1000,
        unit="deliveries",
        only=REACH,
    ),
    Work(
        key="hub-5000",
        title="125 B to 5,000 subscribers",
        kind="broadcast",
        connections=5000,
        unit="deliveries",
        only=REACH,
    ),
    Work(
        key="handshakes",
        title="connections opened and closed",
        kind="handshake",
        unit="connections",
    ),
    Work(
        key="asgi-get",
        title="ASGI, GET, 1 connection",
        kind="request",
        unit="requests",
        only=ASGI,
        regimes=BOTH,
    ),
    Work(
        key="asgi-echo",
        title="ASGI, 1 connection, 125 B, ping-pong",
        only=ASGI,
        regimes=BOTH,
    ),
    Work(key="idle", title="2,000 idle connections", kind="idle", connections=2000),
    Work(
        key="idle-deflate",
        title="2,000 idle connections, compression agreed",
        kind="idle",
        connections=2000,
        deflate=True,
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
    ),
    Work(
        key="growth",
        title="what stays of 1,000 connections that were opened, used and closed",
        kind="growth",
        connections=1000,
        used=True,
    ),
)
WORK_TITLES = {work.key: work.title for work in WORKS}
