"""A server of the ones that reach many, alone, and connections to it."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.connections import Connection, Load
from tests.benchmarks.peers import PEERS
from tests.benchmarks.processes import Child, MeasurementError, command_of
from tests.benchmarks.works import Work

PEER = {peer.key: peer for peer in PEERS}
#: Seconds without any message after which a server gives no more.
SILENCE = 3.0
clock = time.perf_counter


def work_of(size: int) -> Work:
    return Work(key="", title="", kind="broadcast", size=size)


@contextlib.contextmanager
def serving(
    key: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Child, int]]:
    """Run a server for the length of the block; yield it and its port."""
    peer = PEER[key]
    command = [*command_of(peer, work_of(1), Path()), *arguments]
    child = Child(peer.title, command, {**dict(peer.environment), **(environment or {})})
    try:
        yield child, child.answer()["port"]
    finally:
        child.end()


def load_of(key: str, port: int, size: int, path: str = "/") -> Load:
    """Return a load for a server that sends messages of `size` bytes."""
    load = Load(work_of(size).to_json(), port, socketio=PEER[key].socketio, path=path)
    frame = len(load.payloads[0])
    load.echo = frame + (2 if frame < 126 else 4)
    return load


class Crowd:
    """Connections that read, and what each message was for them.

    `counts`: messages that each has got.  `delays`: of each delivery, in seconds.
    """

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.connections = {one.sock.fileno(): one for one in connections}
        self.counts = dict.fromkeys(self.connections, 0)
        self.delays: list[float] = []
        self.total = 0
        self._sent: list[float] = []
        self._epoll = select.epoll()
        for one in connections:
            one.sock.setblocking(False)
            self._epoll.register(one.sock.fileno(), select.EPOLLIN)

    def push(self, by: Connection) -> None:
        """Send a message, which all are to get."""
        self._sent.append(clock())
        by.push(1, 0)
        while by.pending:
            if not self.take(0.01) and not select.select([], [by.sock], [], SILENCE)[1]:
                raise MeasurementError("the server reads nothing any more")
            by.flush()

    def take(self, timeout: float) -> bool:
        """Take what has come within a time; tell whether anything has."""
        events = self._epoll.poll(max(timeout, 0.0))
        for fd, _ in events:
            count = self.connections[fd].take()
            first, now = self.counts[fd], clock()
            self.counts[fd] = first + count
            self.total += count
            self.delays += [now - sent for sent in self._sent[first : first + count]]
        return bool(events)

    def begin(self) -> None:
        """Forget what was, so that the next message is the first."""
        self.counts = dict.fromkeys(self.connections, 0)
        self.delays.clear()
        self._sent.clear()
        self.total = 0

    def until(self, is_done: Callable[[], bool]) -> None:
        """Take until that is so, or nothing comes any more."""
        while not is_done() and self.take(SILENCE):
            pass

    def paced(self, by: Connection, messages: int, pace: float) -> int:
        """Send so many messages, one each `pace` seconds; return how many all of them got."""
        self.begin()
        start = clock()
        for number in range(messages):
            while (left := start + number * pace - clock()) > 0:
                self.take(left)
            self.push(by)
        self.until(lambda: self.total >= messages * len(self.connections))
        return min(self.counts.values())


def percentile(samples: Sequence[float], share: float) -> float:
    """Return what `share` of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def connect(load: Load, *, receive_buffer: int | None = None) -> Connection:
    """Open a connection: see `Load.connect`."""
    return Connection(load, load.connect(receive_buffer=receive_buffer))


def close(*connections: Any) -> None:
    for one in connections:
        one.sock.close()
