"""Clients that are dropped at once do not come back at once: 1,000 of them, simulated."""

from __future__ import annotations

import pytest

from tests.client.simulate_backoff import full_jitter, no_jitter, simulate, spread

CLIENTS = 1000


@pytest.mark.parametrize("outage", [0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_short_outage(outage, seed):
    worst = simulate(no_jitter, clients=CLIENTS, outage=outage, seed=seed)
    jitter = simulate(full_jitter, clients=CLIENTS, outage=outage, seed=seed)
    ours = simulate(spread, clients=CLIENTS, outage=outage, seed=seed)
    assert worst.peak == CLIENTS
    assert ours.peak < jitter.peak * 0.6
    assert ours.peak < CLIENTS * 0.1


def test_a_long_outage():
    """Once the clients are spread, they wait longer: fewer tries, and a lower peak."""
    ours = simulate(spread, clients=CLIENTS, outage=600.0)
    assert ours.peak < CLIENTS * 0.1
    assert ours.tries < CLIENTS * 33
    assert ours.last < 600 + 30
