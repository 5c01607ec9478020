"""Whom we are measured beside: the servers, what they need, what they can do."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from tests.benchmarks import native
from tests.benchmarks.works import Work


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server: the program `module` of `servers`, started with `arguments` and `environment`.

    `native`: the program in C that takes its place.  `needs`: the distributions without which it
    cannot run.  `raw`: it echoes bytes, without WebSocket.  `socketio`: it speaks Socket.IO.
    `works`: what it is measured with, if not with all.
    """

    key: str
    title: str
    module: str = ""
    native: str | None = None
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    raw: bool = False
    socketio: bool = False
    has_deflate: bool = True
    works: tuple[str, ...] = ()

    def can_do(self, work: Work) -> bool:
        if work.only and self.key not in work.only:
            return False
        if self.works and work.key not in self.works:
            return False
        return self.has_deflate or not work.deflate

    def why_not(self) -> str | None:
        """Return why it cannot be measured here, None if it can."""
        missing = [name for name in self.needs if version(name) is None]
        if missing:
            return f"{', '.join(missing)} is not installed"
        return None if self.native is None else native.why_not(self.native)


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


ECHOES = (
    *("pingpong", "connections-100", "connections-1000", "connections-5000"),
    *("in-flight-32", "1k", "16k", "1m"),
)
UVLOOP = ("--uvloop",)
#: What the servers of ASGI applications are measured with.
APPLICATIONS = ("asgi-get", "asgi-echo")
#: What the ways to reach many are measured with.
FANOUT = ("hub-1000", "hub-5000")

PEERS = (
    Peer(key="ours", title="trio_wsendpoint", module="ours"),
    Peer(
        key="ours_pure",
        title="trio_wsendpoint, uncompiled",
        module="ours",
        environment=(("TRIO_WSENDPOINT_PURE", "1"),),
        works=(
            *("pingpong", "connections-100", "in-flight-32", "1k", "16k", "1m"),
            *("deflate", "broadcast"),
        ),
    ),
    Peer(
        key="ours_hub",
        title="trio_wsendpoint, hub",
        module="ours_hub",
        arguments=("--by", "hub"),
        needs=("coredis",),
        works=FANOUT,
    ),
    Peer(
        key="ours_send",
        title="trio_wsendpoint, a loop of send",
        module="ours_hub",
        arguments=("--by", "send"),
        needs=("coredis",),
        works=FANOUT,
    ),
    Peer(
        key="socketio",
        title="python-socketio, Uvicorn",
        module="socketio",
        needs=("python-socketio", "uvicorn", "websockets"),
        socketio=True,
        works=FANOUT,
    ),
    Peer(
        key="ours_asgi",
        title="trio_wsendpoint, ASGI",
        module="ours_asgi",
        works=APPLICATIONS,
    ),
    Peer(
        key="hypercorn_trio",
        title="Hypercorn, Trio",
        module="hypercorn",
        needs=("hypercorn",),
        works=APPLICATIONS,
    ),
    Peer(
        key="uvicorn_h11",
        title="Uvicorn, asyncio, h11",
        module="uvicorn",
        needs=("uvicorn", "websockets"),
        works=APPLICATIONS,
    ),
    Peer(
        key="websockets_trio",
        title="websockets, Trio",
        module="websockets_trio",
        needs=("websockets",),
    ),
    Peer(
        key="websockets_uvloop",
        title="websockets, uvloop",
        module="websockets_asyncio",
        arguments=UVLOOP,
        needs=("websockets", "uvloop"),
    ),
    Peer(
        key="trio_websocket",
        title="trio-websocket",
        module="trio_websocket",
        needs=("trio-websocket",),
        has_deflate=False,
        works=("pingpong", "connections-100", "in-flight-32", "handshakes", "idle", "growth"),
    ),
    Peer(
        key="aiohttp_uvloop",
        title="aiohttp, uvloop",
        module="aiohttp",
        arguments=UVLOOP,
        needs=("aiohttp", "uvloop"),
    ),
    Peer(
        key="picows",
        title="picows, asyncio",
        module="picows",
        needs=("picows",),
        has_deflate=False,
    ),
    Peer(
        key="picows_uvloop",
        title="picows, uvloop",
        module="picows",
        arguments=UVLOOP,
        needs=("picows", "uvloop"),
        has_deflate=False,
    ),
    Peer(
        key="raw_trio",
        title="raw Trio echo",
        module="raw_trio",
        raw=True,
        has_deflate=False,
        works=(*ECHOES, "broadcast", "idle", "growth"),
    ),
    Peer(
        key="c_echo",
        title="C epoll echo",
        native="echo",
        raw=True,
        has_deflate=False,
        works=(*ECHOES, "broadcast"),
    ),
)
TITLES = {peer.key: peer.title for peer in PEERS}
#: Those without WebSocket, which show what can be had at best.
FLOORS = tuple(peer.key for peer in PEERS if peer.raw)

#: Distributions whose versions the page tells.
TOLD = (
    *("trio", "trio-wsendpoint", "websockets", "trio-websocket", "wsproto"),
    *("h11", "hypercorn", "uvicorn", "python-socketio", "coredis", "redis"),
    *("aiohttp", "picows", "aiofastnet", "uvloop"),
)
