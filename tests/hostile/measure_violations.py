"""Row C65: of so many violations over loopback, how often does our Close frame arrive?

    python -m tests.hostile.measure_violations [count]

Each is a connection of its own that opens, breaks a rule (with more behind it than anyone will
read, as often as not), and reads on until the bytes end.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter

import trio

from tests.connection.helpers import REQUEST, Peer
from tests.protocol.wire import CLOSE, CONTINUATION, PING, TEXT, from_client
from trio_wsendpoint import CloseFrame, Connection, serve_endpoint

#: What is sent, and the close code that tells of it.
VIOLATIONS: list[tuple[bytes, int]] = [
    (b"\xff", 1002),
    (b"\x81\x02hi", 1002),
    (from_client(PING, b"x" * 126), 1002),
    (from_client(TEXT, b"fine") + from_client(CONTINUATION, b"x"), 1002),
    (from_client(TEXT, b"\xff\xfe"), 1007),
    (from_client(CLOSE, b"\x03"), 1002),
    (b"\x82\xff\x40" + bytes(7) + b"mask", 1009),
    (b"\xff" + b"x" * 1000, 1002),
    (from_client(TEXT, b"\xc0\xaf") + from_client(TEXT, b"x" * 200_000), 1007),
    (from_client(TEXT, b"x" * 2_000_000), 1009),
]
#: Connections at a time.
AT_ONCE = 32


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


async def violate(port: int, data: bytes, code: int) -> str:
    """Return "arrived", or what came instead."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        peer = Peer(stream, masks=True)
        await stream.send_all(REQUEST)
        await peer.read_head()
        closes: list[int | None] = []

        async def write() -> None:
            try:
                await stream.send_all(data)
            except trio.BrokenResourceError:
                closes.append(None)

        # As an honest peer with a bug does, it reads while it writes.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while (frame := await peer.next_frame()) is not None:
                if isinstance(frame, CloseFrame):
                    closes.insert(0, frame.code)
            nursery.cancel_scope.cancel()
        return "arrived" if closes[:1] == [code] else f"{code}: {closes}"


async def measure(port: int, count: int) -> tuple[Counter[str], float]:
    """Return what `count` peers saw, and the seconds that it took."""
    seen: Counter[str] = Counter()
    todo = itertools.islice(itertools.cycle(VIOLATIONS), count)
    began = time.perf_counter()

    async def work() -> None:
        for data, code in todo:
            seen[await violate(port, data, code)] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(work)
    return seen, time.perf_counter() - began


async def main(count: int) -> bool:
    """Print what arrived, and return whether all did."""
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        seen, seconds = await measure(server.port, count)
    print(f"{seen['arrived']} of {count} Close frames arrived, in {seconds:.1f} s")
    for what, times in seen.items():
        if what != "arrived":
            print(f"  {times} times {what}")
    return seen["arrived"] == count


if __name__ == "__main__":
    sys.exit(not trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 10_000))
