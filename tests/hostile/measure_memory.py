"""Rows E82, E84, E86, E87 and E116: what a hostile peer can make us hold, in bytes.

    python -m tests.hostile.measure_memory

Counted is what Python allocates (`tracemalloc`), and for the churn what the process has (RSS).
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from tests.connection.helpers import REQUEST, Peer, half_pair
from tests.protocol.wire import BINARY, CONTINUATION, PING, from_client, server
from trio_wsendpoint import (
    Connection,
    Limits,
    PeerError,
    TextFrame,
    Timeouts,
    accept_endpoint,
    serve_endpoint,
)

KIB = 1024


async def ping_flood(count: int) -> tuple[int, int]:
    """Return what `count` pings of a peer that never reads make us hold, and the peak.

    The budget of 1,000 a second is lifted, so that it is the memory that is measured.
    """
    ours, theirs = half_pair()
    await theirs.send_all(REQUEST)
    limits = Limits(control_rate=10**9)
    timeouts = Timeouts(write=3600)
    async with accept_endpoint(
        ours, limits=limits, timeouts=timeouts, heartbeat=None
    ) as connection:
        await Peer(theirs, masks=True).read_head()
        ours.room = 0
        flood = from_client(PING, b"x" * 125) * 100
        await theirs.send_all(flood)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count // 100):
            await theirs.send_all(flood)
            await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        held, peak = (size - before for size in tracemalloc.get_traced_memory())
        tracemalloc.stop()
        assert connection.is_open
        assert connection.statistics().write_queue_frames <= 1
        await trio.aclose_forcefully(theirs)
    return held, peak


def fragments(count: int, limits: Limits | None = None) -> tuple[int, int]:
    """Return what a message in `count` fragments of two bytes makes an endpoint hold.

    With the default limits it is refused on the way.
    """
    endpoint = server(limits=limits)
    start = from_client(BINARY, b"xy", fin=False)
    more = from_client(CONTINUATION, b"xy", fin=False) * 1000
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        endpoint.receive_data(start)
        for _ in range(count // 1000):
            endpoint.receive_data(more)
            assert endpoint.get_next_message() is None
    except PeerError:
        pass
    held, peak = (size - before for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    return held, peak


def pinned(fragments: int, connections: int) -> float:
    """Return the bytes that each fragment of unfinished messages costs beside its payload."""
    data = from_client(BINARY, b"x" * 8, fin=False)
    data += from_client(CONTINUATION, b"x" * 8, fin=False) * (fragments - 1)
    endpoints = [server() for _ in range(connections)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for endpoint in endpoints:
        for start in range(0, len(data), 16384):
            endpoint.receive_data(data[start : start + 16384])
            assert endpoint.get_next_message() is None
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return (held / connections - 8 * fragments) / fragments


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


def resident() -> int:
    """Return the bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def churn(
    warm_up: int, count: int, measure: Callable[[], int], *, at_once: int = 20
) -> float:
    """Return by how many bytes `measure` grows in 1,000 connections that come, talk and go."""
    async with serve_endpoint(echo, 0, host="127.0.0.1") as running:

        async def one() -> None:
            async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
                await stream.send_all(REQUEST)
                peer = Peer(stream, masks=True)
                await peer.read_head()
                await peer.send(TextFrame("hello"))
                await peer.next_frame()

        async def many(total: int) -> None:
            for _ in range(total // at_once):
                async with trio.open_nursery() as nursery:
                    for _ in range(at_once):
                        nursery.start_soon(one)
            while running.statistics().connections:
                await trio.sleep(0.01)
            await trio.sleep(0.05)  # for the tasks that end with them
            gc.collect()

        await many(warm_up)
        before = measure()
        await many(count)
        return (measure() - before) * 1000 / count


def show(what: str, *figures: Any) -> None:
    sys.stdout.write(what.format(*(round(figure / KIB, 1) for figure in figures)) + "\n")


def main() -> None:
    """Print every figure."""
    run: Callable[[Callable[[], Awaitable[Any]]], Any] = trio.run
    held, peak = run(lambda: ping_flood(200_000))
    show("200,000 pings, none of the pongs read: {} KiB held, {} KiB at the most", held, peak)
    held, peak = fragments(500_000)
    show("500,000 fragments of 2 bytes: {} KiB held, {} KiB at the most", held, peak)
    held, peak = fragments(500_000, Limits(fragments=1_000_000))
    show("the same with Limits(fragments=1_000_000): {} KiB held, {} KiB at the most", held, peak)
    sys.stdout.write(
        f"4,095 fragments of 8 bytes on 100 connections: {pinned(4095, 100):.1f} bytes a fragment"
        " beside the payload\n"
    )
    # The heap of a process that has just begun grows to its working size first.
    slope = run(lambda: churn(15_000, 10_000, resident))
    show("churn: {} KiB of RSS in 1,000 connections", slope)


if __name__ == "__main__":
    main()
