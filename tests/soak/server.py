"""The process that is measured: a server, which answers on standard output what it holds.

`python -m tests.soak.server SECONDS`; each line on standard input is answered with one line of
JSON; it ends with the input.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import sys
import time
from collections import Counter
from pathlib import Path

import trio

from tests.soak.load import ENDINGS, Pace, ending, kind_of
from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    Deflate,
    EndpointServer,
    Heartbeat,
    Limits,
    Timeouts,
    serve_endpoint,
)

__all__ = ["Handlers", "main", "memory"]

#: What a deaf peer is sent, again and again.
CHUNK = b"x" * 65536


def memory() -> dict[str, int]:
    """Return what this process holds: KiB resident, and objects, once garbage is given back.

    `private` is what it has allocated, without the files that are mapped, whose pages come and go
    as the system pleases, and which other processes share.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    told = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        told[name.rstrip(":").lower()] = int(value)
    return {
        "rss": told["rss"],
        "private": told["anonymous"],
        "blocks": sys.getallocatedblocks(),
    }


class Handlers:
    """What the server does for each kind of connection, and the tally of how they end."""

    def __init__(self) -> None:
        self.closes: Counter[str] = Counter()
        self.unexplained: list[str] = []
        self._groups: dict[str, set[Connection]] = {}

    async def handle(self, connection: Connection) -> None:
        """Serve one connection, by its path, and note its end."""
        kind = kind_of(connection.request.path)
        error = None
        try:
            await self._serve(connection, kind)
        except ConnectionClosed as closed:
            error = closed
        how = ending(error)
        self.closes[f"{kind}: {how}"] += 1
        if how not in ENDINGS.get(kind, ()):
            self.unexplained.append(f"{kind}: {how} ({error})")

    async def _serve(self, connection: Connection, kind: str) -> None:
        if kind == "chat":
            await self._chat(connection)
        elif kind == "hostile/deaf":
            while True:
                await connection.send(CHUNK)
        while True:
            message = await connection.receive()
            await connection.send(message)
            if message == "bye":
                return

    async def _chat(self, connection: Connection) -> None:
        group = self._groups.setdefault(connection.request.path, set())
        group.add(connection)
        try:
            while True:
                message = await connection.receive()
                for member in list(group):
                    with contextlib.suppress(trio.WouldBlock, ConnectionClosed):
                        member.send_nowait(message)
        finally:
            group.discard(connection)


class _Loud(logging.Handler):
    """Keeps what is logged above INFO: a soak has nothing to say."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def _told(server: EndpointServer, handlers: Handlers, loud: _Loud) -> dict[str, object]:
    statistics = server.statistics()
    by_cause = getattr(statistics, "closes", None)
    return {
        **memory(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "cpu": time.process_time(),
        "open": statistics.connections,
        "opening": statistics.opening,
        "accepted": statistics.accepted,
        "opened": statistics.opened,
        "closed": handlers.closes.total(),
        "closes": dict(handlers.closes),
        "by cause": None if by_cause is None else {str(key): by_cause[key] for key in by_cause},
        "unexplained": [*handlers.unexplained, *loud.messages],
    }


async def _serve(pace: Pace) -> None:
    handlers, loud = Handlers(), _Loud()
    logging.getLogger().addHandler(loud)
    served = serve_endpoint(
        handlers.handle,
        0,
        host="127.0.0.1",
        backlog=1024,
        deflate=Deflate(),
        heartbeat=Heartbeat(interval=pace.beat, max_pings=2),
        limits=Limits(control_rate=200),
        timeouts=Timeouts(open=max(2, pace.beat), write=pace.write, close=max(8, 3 * pace.beat)),
    )
    async with served as server:
        print(json.dumps({"port": server.port}), flush=True)
        while await trio.to_thread.run_sync(sys.stdin.readline):
            print(json.dumps(_told(server, handlers, loud)), flush=True)


def main(seconds: float) -> None:
    """Serve until standard input ends."""
    trio.run(_serve, Pace.of(seconds))


if __name__ == "__main__":
    main(float(sys.argv[1]))
