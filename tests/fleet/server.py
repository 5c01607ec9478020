"""A process that is measured: `python -m tests.fleet.server REDIS HEARTBEAT [CERTIFICATE]`.

It serves a hub, and answers each line with what it has used.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
import time
from functools import partial
from pathlib import Path

import trio

from trio_wsendpoint import Connection, Heartbeat, ServerLimits, serve_endpoint
from trio_wsendpoint.hub import open_hub
from trio_wsendpoint.hub.redis import RedisBackplane


def used() -> dict[str, float]:
    """Return the seconds of processor, and the bytes of memory, that this process has used."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"cpu": time.process_time(), "memory": pages * os.sysconf("SC_PAGESIZE")}


async def main(redis: str, heartbeat: str, certificate: str | None = None) -> None:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    limits = ServerLimits(connections=100_000, openings=10_000)
    async with open_hub(backplane=RedisBackplane(redis)) as hub:

        async def serve(connection: Connection) -> None:
            await hub.serve(connection, connection.request.query["topic"])

        async with serve_endpoint(
            serve,
            0,
            host="127.0.0.1",
            ssl_context=context,
            # The load answers pings only when it is told to.
            heartbeat=Heartbeat(interval=float(heartbeat), max_pings=1000),
            server_limits=limits,
        ) as server:
            print(json.dumps({"port": server.port}), flush=True)
            while await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
                print(json.dumps(used() | {"open": len(server.connections)}), flush=True)


if __name__ == "__main__":
    trio.run(partial(main, *sys.argv[1:]))
