"""Measures the constants of the model: one process, a Redis, and sockets that only count.

The seconds of a processor are those that the kernel has counted for each process, which another
load of the machine changes little; no figure is a time of the clock.
"""

from __future__ import annotations

import json
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from tests.benchmarks.processes import Child
from tests.fleet.costs import Costs, Pair
from tests.hub.redis.servers import RedisServer
from trio_wsendpoint.hub import open_hub
from trio_wsendpoint.hub.redis import RedisBackplane

__all__ = ["PARTS", "measure", "measure_pair", "where"]

TOPIC = "measured"
#: A message, and the frame that a client gets: a head of two bytes.
MESSAGE = "x" * 125
FRAME = len(MESSAGE) + 2
#: Connections of the smaller and the larger run, messages and their rate, idle seconds.
FEW, MANY, MESSAGES, RATE, IDLE = 50, 800, 120, 30.0, 3.0
#: More connections to Redis that hear the topic.
EARS = 16
#: A rate that no publisher reaches.
FLOOD = 1e6
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processor for a message: of each server in the mean, of Redis, the publisher."""

    server: float
    redis: float
    publisher: float


class Bench:
    """A Redis, servers and a load, for the length of a block."""

    def __init__(self, servers: int = 1, heartbeat: float = 1000.0, certificate: str = "") -> None:
        self._stack = ExitStack()
        self.redis = RedisServer(tcp=True)
        self._options = [str(heartbeat), *([certificate] if certificate else [])]
        self._count = servers
        self._bytes = 0
        self.opened = 0
        self.servers: list[Child] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.redis)
            program = [sys.executable, "-m"]
            for _ in range(self._count):
                server = [*program, "tests.fleet.server", self.redis.url, *self._options]
                self.servers.append(Child("server", server))
                stack.callback(self.servers[-1].end)
            self._load = Child("load", [*program, "tests.fleet.load"])
            stack.callback(self._load.end)
            self._ports = [server.answer(PATIENCE)["port"] for server in self.servers]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def open(self, count: int) -> None:
        """Open so many connections to each server, and wait until they are subscribed."""
        for port in self._ports:
            told = {
                "open": count,
                "port": port,
                "topic": TOPIC,
                "tls": len(self._options) > 1,
            }
            self.opened = self._load.ask(json.dumps(told), PATIENCE)["open"]
        time.sleep(1)

    def wait_pings(self, count: int) -> None:
        """Wait until so many pings were answered in all."""
        self._load.ask(json.dumps({"pings": count}), PATIENCE)

    def used(self) -> tuple[float, float]:
        """Return what a server has used in the mean: seconds of processor, bytes of memory."""
        told = [server.ask("", PATIENCE) for server in self.servers]
        count = len(told)
        return sum(one["cpu"] for one in told) / count, sum(one["memory"] for one in told) / count

    def redis_cpu(self) -> float:
        """Return the seconds of processor that Redis has used."""
        tasks = Path(f"/proc/{self.redis.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def add_ears(self, count: int) -> None:
        """Let so many more connections hear the topic at Redis; what they hear is not read."""
        channels = self._ask_redis("PUBSUB CHANNELS *")
        [channel] = [one for one in channels.split("\r\n") if one.endswith(TOPIC + "}")]
        for _ in range(count):
            one = self._stack.enter_context(self._connect_to_redis())
            one.sendall(f"SUBSCRIBE {channel}\r\n".encode())
            one.recv(1000)

    def _ask_redis(self, command: str) -> str:
        with self._connect_to_redis() as one:
            one.sendall(f"{command}\r\n".encode())
            return one.recv(10_000).decode()

    def _connect_to_redis(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.redis.port))

    def idle(self, seconds: float = IDLE) -> Used:
        """Return what a second costs in which nothing happens."""
        server, redis = self.used()[0], self.redis_cpu()
        time.sleep(seconds)
        return Used((self.used()[0] - server) / seconds, (self.redis_cpu() - redis) / seconds, 0.0)

    def fan_out(self, idle: Used, count: int = MESSAGES, rate: float = RATE) -> Used:
        """Publish so many messages at a rate; return what one has cost, idle time subtracted."""
        return trio.run(self._fan_out, idle, count, rate)

    async def _fan_out(self, idle: Used, count: int, rate: float) -> Used:
        async with open_hub(backplane=RedisBackplane(self.redis.url)) as hub:
            for is_measured in (False, True):  # the first round fills caches
                server, redis = self.used()[0], self.redis_cpu()
                began, clock = time.process_time(), trio.current_time()
                for number in range(count if is_measured else 10):
                    await hub.publish(TOPIC, MESSAGE)
                    await trio.sleep_until(clock + (number + 1) / rate)
                publisher = time.process_time() - began
                self._bytes += (number + 1) * FRAME * self.opened
                until = json.dumps({"until": self._bytes})
                await trio.to_thread.run_sync(self._load.ask, until, PATIENCE)
                seconds = trio.current_time() - clock
        return Used(
            (self.used()[0] - server - idle.server * seconds) / count,
            (self.redis_cpu() - redis - idle.redis * seconds) / count,
            publisher / count,
        )


# ---- the parts -----------------------------------------------------------------------------------


def _fanout() -> dict[str, float]:
    with Bench() as bench:
        bench.open(FEW)
        idle = bench.idle()
        few = bench.fan_out(idle)
        bench.open(MANY - FEW)
        many = bench.fan_out(idle)
    delivery = (many.server - few.server) / (MANY - FEW)
    return {
        "delivery": delivery,
        "message": max(few.server - FEW * delivery, 0.0),
        "idle": idle.server,
        "send": min(few.publisher, many.publisher),
    }


def _redis() -> dict[str, float]:
    with Bench() as bench:
        bench.open(1)
        idle = bench.idle()
        one = bench.fan_out(idle, 300, 100.0)
        bench.add_ears(EARS)
        more = bench.fan_out(idle, 300, 100.0)
    forward = (more.redis - one.redis) / EARS
    return {"publish": one.redis - forward, "forward": forward}


def _memory() -> dict[str, float]:
    with Bench() as bench:
        empty = bench.used()[1]
        bench.open(FEW)  # fills what is filled once
        few = bench.used()[1]
        bench.open(2 * MANY)
        many = bench.used()[1]
    return {"connection": (many - few) / (2 * MANY), "process": empty}


def _openings() -> dict[str, float]:
    with Bench() as bench:
        bench.open(FEW)
        before = bench.used()[0]
        bench.open(MANY)
        return {"opening": (bench.used()[0] - before) / MANY}


def _tls() -> dict[str, float]:
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "both.pem"
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(file)
        with Bench(certificate=str(file)) as bench:
            bench.open(FEW)
            cpu, memory = bench.used()
            bench.open(MANY // 2)
            more = bench.used()
    return {
        "opening_tls": (more[0] - cpu) / (MANY // 2),
        "connection_tls": (more[1] - memory) / (MANY // 2),
    }


def _pings() -> dict[str, float]:
    with Bench(heartbeat=1.0) as bench:
        bench.open(MANY)
        bench.wait_pings(MANY)
        before, since = bench.used()[0], time.monotonic()
        bench.wait_pings(5 * MANY)
        idle = (time.monotonic() - since) * 0.002
        return {"ping": (bench.used()[0] - before - idle) / (4 * MANY)}


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "fanout": _fanout,
    "redis": _redis,
    "memory": _memory,
    "openings": _openings,
    "tls": _tls,
    "pings": _pings,
}


def measure(parts: list[str], rounds: int, known: Costs | None) -> Costs:
    """Measure some parts, each so often; return the medians, and what was `known` of the others."""
    found = {} if known is None else {one.name: getattr(known, one.name) for one in fields(Costs)}
    for part in parts:
        runs = [PARTS[part]() for _ in range(rounds)]
        found |= {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return Costs(**found)


def measure_pair(connections: int = 300, rate: float = 40.0, count: int = 160) -> Pair:
    """Let two processes serve one topic: paced first, then as fast as the publisher can send."""
    few = 10
    with Bench(servers=2) as bench:
        bench.open(few)
        idle = bench.idle()
        message = bench.fan_out(idle, count, rate)
        message_flooded = bench.fan_out(idle, 3 * count, FLOOD)
        memory = bench.used()[1]
        bench.open(connections - few)
        memory = (bench.used()[1] - memory) / (connections - few)
        paced = bench.fan_out(idle, count, rate)
        flooded = bench.fan_out(idle, 3 * count, FLOOD)
    return Pair(
        connections=connections,
        rate=rate,
        few=few,
        message=message.server,
        message_flooded=message_flooded.server,
        delivery=paced.server / connections,
        redis=paced.redis,
        connection=memory,
        paced=connections / paced.server,
        flooded=connections / flooded.server,
    )


def where() -> str:
    """Return on what was measured."""
    return f"Python {platform.python_version()}, {platform.system()}, {platform.machine()}"
