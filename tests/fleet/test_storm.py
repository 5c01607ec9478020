"""The simulated storm: who is refused, when all are back, and what makes it mild."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.fleet.storm import Weather, simulate

CALM = Weather(clients=500, opening=1e-3, share=1.0)


def test_all_are_back_within_the_spread_if_there_is_room() -> None:
    storm = simulate(CALM)
    assert (storm.refused, storm.late) == (0, 0)
    assert 2.0 < storm.half < 3.0
    assert 4.5 < storm.nearly_all <= 5.1


def test_the_same_seed_gives_the_same_storm() -> None:
    assert simulate(CALM) == simulate(CALM)
    assert simulate(CALM) != simulate(CALM, seed=2)


def test_no_storm_is_over_before_the_openings_are_paid() -> None:
    storm = simulate(replace(CALM, clients=4000, opening=3e-3, share=0.5, openings=100_000))
    assert storm.nearly_all >= 0.99 * 4000 * 3e-3 / 0.5


@pytest.mark.parametrize(("openings", "is_refused"), [(400, True), (501, False)])
def test_admission_refuses_what_is_above_its_queue(openings: int, is_refused: bool) -> None:
    weather = replace(CALM, spread=0.1, opening=0.01, openings=openings)
    assert (simulate(weather).refused > 0) is is_refused


def test_who_is_refused_comes_no_sooner_than_asked() -> None:
    weather = replace(CALM, spread=0.1, opening=0.01, openings=400)
    soon, later = simulate(weather), simulate(replace(weather, retry_after=60))
    assert soon.nearly_all < 30
    assert later.nearly_all >= 60


def test_a_queue_without_admission_makes_clients_give_up() -> None:
    weather = replace(CALM, spread=0.1, opening=0.1, openings=100_000)
    assert simulate(weather).late > 0
    assert simulate(replace(weather, openings=100)).late == 0


@pytest.mark.parametrize("milder", [{"spread": 30.0}, {"drain": 20.0}])
def test_spread_and_drain_make_the_peak_lower(milder: dict[str, Any]) -> None:
    storm, mild = simulate(CALM), simulate(replace(CALM, **milder))
    assert simulate(replace(CALM, spread=0.1)).peak > 10 * storm.peak
    assert mild.peak < storm.peak / 2
    assert mild.half > storm.half
