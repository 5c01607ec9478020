"""The model: what each part of a fleet has to do, as formulas.

Every connection has one topic.  The subscribers of a topic are spread at random over the processes
of its group, for a load balancer knows nothing of topics.  The formulas are means; nothing waits.
So they hold for parts that are used to less than `FULL` of what they can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tests.fleet.costs import Costs, Pair

__all__ = [
    "FULL",
    "KERNEL",
    "Fleet",
    "Loads",
    "Traffic",
    "growth",
    "loads_of",
    "predict_pair",
    "reached",
    "servers_needed",
    "traffics",
]

#: The share of a processor, a network or a memory above which it counts as full: behind that,
#: waiting times grow faster than the load.
FULL = 0.6
#: Bytes around a payload: a frame's head with those of TCP and IP; and Redis' words around one.
FRAME_HEAD, REDIS_HEAD = 56, 160
#: Bytes that the kernel holds for an idle connection.  Assumed: it is not told for each process.
KERNEL = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What there is.

    `workers`: processes of a machine, one for each of its processors.  `groups`: into how many the
    machines are divided, so that all subscribers of a topic are in one.  `redis`: servers of
    each group, each with a part of the topics.  `heartbeat`: seconds between two pings.
    `memory`, `network`: bytes of a machine, and bytes a second of a machine or of a Redis.
    """

    connections: int = 1_000_000
    machines: int = 50
    workers: int = 8
    groups: int = 1
    redis: int = 1
    heartbeat: float = 15.0
    is_tls: bool = False
    memory: float = 16 * 2**30
    network: float = 10e9 / 8

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return self.machines * self.workers

    @property
    def each(self) -> float:
        """How many connections a process has."""
        return self.connections / self.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is said: each topic has so many subscribers, and so many messages a second."""

    name: str
    topics: int
    subscribers: int
    rate: float
    size: int

    @property
    def messages(self) -> float:
        """Messages a second, of all topics."""
        return self.topics * self.rate

    @property
    def deliveries(self) -> float:
        """Deliveries a second."""
        return self.messages * self.subscribers


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """What that makes of each part: shares of what it has, 1.0 of all.

    `last`: seconds until the last subscriber in a process has a message of its topic.
    """

    worker: float
    redis: float
    redis_network: float
    machine_network: float
    memory: float
    last: float

    def parts(self) -> dict[str, float]:
        """Return the shares by the names of the parts."""
        return {
            "a worker's processor": self.worker,
            "Redis' processor": self.redis,
            "Redis' network": self.redis_network,
            "a machine's network": self.machine_network,
            "a machine's memory": self.memory,
        }


def reached(processes: float, subscribers: float) -> float:
    """Return how many processes have one or more of a topic's subscribers.

    A process has none with the probability `(1 - 1 / processes) ** subscribers`.
    """
    return processes * (1 - math.pow(1 - 1 / processes, subscribers))


def loads_of(fleet: Fleet, traffic: Traffic, costs: Costs) -> Loads:
    """Return what `traffic` makes of each part of `fleet`."""
    in_group = fleet.processes / fleet.groups
    told = reached(in_group, traffic.subscribers)  # processes that Redis tells of a message
    forwards = traffic.messages * told
    servers = fleet.redis * fleet.groups
    worker = (
        costs.idle
        + fleet.each / fleet.heartbeat * costs.ping
        + traffic.messages / fleet.processes * costs.send
        + forwards / fleet.processes * costs.message
        + traffic.deliveries / fleet.processes * costs.delivery
    )
    connection = (costs.connection_tls if fleet.is_tls else costs.connection) + KERNEL
    return Loads(
        worker=worker,
        redis=(traffic.messages * costs.publish + forwards * costs.forward) / servers,
        redis_network=forwards / servers * (traffic.size + REDIS_HEAD) / fleet.network,
        machine_network=traffic.deliveries
        / fleet.machines
        * (traffic.size + FRAME_HEAD)
        / fleet.network,
        memory=fleet.workers * (costs.process + fleet.each * connection) / fleet.memory,
        last=costs.message + traffic.subscribers / told * costs.delivery,
    )


def growth(loads: Loads) -> tuple[str, float]:
    """Return the part that is full first, and how much more of everything it takes until then.

    With twice the messages, a processor and a network have twice the load; with twice the
    connections, so has a memory.
    """
    name, share = max(loads.parts().items(), key=lambda part: part[1])
    return name, FULL / share


def predict_pair(pair: Pair, costs: Costs) -> dict[str, tuple[float, float]]:
    """Return what the model says of two processes with one topic, and what was measured."""
    delivery = costs.delivery + costs.message / pair.connections
    message = costs.message + pair.few * costs.delivery
    return {
        f"CPU of a message, {pair.few} connections": (message, pair.message),
        "the same, flooded": (message, pair.message_flooded),
        "CPU of a delivery, in a worker": (delivery, pair.delivery),
        "CPU of a message, in Redis": (costs.publish + 2 * costs.forward, pair.redis),
        "bytes of a connection": (costs.connection, pair.connection),
        "deliveries a second of a processor": (1 / delivery, pair.paced),
        "the same when flooded": (1 / delivery, pair.flooded),
    }


def traffics(connections: int) -> tuple[Traffic, ...]:
    """Return three kinds of traffic, so that each connection has one topic."""
    return (
        Traffic(
            name="news: one topic for all", topics=1, subscribers=connections, rate=1, size=300
        ),
        Traffic(
            name="rooms of 20", topics=max(1, connections // 20), subscribers=20, rate=0.2, size=200
        ),
        Traffic(
            name="dashboards of 1,000",
            topics=max(1, connections // 1000),
            subscribers=1000,
            rate=5,
            size=200,
        ),
    )


def servers_needed(fleet: Fleet, traffic: Traffic, costs: Costs) -> int:
    """Return how many servers of Redis a group needs, so that none is full."""
    one = loads_of(replace(fleet, redis=1), traffic, costs)
    return max(1, math.ceil(max(one.redis, one.redis_network) / FULL))
