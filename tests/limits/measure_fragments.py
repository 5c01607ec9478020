"""Measures what fragments cost, and what they give: `python -m tests.limits.measure_fragments`.

A server in a process of its own sends and receives messages of some sizes over loopback TCP, cut
into fragments of some sizes.  Printed are, for a MiB of payload, the CPU time of the server's
process and the time that passed, as medians of rounds in which the fragment sizes take turns; and
the round trip of the server's pings while it sends such messages one after the other.
`docs/limits.md` has the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import NamedTuple

import trio

from trio_wsendpoint import Connection, Limits, connect_endpoint, serve_endpoint

KIB = 1 << 10
MIB = 1 << 20
#: More than any message has: it leaves in one frame.
WHOLE = 1 << 30
FRAGMENTS = (16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, WHOLE)
MESSAGES = (MIB, 8 * MIB, 64 * MIB)
#: Bytes that go one way in one measurement.
VOLUME = 64 * MIB
#: Seconds between two pings.
PAUSE = 0.002


class Task(NamedTuple):
    """What is measured: fragments, messages, what the server does: "send", "receive", "ping"."""

    fragment: int
    message: int
    what: str


class Cost(NamedTuple):
    """Milliseconds: of CPU a MiB, of time a MiB; of the round trips the median and the longest."""

    cpu: float = 0.0
    wall: float = 0.0
    usual: float = 0.0
    longest: float = 0.0


def limits(fragment: int) -> Limits:
    """Return limits that let the messages pass."""
    return Limits(message_size=max(MESSAGES), fragment_size=fragment, control_rate=100_000)


# ---- the server's process ----------------------------------------------------------------------


async def handler(connection: Connection) -> None:
    """Do each task that the peer asks for, and tell what it has cost."""
    async for told in connection:
        message, what = json.loads(told)
        payload = b"x" * message
        trips: list[float] = []
        async with trio.open_nursery() as nursery:
            if what == "ping":
                nursery.start_soon(ping, connection, trips)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(VOLUME // message):
                await (connection.receive() if what == "receive" else connection.send(payload))
            if what != "receive":
                await connection.receive()  # the peer has all
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            nursery.cancel_scope.cancel()
        mib = VOLUME / MIB
        trips = trips or [wall]  # none has come back in all that time
        cost = Cost(cpu / mib, wall / mib, median(trips), max(trips))
        await connection.send(json.dumps([1000 * one for one in cost]))


async def ping(connection: Connection, trips: list[float]) -> None:
    """Ping again and again."""
    while True:
        trips.append(await connection.ping())
        await trio.sleep(PAUSE)


async def serve() -> None:
    """Serve, with a port for each size of fragments, until standard input ends."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                serve_endpoint(handler, 0, host="127.0.0.1", limits=limits(fragment))
            )
            for fragment in FRAGMENTS
        ]
        print(json.dumps([server.port for server in servers]), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


# ---- the client --------------------------------------------------------------------------------


async def measure(connection: Connection, task: Task) -> Cost:
    """Let the server do `task`, and return what it tells."""
    payload = b"x" * task.message
    await connection.send(json.dumps([task.message, task.what]))
    for _ in range(VOLUME // task.message):
        await (connection.send(payload) if task.what == "receive" else connection.receive())
    if task.what != "receive":
        await connection.send("done")
    return Cost(*json.loads(await connection.receive()))


@asynccontextmanager
async def connections(ports: list[int]) -> AsyncIterator[dict[int, Connection]]:
    """Yield a connection for each size of fragments."""
    async with AsyncExitStack() as stack:
        yield {
            fragment: await stack.enter_async_context(
                connect_endpoint(f"ws://127.0.0.1:{port}/", limits=limits(fragment))
            )
            for fragment, port in zip(FRAGMENTS, ports, strict=True)
        }


async def measure_all(ports: list[int], rounds: int) -> dict[Task, Cost]:
    """Return the medians of all rounds."""
    costs: defaultdict[Task, list[Cost]] = defaultdict(list)
    async with connections(ports) as opened:
        for number in range(-1, rounds):  # the first one is for warming up
            for message in MESSAGES:
                for what in ("send", "receive", "ping"):
                    for fragment in FRAGMENTS[:: 1 if number % 2 else -1]:
                        task = Task(fragment, message, what)
                        cost = await measure(opened[fragment], task)
                        if number >= 0:
                            costs[task].append(cost)
    return {
        task: Cost(*(median(one) for one in zip(*each, strict=True)))
        for task, each in costs.items()
    }


def print_table(costs: dict[Task, Cost]) -> None:
    """Print the Markdown table."""
    print("| message | fragments of | send: CPU, ms/MiB | send: time, ms/MiB ", end="")
    print("| receive: CPU, ms/MiB | receive: time, ms/MiB | ping: usual, ms | ping: longest, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for message in MESSAGES:
        for fragment in FRAGMENTS:
            if fragment > message and fragment != WHOLE:
                continue
            send, receive, pings = (
                costs[Task(fragment, message, what)] for what in ("send", "receive", "ping")
            )
            size = "one frame" if fragment == WHOLE else f"{fragment // KIB} KiB"
            print(f"| {message // MIB} MiB | {size} | {send.cpu:.2f} | {send.wall:.2f} ", end="")
            print(f"| {receive.cpu:.2f} | {receive.wall:.2f} ", end="")
            print(f"| {pings.usual:.1f} | {pings.longest:.1f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", action="store_true", help="be the server's process")
    options = parser.parse_args()
    if options.serve:
        trio.run(serve)
        return
    with subprocess.Popen(
        [sys.executable, "-m", "tests.limits.measure_fragments", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("pipes were asked for")
        try:
            ports = json.loads(server.stdout.readline())
            print_table(trio.run(measure_all, ports, options.rounds))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
