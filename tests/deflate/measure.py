"""What compression and streams cost in memory, measured in a process of its own.

`python -m tests.deflate.measure rss bomb waiting` prints one line of JSON: the bytes that the
scenario has cost at its worst.  "rss" is what the system counts, "traced" what Python's
`tracemalloc` does (zlib's memory included, in both).  Everything that the peer sends is made
before the measurement starts, except where it could not be held.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio
import trio.testing

from tests.streams.helpers import run_under_mock_clock, served, settle
from trio_wsendpoint import (
    BinaryFrame,
    Connection,
    ConnectionLost,
    Deflate,
    Limits,
)
from trio_wsendpoint.testing import connection_pair

KIB, MIB = 1024, 1024 * 1024


class Meter:
    """Measures the peak from `start()` on, above what there was then."""

    def __init__(self, how: str) -> None:
        self._is_traced = how == "traced"
        self._before = 0

    def start(self) -> None:
        gc.collect()
        if self._is_traced:
            tracemalloc.start()
            self._before = tracemalloc.get_traced_memory()[0]
        else:
            with contextlib.suppress(OSError):  # else the peak so far is part of the peak
                Path("/proc/self/clear_refs").write_text("5")
            self._before = _status("VmRSS")

    def peak(self) -> int:
        if self._is_traced:
            return tracemalloc.get_traced_memory()[1] - self._before
        return _status("VmHWM") - self._before

    def now(self) -> int:
        gc.collect()
        if self._is_traced:
            return tracemalloc.get_traced_memory()[0] - self._before
        return _status("VmRSS") - self._before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * KIB
    raise LookupError(name)


def compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def receive(connection: Connection, how: str) -> None:
    """Take a message, in one of the ways that an application has."""
    if how == "streaming":
        async with connection.receive_stream() as chunks:
            async for _ in chunks:
                pass
    else:
        if how == "late":
            await settle()
        await connection.receive()


async def bomb(meter: Meter, how: str) -> dict[str, int]:
    """64 KB on the wire are 64 MiB of zeros: 1009."""
    wire = compressed(bytes(64 * MIB))
    async with served(True) as (connection, peer):
        await peer.send_message("text", b"warm")
        await connection.receive()
        data = peer.to_bytes(BinaryFrame(wire, rsv=0b100))
        meter.start()
        await peer.stream.send_all(data)
        try:
            await receive(connection, how)
        except ConnectionLost:
            code, _ = await peer.expect_close()
            return {"cost": meter.peak(), "wire": len(wire), "code": code or 1005}
    raise AssertionError("it was not refused")


async def flood(meter: Meter, how: str) -> dict[str, int]:
    """60 compressed messages of 1 MiB to an app that does not read; then it does."""
    wire = compressed(bytes(MIB))
    async with served(True) as (connection, peer):
        await peer.send_message("text", b"warm")
        await connection.receive()
        data = peer.to_bytes(*(BinaryFrame(wire, rsv=0b100) for _ in range(60)))
        meter.start()
        await peer.stream.send_all(data)
        await settle()
        await trio.sleep(10)
        cost = meter.peak()
        for _ in range(60 if how == "late" else 0):
            assert len(await connection.receive()) == MIB
        return {"cost": cost, "while reading": meter.peak(), "wire": len(data)}


async def large(meter: Meter, how: str) -> dict[str, int]:
    """200 MiB in one message, from `send_stream` to `receive_stream`.

    From a server to a client: masks would take most of the time.
    """
    options: Any = {"limits": Limits(message_size=256 * MIB)}
    if how == "deflate":
        options["deflate"] = Deflate()
    streams = trio.testing.lockstep_stream_pair()
    async with connection_pair(handshake=True, streams=streams, client=options, server=options) as (
        client,
        server,
    ):
        chunk = bytes(64 * KIB)

        async def send() -> None:
            async with server.send_stream("binary") as stream:
                for _ in range(200 * 16):
                    await stream.send(chunk)

        meter.start()
        size = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            async with client.receive_stream() as chunks:
                async for piece in chunks:
                    size += len(piece)
        assert size == 200 * MIB
        return {"cost": meter.peak()}


async def idle(meter: Meter, how: str) -> dict[str, int]:
    """1,000 connections; how much is one?  (500 pairs: both ends are ours.)"""
    makers: dict[str, Deflate | None] = {
        "plain": None,
        "unused": Deflate(),
        "forgetful": Deflate(context_takeover=False, peer_context_takeover=False),
        "used": Deflate(),
    }
    deflate = makers[how]
    options: Any = {"deflate": deflate}
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(
            connection_pair(handshake=True, client=options, server=options)
        )
        await _talk(*pair)
        meter.start()
        for _ in range(500):
            pair = await stack.enter_async_context(
                connection_pair(handshake=True, client=options, server=options)
            )
            if how != "unused":
                await _talk(*pair)
        if how == "used":
            await trio.sleep(100)
        return {"cost": meter.now() // 1000}


async def _talk(client: Connection, server: Connection) -> None:
    text = "".join(f'{{"id": {number}}}' for number in range(100))
    for sender, receiver in [(client, server), (server, client)]:
        await sender.send(text)
        assert await receiver.receive() == text


SCENARIOS: dict[str, Callable[[Meter, str], Awaitable[dict[str, int]]]] = {
    "bomb": bomb,
    "flood": flood,
    "large": large,
    "idle": idle,
}


def main() -> None:
    how, scenario, variant = sys.argv[1:]
    print(json.dumps(run_under_mock_clock(SCENARIOS[scenario], Meter(how), variant)))


if __name__ == "__main__":
    main()
