"""Whom we are measured beside: the servers, what they need, what they can do."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from tests.benchmarks.works import Work


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server: the program `module` of `servers`, started with `arguments` and `environment`.

    `needs`: the distributions without which it cannot run.  `raw`: it echoes bytes, without
    WebSocket; then `works` are the ones that make sense with it.
    """

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    raw: bool = False
    has_deflate: bool = True
    works: tuple[str, ...] = ()

    def can_do(self, work: Work) -> bool:
        if work.only and self.key not in work.only:
            return False
        if self.works and work.key not in self.works:
            return False
        return self.has_deflate or not work.deflate

    def missing(self) -> list[str]:
        """Return what it needs and is not installed."""
        return [name for name in self.needs if version(name) is None]


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


ECHOES = (
    "pingpong",
    "connections-100",
    "connections-1000",
    "connections-5000",
    "pipelined",
    "16k",
    "1m",
)

PEERS = (
    Peer(key="ours", title="trio_wsendpoint", module="ours"),
    Peer(
        key="ours_pure",
        title="trio_wsendpoint, uncompiled",
        module="ours",
        environment=(("TRIO_WSENDPOINT_PURE", "1"),),
        works=("pingpong", "connections-100", "pipelined", "16k", "1m", "deflate", "broadcast"),
    ),
    Peer(
        key="websockets_trio",
        title="websockets, Trio",
        module="websockets_trio",
        needs=("websockets",),
    ),
    Peer(
        key="websockets_asyncio",
        title="websockets, asyncio",
        module="websockets_asyncio",
        needs=("websockets",),
    ),
    Peer(
        key="websockets_uvloop",
        title="websockets, uvloop",
        module="websockets_asyncio",
        arguments=("--uvloop",),
        needs=("websockets", "uvloop"),
    ),
    Peer(
        key="trio_websocket",
        title="trio-websocket",
        module="trio_websocket",
        needs=("trio-websocket",),
        has_deflate=False,
    ),
    Peer(key="aiohttp", title="aiohttp, asyncio", module="aiohttp", needs=("aiohttp",)),
    Peer(
        key="picows",
        title="picows, asyncio",
        module="picows",
        needs=("picows",),
        has_deflate=False,
    ),
    Peer(
        key="raw_trio",
        title="raw Trio TCP",
        module="raw_trio",
        raw=True,
        has_deflate=False,
        works=(*ECHOES, "broadcast", "idle"),
    ),
    Peer(
        key="raw_trio_stream",
        title="raw Trio stream",
        module="raw_trio_stream",
        raw=True,
        has_deflate=False,
        works=(*ECHOES, "tls"),
    ),
)
TITLES = {peer.key: peer.title for peer in PEERS}

#: Distributions whose versions the table tells.
TOLD = (
    "trio",
    "trio-wsendpoint",
    "websockets",
    "trio-websocket",
    "wsproto",
    "aiohttp",
    "picows",
    "aiofastnet",
    "uvloop",
)
