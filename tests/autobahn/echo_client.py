"""Our client for the fuzzing server: runs every case, then has the reports written.

`python -m tests.autobahn.echo_client URL`
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Awaitable, Callable

import trio

from tests.autobahn.echo_server import LIMITS, echo
from trio_wsendpoint import Connection, ConnectionClosed, Deflate, Timeouts, connect_endpoint

AGENT = "trio_wsendpoint"
#: The server writes its reports between our request and its answer.
PATIENT = Timeouts(open=300)


async def visit(
    url: str, talk: Callable[[Connection], Awaitable[None]], timeouts: Timeouts | None = None
) -> None:
    """Connect to `url` and `talk` until the connection ends, as each of them does."""
    async with connect_endpoint(
        url,
        limits=LIMITS,
        heartbeat=None,
        deflate=Deflate(),
        timeouts=timeouts or Timeouts(),
    ) as connection:
        # Whether it should have ended is for the reports to say.
        with contextlib.suppress(ConnectionClosed):
            await talk(connection)


async def run_cases(url: str) -> None:
    """Do what the fuzzing server at `url` has for us."""
    counts: list[int] = []

    async def count(connection: Connection) -> None:
        counts.append(int(await connection.receive()))

    await visit(f"{url}/getCaseCount", count)
    for case in range(1, counts[0] + 1):
        await visit(f"{url}/runCase?case={case}&agent={AGENT}", echo)
    await visit(f"{url}/updateReports?agent={AGENT}", Connection.wait_closed, PATIENT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo every message of every case.")
    parser.add_argument("url")
    trio.run(run_cases, parser.parse_args().url)
