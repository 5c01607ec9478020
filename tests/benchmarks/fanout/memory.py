"""What a stuck subscriber holds: of the server's memory, and of the system's buffers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.connections import Connection
from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.server import close, connect, load_of, serving
from tests.benchmarks.processes import Child, MeasurementError
from tests.benchmarks.servers.ours_hub import BOUND
from tests.benchmarks.works import KIB, MIB

#: What a connection may hold besides the bound of its subscriber's queue.
MORE = 64 * KIB
#: Bytes for which a message counts in a queue besides its payload and its key.
OVERHEAD = 400
#: So many times what a queue takes is published to it when it is full already.
OVER = 3


def memory(server: str, size: int, count: int) -> Iterator[Figure]:
    """Measure with messages of `size` bytes, over the mean of `count` stuck subscribers.

    Each has a topic of its own, to which it publishes itself, and from which it reads nothing.
    Neither an idle connection nor what the first ones make the server hold for all is counted.
    """
    what = f"a stuck subscriber, messages of {size:,} bytes"
    # So that what is free is given back, and not kept for the next of its kind.
    with serving(server, environment={"PYTHONMALLOC": "malloc"}) as (child, port):
        first = _connect(server, port, size, range(count // 10 + 1))
        others: list[Connection] = []
        try:
            _fill(first, port, size)
            others = _connect(server, port, size, range(count, 2 * count))
            before, sent = _settled(child, port), sum(queued_bytes(port))
            _fill(others, port, size)
            held = (_settled(child, port) - before) / count / KIB
            system = (sum(queued_bytes(port)) - sent) / count / KIB
        except (MeasurementError, OSError) as error:
            yield Figure(what=what, server=server, unit="KiB", why_not=str(error))
            return
        finally:
            close(*first, *others)
    most = (BOUND + MORE) / KIB
    yield Figure(what=f"{what}: memory", server=server, unit="KiB", value=held, most=most)
    yield Figure(what=f"{what}: the system's buffers", server=server, unit="KiB", value=system)


def _connect(server: str, port: int, size: int, topics: range) -> list[Connection]:
    loads = [load_of(server, port, size, f"/{topic}") for topic in topics]
    return [connect(load, receive_buffer=2048) for load in loads]


def _settled(child: Child, port: int) -> int:
    """Return the server's resident bytes when it has read all, and nothing changes any more."""
    last, size = -MIB, int(child.ask("rss"))
    while any(received for _, received in _queues(port, 0)) or abs(size - last) > 64 * KIB:
        time.sleep(0.1)
        last, size = size, int(child.ask("rss"))
    return size


def _fill(connections: list[Connection], port: int, size: int) -> None:
    """Publish until each has been full for long."""
    queue = OVER * BOUND * size // (size + OVERHEAD)
    sent = 0
    while sent * size < queue + max(queued_bytes(port), default=0):
        if sent * size > 32 * MIB:
            raise MeasurementError("the system's buffers grow and grow")
        for one in connections:
            one.sock.sendall(one.load.frames[0] * max(1, 32 * KIB // size))
        sent += max(1, 32 * KIB // size)


def queued_bytes(port: int) -> list[int]:
    """Return what the system holds at each end of the connections of a port, of this machine.

    That is what the server's end has sent and the client has not acknowledged, or what the
    client's end has not read.
    """
    at_server = [sent for sent, _ in _queues(port, 0)]
    return at_server + [received for _, received in _queues(port, 1)]


def _queues(port: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the bytes to be sent and to be read of all connections with a port at this end.

    `end`: 0 for those whose own port it is, 1 for those whose peer has it.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        ports = [int(one.partition(":")[2], 16) for one in (local, remote)]
        if ports[end] == port and ports[1]:
            sending, receiving = queues.split(":")
            yield int(sending, 16), int(receiving, 16)
