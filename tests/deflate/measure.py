"""What compression and streams cost in memory, measured in a process of its own.

`python -m tests.deflate.measure rss bomb waiting` prints one line of JSON: the bytes that the
scenario has cost at its worst.  "rss" is what the system counts, "traced" what Python's
`tracemalloc` does (zlib's memory included, in both).  Everything that the peer sends is made
before the measurement starts, except where it could not be held.

`python -m tests.deflate.measure cpu cost` prints a table: what a megabyte that one peer sends costs
the server in CPU time, for each kind of traffic in `KINDS`, with zlib and, where it is installed,
with ISA-L.  Real time and CPU decide no test.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import json
import random
import sys
import time
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
    DataFrame,
    Deflate,
    Limits,
    TextFrame,
    Timeouts,
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
    async with served(True, deflate=Deflate(threshold=0, max_ratio=None)) as (connection, peer):
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
        options["deflate"] = Deflate(max_ratio=None)
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


# ---- what a megabyte costs -------------------------------------------------------------------

#: Bytes that a peer sends in one measurement, headers included.
MEGABYTE = 1_000_000


class Stretch(trio.abc.Instrument):
    """Measures the longest step of a task, in seconds of CPU time."""

    longest = 0.0
    _began = float("inf")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self._began = time.process_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.longest = max(self.longest, time.process_time() - self._began)


def empty_dynamic_blocks(count: int) -> bytes:
    """Return `count` (a multiple of 8) blocks that consist of Huffman tables alone."""
    bits = size = 0

    def write(value: int, width: int) -> None:
        nonlocal bits, size
        bits |= value << size
        size += width

    for _ in range(count):
        for value, width in [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]:
            write(value, width)
        for length in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]:
            write(length in {18, 1}, 3)
        # 138 and 118 lengths of zero, one length of one, one distance; and the end of the block.
        for value, width in [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]:
            write(value, width)
    return bits.to_bytes(size // 8, "little")


def records(count: int) -> bytes:
    """Return `count` lines of JSON as a server of prices sends them."""
    rng = random.Random(7692)
    return b"".join(
        b'{"symbol": "ABC-%d", "time": %d, "bid": %.2f, "ask": %.2f, "venue": "main"}\n'
        % (rng.randrange(20), 1_700_000_000 + number, rng.uniform(9, 10), rng.uniform(10, 11))
        for number in range(count)
    )


def near_the_limit() -> bytes:
    """Return a message of 1 MiB that inflates 195 times: zeros, and what does not compress."""
    size = 4360
    return compressed(bytes(MIB - size) + random.Random(1).randbytes(size))


def text_near_the_limit() -> bytes:
    """Return the same of text: one character of 4 bytes, and digits."""
    rng = random.Random(1)
    digits = "".join(rng.choices("0123456789", k=10_100))
    return compressed(("\N{CAT}" * ((MIB - len(digits)) // 4) + digits).encode())


def one_block(data: bytes) -> bytes:
    """Return a stream that ends with its only block."""
    compressor = zlib.compressobj(9, wbits=-12)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def fixed_blocks() -> bytes:
    """Return 400,000 empty blocks with fixed Huffman tables: ten bits each."""
    four = sum(0b010 << 10 * place for place in range(4)).to_bytes(5, "little")
    return four * 100_000 + b"\x00"


def plain(data: bytes) -> DataFrame:
    """Return a message that is not compressed."""
    return BinaryFrame(data)


def coded(wire: bytes, kind: type[DataFrame] = BinaryFrame) -> DataFrame:
    """Return a message that is."""
    frame = kind(rsv=0b100)
    frame.payload = wire
    return frame


#: Traffic by name: one message of it.
KINDS: dict[str, Callable[[], DataFrame]] = {
    "messages of 1 byte": lambda: plain(b"x"),
    "messages of 20 bytes": lambda: plain(bytes(20)),
    "messages of 1 MiB": lambda: plain(bytes(MIB)),
    "JSON, 100 KiB from 10": lambda: coded(compressed(records(1200)), TextFrame),
    "1 MiB from 1 KiB": lambda: coded(compressed(bytes(MIB))),
    "1 MiB from 5.3 KiB": lambda: coded(near_the_limit()),
    "1 MiB of text from 5.3 KiB": lambda: coded(text_near_the_limit(), TextFrame),
    "empty final blocks": lambda: coded(b"\x03\x00" * 250_000 + b"\x00"),
    "final blocks of 1 byte": lambda: coded(one_block(b"x") * 150_000 + b"\x00"),
    "empty stored blocks": lambda: coded(b"\x00\x00\x00\xff\xff" * 100_000 + b"\x00"),
    "empty fixed blocks": lambda: coded(fixed_blocks()),
    "empty dynamic blocks": lambda: coded(empty_dynamic_blocks(40_000) + b"\x00"),
}


async def cost(kind: str, engine: Any) -> dict[str, Any]:
    """Receive a megabyte of `kind`, or what the server takes of it."""
    frame = KINDS[kind]()
    options: Any = {"deflate": Deflate(engine=engine), "timeouts": Timeouts(close=1e6)}
    async with served(True, **options) as (connection, peer):
        # Masked with zeros: that costs the same, and is made once.
        frame.mask = bytes(4)
        count = max(1, MEGABYTE // len(frame.to_bytes()))
        data = frame.to_bytes() * count
        stretch = Stretch()
        received = 0
        is_refused = False
        await settle()
        gc.collect()  # what this program has made is no part of a step of the server
        gc.freeze()
        trio.lowlevel.add_instrument(stretch)
        began = time.process_time()
        for start in range(0, len(data), 64 * KIB):
            await peer.stream.send_all(data[start : start + 64 * KIB])
        try:
            for _ in range(count):
                received += len(await connection.receive())
        except ConnectionLost:
            is_refused = True
        spent = time.process_time() - began
        trio.lowlevel.remove_instrument(stretch)
        gc.unfreeze()
        traffic = connection.endpoint.traffic
    return {
        "s/MB": spent * MEGABYTE / len(data),
        "MiB": received / MIB,
        "longest": stretch.longest,
        "refused after": traffic.wire_received if is_refused else None,
    }


def tell_costs() -> None:
    """Print the table."""
    engines = ["zlib"] + ["isal"] * (importlib.util.find_spec("isal") is not None)
    print("| a megabyte of | engine | CPU, s | messages, MiB | longest step, ms | refused after |")
    print("|---|---|---|---|---|---|")
    for kind, engine in itertools.product(KINDS, engines):
        row = run_under_mock_clock(cost, kind, engine)
        refused = "" if row["refused after"] is None else f"{row['refused after'] / 1e3:.0f} kB"
        print(
            f"| {kind} | {engine} | {row['s/MB']:.2f} | {row['MiB']:.0f} "
            f"| {row['longest'] * 1e3:.1f} | {refused} |"
        )


SCENARIOS: dict[str, Callable[[Meter, str], Awaitable[dict[str, int]]]] = {
    "bomb": bomb,
    "flood": flood,
    "large": large,
    "idle": idle,
}


def main() -> None:
    if sys.argv[1:] == ["cpu", "cost"]:
        tell_costs()
        return
    how, scenario, variant = sys.argv[1:]
    print(json.dumps(run_under_mock_clock(SCENARIOS[scenario], Meter(how), variant)))


if __name__ == "__main__":
    main()
