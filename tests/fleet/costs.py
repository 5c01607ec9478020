"""What one thing costs, as measured: the constants of the model, each with its command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["FILE", "Costs", "Pair", "Record", "command_of"]

#: What was measured, as `python -m tests.fleet --measure` has written it.
FILE = Path(__file__).parents[2] / "docs" / "scaling.json"


def _measured_by(part: str, what: str) -> Any:
    return field(metadata={"command": f"python -m tests.fleet --measure {part}", "what": what})


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of a processor, or bytes, for one of each; with messages of 125 bytes."""

    delivery: float = _measured_by("fanout", "a message to one more subscriber in a process")
    message: float = _measured_by("fanout", "a message from Redis to a process")
    idle: float = _measured_by("fanout", "a second of a process with a hub that does nothing")
    send: float = _measured_by("fanout", "`hub.publish()` in the process that publishes")
    publish: float = _measured_by("redis", "a message published, in Redis")
    forward: float = _measured_by("redis", "a message to one more process, in Redis")
    connection: float = _measured_by("memory", "a connection that is subscribed")
    process: float = _measured_by("memory", "a process without a connection")
    opening: float = _measured_by("openings", "an opening over TCP, and the subscription")
    opening_tls: float = _measured_by("tls", "an opening over TLS")
    connection_tls: float = _measured_by("tls", "a connection over TLS that is subscribed")
    ping: float = _measured_by("pings", "a ping of the heartbeat, and its pong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two processes did: `python -m tests.fleet --measure pair`.

    `connections`: of each process.  `rate`: messages a second.  `few`: connections of each in a run
    of its own; `message`, `message_flooded`: seconds of a worker's processor for a message there.
    The others are of one: seconds of a worker's processor for a delivery, of Redis' for a message,
    bytes for a connection.
    `paced`, `flooded`: deliveries for each second of the workers' processors.  Flooded is with as
    many messages as the publisher can send, else with that rate.
    """

    connections: int
    rate: float
    few: int
    message: float
    message_flooded: float
    delivery: float
    redis: float
    connection: float
    paced: float
    flooded: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that was measured, and where."""

    costs: Costs
    pair: Pair
    where: str

    @classmethod
    def read(cls, file: Path = FILE) -> Record:
        """Read what was measured."""
        found = json.loads(file.read_text())
        return cls(costs=Costs(**found["costs"]), pair=Pair(**found["pair"]), where=found["where"])

    def write(self, file: Path = FILE) -> None:
        """Write it for the next reader: four digits are more than hold."""
        file.write_text(json.dumps(_rounded(asdict(self)), indent=2) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def command_of(name: str) -> tuple[str, str]:
    """Return what a constant is, and the command that measures it."""
    [found] = [one for one in fields(Costs) if one.name == name]
    return found.metadata["what"], found.metadata["command"]
