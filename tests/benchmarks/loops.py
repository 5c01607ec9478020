"""What a load does in a round, and what it tells of it."""

from __future__ import annotations

import resource
import select
import socket
import time
from dataclasses import dataclass

from tests.benchmarks.connections import PATIENCE, Connection, Load
from tests.benchmarks.engine import Engine
from tests.benchmarks.figures import BUCKETS, bucket, quantile

BOTH, READING = select.EPOLLIN | select.EPOLLOUT, select.EPOLLIN
clock = time.perf_counter_ns


@dataclass
class Round:
    """How often the server did its work, and the latencies as a histogram of ns."""

    count: int
    histogram: list[int]

    def to_json(self, seconds: float, awake: float) -> dict[str, float]:
        """Return what the harness is told: the load was `awake` in so many of the `seconds`."""
        return {
            "count": self.count,
            "seconds": seconds,
            "awake": awake,
            "p50": quantile(self.histogram, 0.5),
            "p99": quantile(self.histogram, 0.99),
        }


def run(load: Load, seconds: float, engine: Engine | None, pause: float = 0.0) -> Round:
    """Keep the server busy for about `seconds`: once at least. Nothing is under way afterwards.

    `engine` does it if it can: if all messages are the same, and in the clear.  `pause`: see
    `bursts`.
    """
    kind = load.work["kind"]
    end = clock() + int(seconds * 1e9)
    if pause:
        return bursts(load, end, pause)
    if kind in {"handshake", "growth"}:
        return handshakes(load, end)
    if engine is not None and load.tls is None and not load.walks:
        done, histogram = engine.run(
            list(load.connections),
            frame=load.frames[0],
            echo=load.echo,
            in_flight=load.work["in_flight"],
            seconds=seconds,
            is_broadcast=kind == "broadcast",
        )
        return Round(done, histogram)
    return broadcast(load, end) if kind == "broadcast" else echo(load, end)


def echo(load: Load, end: int) -> Round:
    connections, epoll = load.connections, load.epoll
    in_flight = load.work["in_flight"]
    histogram = [0] * BUCKETS
    done = 0
    for fd, connection in connections.items():
        if connection.push(in_flight, clock()):
            epoll.modify(fd, BOTH)
    under_way = in_flight * len(connections)
    while under_way:
        for fd, event in _wait(epoll):
            connection = connections[fd]
            if event & ~BOTH:
                raise ConnectionError("the server went away")
            if event & select.EPOLLOUT and not connection.flush():
                epoll.modify(fd, READING)
            if not event & READING:
                continue
            now = clock()
            count = _take(connection, now, histogram)
            done += count
            if now >= end:
                under_way -= count
            elif count and connection.push(count, now):
                epoll.modify(fd, BOTH)
    return Round(done, histogram)


def bursts(load: Load, end: int, pause: float) -> Round:
    """Send all that may be under way, read what comes back, and wait for `pause` seconds; again.

    So the server has waited for each burst.
    """
    connections, epoll = load.connections, load.epoll
    histogram = [0] * BUCKETS
    done = 0
    while not done or clock() < end:
        for fd, connection in connections.items():
            if connection.push(load.work["in_flight"], clock()):
                epoll.modify(fd, BOTH)
        left = load.work["in_flight"] * len(connections)
        done += left
        while left:
            for fd, event in _wait(epoll):
                if event & select.EPOLLOUT and not connections[fd].flush():
                    epoll.modify(fd, READING)
                left -= _take(connections[fd], clock(), histogram)
        time.sleep(pause)
    return Round(done, histogram)


def broadcast(load: Load, end: int) -> Round:
    connections, epoll = load.connections, load.epoll
    first = next(iter(connections.values()))
    histogram = [0] * BUCKETS
    done = 0
    while not done or clock() < end:
        now = clock()
        for connection in connections.values():
            connection.stamps.append(now)
        first.push(1, now)
        first.stamps.pop()  # it is there with the others'
        left = len(connections)
        while left:
            for fd, _ in _wait(epoll):
                left -= _take(connections[fd], clock(), histogram)
        done += len(connections)
    return Round(done, histogram)


def handshakes(load: Load, end: int) -> Round:
    """Open, say goodbye, and wait for the server to close; again and again."""
    histogram = [0] * BUCKETS
    done = 0
    while not done or clock() < end:
        started = clock()
        open_and_close(load)
        histogram[bucket(clock() - started)] += 1
        done += 1
    return Round(done, histogram)


def open_and_close(load: Load) -> None:
    """Open a connection, send a message on it if it is to be used, and close it."""
    with load.connect() as sock:
        if load.work["used"]:
            load.check(Connection(load, sock))
            sock.settimeout(PATIENCE)
        if load.raw:
            sock.shutdown(socket.SHUT_WR)
        else:
            sock.sendall(load.farewell)
        try:
            while sock.recv(4096):
                pass
        except ConnectionResetError:
            pass


def _wait(epoll: select.epoll) -> list[tuple[int, int]]:
    events = epoll.poll(PATIENCE)
    if not events:
        raise TimeoutError(f"nothing came back for {PATIENCE} s")
    return events


def _take(connection: Connection, now: int, histogram: list[int]) -> int:
    count = connection.take()
    for _ in range(count):
        histogram[bucket(now - connection.stamps.popleft())] += 1
    return count


def allow_many_files() -> None:
    """Allow this process as many descriptors as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
