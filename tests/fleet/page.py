"""Draws the figures of docs/scaling.md from what was measured, and the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path

from tests.fleet.costs import Costs, Record, command_of
from tests.fleet.model import (
    KERNEL,
    Fleet,
    Traffic,
    growth,
    loads_of,
    predict_pair,
    servers_needed,
    traffics,
)
from tests.fleet.storm import Weather, simulate
from trio_wsendpoint import Limits
from trio_wsendpoint.hub import DropOldest

__all__ = ["PAGE", "render_all", "render_page", "write_page"]

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
MIB, GIB = 2**20, 2**30
_BLOCK = re.compile(r"(<!-- figures: (.+?) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
#: How many groups the tables compare with one, and the part of the subscribers that is stuck.
GROUPS, STUCK = 10, 0.01


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    line = "|---" * head.count("|") + "|"
    return "\n".join([f"| {head} |", line, *(f"| {' | '.join(row)} |" for row in rows)])


def _seconds(value: float) -> str:
    return f"{value * 1e6:,.3g} µs" if value < 1e-3 else f"{value * 1e3:,.3g} ms"


def _bytes(value: float) -> str:
    return f"{value / 1024:,.1f} KiB" if value < MIB else f"{value / MIB:,.1f} MiB"


def _share(value: float) -> str:
    return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _constants(record: Record, fleet: Fleet) -> str:
    rows = []
    for one in fields(Costs):
        what, command = command_of(one.name)
        value = getattr(record.costs, one.name)
        is_size = one.name in {"connection", "connection_tls", "process"}
        rows.append((what, _bytes(value) if is_size else _seconds(value), f"`{command}`"))
    return f"Measured with {record.where}.\n\n" + _table("what | of one | command", rows)


def _pair(record: Record, fleet: Fleet) -> str:
    pair = record.pair
    rows = []
    for name, (model, measured) in predict_pair(pair, record.costs).items():
        show: Callable[[float], str] = _seconds
        if name.startswith("bytes"):
            show = _bytes
        elif measured > 1:
            show = "{:,.0f}".format
        rows.append((name, show(model), show(measured), f"{model / measured - 1:+.0%}"))
    head = f"two processes, {pair.connections} connections each, {pair.rate:g} messages a second"
    return _table(f"{head} | model | measured | off by", rows)


def _loads(record: Record, fleet: Fleet) -> str:
    rows = []
    for traffic, divided in _designs(fleet):
        needed = servers_needed(divided, traffic, record.costs)
        loads = loads_of(replace(divided, redis=needed), traffic, record.costs)
        name, more = growth(loads)
        rows.append(
            (
                traffic.name,
                f"{divided.groups}",
                f"{traffic.messages:,.0f}",
                f"{traffic.deliveries:,.0f}",
                _share(loads.worker),
                _share(loads.machine_network),
                f"{needed * divided.groups}",
                _seconds(loads.last),
                f"{name}, at {more:.1f} times the load",
            )
        )
    head = (
        "traffic | groups | messages a second | deliveries a second | of a worker's processor | "
        "of a machine's network | servers of Redis | the last in a process has it after | "
        "full first"
    )
    of = (
        f"{fleet.connections:,} connections, {fleet.machines} machines of {fleet.workers} workers, "
    )
    return f"{of}{fleet.each:,.0f} connections for each worker.\n\n" + _table(head, rows)


def _designs(fleet: Fleet) -> Iterable[tuple[Traffic, Fleet]]:
    """Return each traffic with one group and with ten; a topic for all is in no group."""
    for traffic in traffics(fleet.connections):
        for groups in sorted({fleet.groups, GROUPS} if traffic.topics >= GROUPS else {1}):
            yield traffic, replace(fleet, groups=groups)


def _redis(record: Record, fleet: Fleet) -> str:
    rows = []
    for traffic, divided in _designs(fleet):
        servers, one = divided.groups, replace(divided, redis=1)
        loads = loads_of(one, traffic, record.costs)
        told = loads.redis * servers - traffic.messages * record.costs.publish
        forwards = told / record.costs.forward
        rows.append(
            (
                traffic.name,
                f"{servers}",
                f"{forwards / traffic.messages:,.1f}",
                f"{forwards:,.0f}",
                f"{loads.redis * servers:,.2f}",
                f"{loads.redis_network * servers * fleet.network / MIB:,.0f} MiB",
                f"{servers_needed(one, traffic, record.costs) * servers}",
            )
        )
    head = (
        "traffic | groups | processes told of a message | tellings a second | "
        "processors of Redis | bytes out a second | servers needed"
    )
    return _table(head, rows)


def _memory(record: Record, fleet: Fleet) -> str:
    costs, count = record.costs, fleet.connections / fleet.machines
    stuck = count * STUCK * (DropOldest().bytes + Limits().send_buffer + 64 * 1024)
    rows = []
    for name, one in (("TLS ends before it", costs.connection), ("TLS", costs.connection_tls)):
        base, ours, kernel = fleet.workers * costs.process, count * one, count * KERNEL
        parts = (base, ours, kernel, stuck, base + ours + kernel + stuck)
        rows.append((name, *(f"{part / GIB:.2f} GiB" for part in parts)))
    head = (
        f"a machine with {count:,.0f} connections | processes | connections | kernel | "
        f"{STUCK:.0%} stuck | sum"
    )
    return _table(head, rows)


def _storm(record: Record, fleet: Fleet) -> str:
    clients, costs = round(fleet.each), record.costs
    weathers = {
        "crash, all at once": Weather(clients=clients, opening=costs.opening, spread=0.1),
        "crash": Weather(clients=clients, opening=costs.opening),
        "crash, TLS": Weather(clients=clients, opening=costs.opening_tls),
        "crash, TLS, `spread=30`": Weather(clients=clients, opening=costs.opening_tls, spread=30),
        "crash of all, half of the machines are back, TLS": Weather(
            clients=2 * clients, opening=costs.opening_tls
        ),
        "roll, `drain=20`, TLS": Weather(clients=clients, opening=costs.opening_tls, drain=20),
        "roll, `drain=60`, TLS": Weather(clients=clients, opening=costs.opening_tls, drain=60),
    }
    rows = []
    for name, weather in weathers.items():
        storm = simulate(weather)
        rows.append(
            (
                name,
                f"{weather.clients:,}",
                f"{storm.peak:,}",
                f"{storm.refused:,}",
                f"{storm.late:,}",
                f"{storm.half:.1f} s",
                f"{storm.nearly_all:.1f} s",
            )
        )
    head = (
        "what | clients of a process | most tries in 0.1 s | 503 | gave up | half back | 99 % back"
    )
    return _table(head, rows)


_DRAWN: dict[str, Callable[[Record, Fleet], str]] = {
    "what one costs": _constants,
    "two processes": _pair,
    "the fleet": _loads,
    "Redis": _redis,
    "memory": _memory,
    "the storm": _storm,
}


def render_all(record: Record, fleet: Fleet) -> dict[str, str]:
    """Return the figures, by their titles."""
    return {title: draw(record, fleet) for title, draw in _DRAWN.items()}


def render_page(text: str, record: Record) -> str:
    """Return the page with the figures in their places; raises `KeyError` for an unknown place."""
    drawn = render_all(record, Fleet())
    return _BLOCK.sub(lambda found: f"{found[1]}\n{drawn[found[2]]}\n\n{found[3]}", text)


def write_page() -> None:
    """Write the figures into the page."""
    PAGE.write_text(render_page(PAGE.read_text(), Record.read()))
