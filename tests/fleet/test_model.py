"""The formulas, held against worked examples, a draw of lots, and each other."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

import pytest

from tests.fleet.costs import Costs, Pair
from tests.fleet.model import (
    FRAME_HEAD,
    FULL,
    KERNEL,
    REDIS_HEAD,
    Fleet,
    Traffic,
    growth,
    loads_of,
    predict_pair,
    reached,
    servers_needed,
    traffics,
)

COSTS = Costs(
    delivery=2e-5,
    message=1e-4,
    idle=0.01,
    send=3e-4,
    publish=5e-5,
    forward=1e-5,
    connection=20_000.0,
    process=50e6,
    opening=1e-3,
    opening_tls=3e-3,
    connection_tls=40_000.0,
    ping=1e-4,
)
FLEET = Fleet(connections=10_000, machines=5, workers=2, heartbeat=10.0, memory=1e9, network=1e6)
#: Each of the ten processes has some of its subscribers.
BUSY = Traffic(name="busy", topics=10, subscribers=1000, rate=3, size=100)


def test_a_worked_example() -> None:
    loads = loads_of(FLEET, BUSY, COSTS)
    # Of 1,000 connections: 100 pings, 3 messages sent, 30 heard, 3,000 deliveries in a second.
    assert loads.worker == pytest.approx(0.01 + 0.01 + 0.0009 + 0.003 + 0.06)
    # 30 messages in, 300 out.
    assert loads.redis == pytest.approx(30 * 5e-5 + 300 * 1e-5)
    assert loads.redis_network == pytest.approx(300 * (100 + REDIS_HEAD) / 1e6)
    assert loads.machine_network == pytest.approx(6000 * (100 + FRAME_HEAD) / 1e6)
    assert loads.memory == pytest.approx(2 * (50e6 + 1000 * (20_000 + KERNEL)) / 1e9)
    assert loads.last == pytest.approx(1e-4 + 100 * 2e-5)


@pytest.mark.parametrize(
    ("cost", "parts"),
    [
        ("delivery", {"worker", "last"}),
        ("message", {"worker", "last"}),
        ("idle", {"worker"}),
        ("send", {"worker"}),
        ("ping", {"worker"}),
        ("publish", {"redis"}),
        ("forward", {"redis"}),
        ("connection", {"memory"}),
        ("process", {"memory"}),
        ("opening", set()),  # which the storm has
        ("opening_tls", set()),
        ("connection_tls", set()),
    ],
)
def test_each_cost_counts_where_it_is_paid(cost: str, parts: set[str]) -> None:
    dearer = loads_of(FLEET, BUSY, replace(COSTS, **{cost: 2 * getattr(COSTS, cost)}))
    cheaper = loads_of(FLEET, BUSY, COSTS)
    names = [one.name for one in fields(dearer)]
    assert {one for one in names if getattr(dearer, one) != getattr(cheaper, one)} == parts


def test_tls_costs_its_own_memory() -> None:
    plain, tls = loads_of(FLEET, BUSY, COSTS), loads_of(replace(FLEET, is_tls=True), BUSY, COSTS)
    assert tls.memory - plain.memory == pytest.approx(2 * 1000 * 20_000 / 1e9)


@pytest.mark.parametrize(
    ("processes", "subscribers"), [(1, 1), (1, 50), (400, 1), (400, 20), (400, 1000), (7, 7)]
)
def test_how_many_processes_a_topic_reaches(processes: int, subscribers: int) -> None:
    rng = random.Random(5)
    draws = [len({rng.randrange(processes) for _ in range(subscribers)}) for _ in range(300)]
    mean = sum(draws) / len(draws)
    assert reached(processes, subscribers) == pytest.approx(mean, rel=0.02)
    assert 1 - 1e-9 <= reached(processes, subscribers) <= min(processes, subscribers) + 1e-9


def test_more_machines_help_a_worker_and_not_redis() -> None:
    [_, rooms, boards] = traffics(FLEET.connections)
    for traffic in (rooms, boards):
        few = loads_of(FLEET, traffic, COSTS)
        many = loads_of(replace(FLEET, machines=50), traffic, COSTS)
        assert many.worker < few.worker
        assert many.redis > few.redis


def test_groups_divide_what_redis_tells_and_shards_what_each_has() -> None:
    big = replace(FLEET, machines=50)
    plain = loads_of(big, BUSY, COSTS)
    grouped = loads_of(replace(big, groups=10), BUSY, COSTS)
    sharded = loads_of(replace(big, redis=10), BUSY, COSTS)
    # Ten servers each; with groups a message reaches ten processes rather than a hundred.
    assert sharded.redis == pytest.approx(plain.redis / 10)
    assert grouped.redis == pytest.approx((30 * 5e-5 + 300 * 1e-5) / 10, rel=0.01)
    assert grouped.worker < sharded.worker == plain.worker


def test_what_is_full_first_and_when() -> None:
    loads = loads_of(FLEET, BUSY, COSTS)
    name, more = growth(loads)
    assert name == "a machine's network"
    assert loads.machine_network * more == pytest.approx(FULL)
    busier = replace(BUSY, rate=BUSY.rate * more)
    assert loads_of(FLEET, busier, COSTS).machine_network == pytest.approx(FULL)


def test_so_many_servers_that_none_is_full_and_one_less_is() -> None:
    traffic = replace(BUSY, rate=600)
    needed = servers_needed(FLEET, traffic, COSTS)
    assert needed > 2

    def fullest(servers: int) -> float:
        loads = loads_of(replace(FLEET, redis=servers), traffic, COSTS)
        return max(loads.redis, loads.redis_network)

    assert fullest(needed) <= FULL < fullest(needed - 1)


@pytest.mark.parametrize("connections", [10_000, 1_000_000])
def test_every_client_has_one_topic(connections: int) -> None:
    for traffic in traffics(connections):
        assert traffic.topics * traffic.subscribers == connections


def test_a_pair_that_is_as_the_model_says_is_not_off() -> None:
    delivery = COSTS.delivery + COSTS.message / 100
    message = COSTS.message + 10 * COSTS.delivery
    exact: dict[str, Any] = {
        "message": message,
        "message_flooded": message,
        "delivery": delivery,
        "redis": COSTS.publish + 2 * COSTS.forward,
        "connection": COSTS.connection,
        "paced": 1 / delivery,
        "flooded": 1 / delivery,
    }
    pair = Pair(connections=100, rate=10.0, few=10, **exact)
    for model, measured in predict_pair(pair, COSTS).values():
        assert model == pytest.approx(measured)
    for name, value in exact.items():
        off = predict_pair(replace(pair, **{name: 2 * value}), COSTS)
        assert [model == pytest.approx(told) for model, told in off.values()].count(False) == 1
