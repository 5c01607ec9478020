"""Several workers that reach each other's subscribers through one Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from tests.benchmarks.cores import CpuClock
from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.server import (
    Crowd,
    clock,
    close,
    connect,
    load_of,
    percentile,
    serving,
)
from tests.benchmarks.processes import MeasurementError
from tests.hub.redis.servers import RedisServer

SIZE = 125
#: Subscribers of all workers, those of them that publish, and messages under way.
SUBSCRIBERS, PUBLISHERS, WINDOW = 100, 8, 64
#: Messages whose delay is measured, and seconds between two.
MESSAGES, PACE = 100, 0.01


def workers(server: str, count: int, seconds: float) -> Iterator[Figure]:
    """Measure the messages a second, and then the delay of some that come one by one."""
    what = f"through Redis, {count} workers"
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tcp=True))
        connections = []
        try:
            clocks: list[CpuClock] = []
            for _ in range(count):
                child, port = stack.enter_context(serving(server, "--redis", redis.url))
                clocks.append(CpuClock(child.pid))
                load = load_of(server, port, SIZE)
                connections += [connect(load) for _ in range(SUBSCRIBERS // count)]
            stack.callback(close, *connections)
            crowd = Crowd(connections)
            _settle(crowd)
            used = sum(one.read() for one in clocks)
            rate = _rate(crowd, seconds)
            used = sum(one.read() for one in clocks) - used
            cpu = used / 1e3 / (crowd.total / SUBSCRIBERS)
            least = crowd.paced(connections[0], MESSAGES, PACE)
            delays = [*crowd.delays]
        except (MeasurementError, OSError) as error:
            yield Figure(what=what, server=server, unit="", why_not=str(error))
            return
    title = f"{what}: messages a second to {SUBSCRIBERS} subscribers"
    yield Figure(what=title, server=server, unit="", value=rate)
    title = f"{what}: CPU of all workers for a message"
    yield Figure(what=title, server=server, unit="µs", value=cpu)
    for share, name in ((0.5, "50 %"), (0.99, "99 %")):
        delay = 1000 * percentile(delays, share)
        title = f"{what}: delay of {name} of the messages"
        yield Figure(what=title, server=server, unit="ms", value=delay)
    if least < MESSAGES:
        lost = float(MESSAGES - least)
        yield Figure(what=f"{what}: messages missing", server=server, unit="", value=lost)


def _settle(crowd: Crowd) -> None:
    """Wait until a message reaches all."""
    first = next(iter(crowd.connections.values()))
    for _ in range(20):
        crowd.begin()
        crowd.push(first)
        crowd.until(lambda: crowd.total >= len(crowd.connections))
        if crowd.total >= len(crowd.connections):
            return
    raise MeasurementError("a message does not reach all workers")


def _rate(crowd: Crowd, seconds: float) -> float:
    """Return the messages a second that reach all, with so many under way."""
    publishers = [*crowd.connections.values()][:PUBLISHERS]
    size = len(crowd.connections)
    crowd.begin()
    start, pushed = clock(), 0
    while clock() < start + seconds:
        while pushed - crowd.total // size < WINDOW:
            crowd.push(publishers[pushed % PUBLISHERS])
            pushed += 1
        if not crowd.take(3.0):
            raise MeasurementError("messages are missing")
    reached, took = crowd.total / size, clock() - start
    crowd.until(lambda: crowd.total >= pushed * size)
    return reached / took
