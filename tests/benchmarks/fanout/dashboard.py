"""What a client of a dashboard sees that reads nothing for a while, with `Latest`."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.server import Crowd, clock, close, connect, load_of, serving
from tests.benchmarks.frames import TEXT, make_frame

#: Updates a second, and bytes of each.
RATE, SIZE = 50, 1000
#: Seconds that a value may be old, and ms after which one is there, at most.
FRESH, MOST = 1.0, 100.0
PING, PONG = 9, 10


def dashboard(server: str, stall: float) -> Iterator[Figure]:
    """Measure how soon a client that has read nothing for `stall` seconds has a new value."""
    with serving(server, "--policy", "latest") as (_, port):
        load = load_of(server, port, SIZE)
        publisher, client = connect(load), connect(load)
        try:
            found = _stall(Crowd([publisher]), publisher, client.sock, stall)
        finally:
            close(publisher, client)
    what = f"a dashboard's client reads nothing for {stall:g} s"
    yield Figure(
        what=f"{what}, then has a value at most {FRESH:g} s old after",
        server=server,
        unit="ms",
        value=None if found is None else 1000 * found[0],
        most=MOST,
        why_not="no such value came",
    )
    if found is not None:
        old = float(found[1])
        yield Figure(
            what=f"{what}, and gets values older than that", server=server, unit="", value=old
        )


def _stall(
    crowd: Crowd, publisher, client: socket.socket, stall: float
) -> tuple[float, int] | None:
    """Return after how long the first new value came, and how many old ones before it."""
    client.setblocking(False)
    start, reader = clock(), Reader(client)
    resumed = start + 1 + stall
    number = old = 0
    while (now := clock()) < resumed + 10:
        if now >= start + number / RATE:
            number += 1
            frame = make_frame(f"{now:.6f}".encode().ljust(SIZE), TEXT)
            publisher.load.frames = [frame]
            crowd.push(publisher)
        crowd.take(0.0)
        is_reading = now < start + 1 or now >= resumed
        if not select.select([client] if is_reading else [], [], [], 0.002)[0]:
            continue
        for message in reader.read():
            if now < resumed:
                continue
            if clock() - float(message[:30]) <= FRESH:
                return clock() - resumed, old
            old += 1
    return None


class Reader:
    """Reads a server's frames, and answers its pings."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""

    def read(self) -> Iterator[bytes]:
        """Yield the messages that have come whole."""
        self._data += self._sock.recv(1 << 20)
        while len(self._data) >= 4:
            opcode, size, start = self._data[0] & 15, self._data[1], 2
            if size == 126:
                size, start = int.from_bytes(self._data[2:4], "big"), 4
            if len(self._data) < start + size:
                return
            payload = self._data[start : start + size]
            self._data = self._data[start + size :]
            if opcode == PING:
                self._sock.sendall(make_frame(payload, PONG))
            elif opcode < 8:
                yield payload
