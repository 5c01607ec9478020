"""Every scenario with a few seeds; `make torture` runs them with 64, in both forms each."""

from __future__ import annotations

import pytest

from tests.torture.scenarios import SCENARIOS, kinds, torture
from trio_wsendpoint.testing import Kind, Report

#: What is injected with each seed, beside a cancellation and a Ctrl-C.
BESIDE: tuple[tuple[Kind, ...], ...] = (
    ("client error", "heartbeat"),
    ("server error", "closer"),
    ("reader",),
    ("writer",),
)


@pytest.mark.parametrize(("number", "name"), [*enumerate(SCENARIOS)], ids=[*SCENARIOS])
def test_struck_everywhere(number: int, name: str) -> None:
    total = Report()
    for seed, beside in enumerate(BESIDE):
        chosen = {"cancel", "interrupt", *beside}
        total += torture(
            name,
            seed,
            inject=[kind for kind in kinds(name) if kind in chosen],
            nonblocking=(number + seed) % 2 == 0,
        )
    assert total.failures == []
    assert total.injections["cancel"] >= 4
    assert total.injections["interrupt"] >= 4


def test_there_are_enough_scenarios() -> None:
    assert len(SCENARIOS) >= 16
