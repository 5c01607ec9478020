"""Each target is judged rightly, and says why if it was not measured."""

from __future__ import annotations

import pytest

from tests.benchmarks.made_up import made_up, samples
from tests.benchmarks.peers import PEERS
from tests.benchmarks.targets import TARGETS, Target, judge
from tests.benchmarks.works import WORKS

RATIO = Target(work="pingpong", regime="one", most=0.65, other="aiohttp_uvloop")
KNOWN = {peer.key: peer for peer in PEERS}


def verdict(results, target=RATIO):
    (found,) = (one for one in judge(results) if one.target == target)
    return found


@pytest.mark.parametrize(("ours", "holds"), [(10.0, True), (65.0, True), (65.1, False)])
def test_a_ratio_holds_up_to_its_limit(ours, holds):
    found = verdict(made_up(ours=ours, aiohttp_uvloop=100.0))
    assert found.holds is holds
    assert found.value == pytest.approx(ours / 100)


def test_a_verdict_says_by_how_much():
    assert verdict(made_up(ours=10.0, aiohttp_uvloop=100.0)).words == "holds"
    assert verdict(made_up(ours=78.0, aiohttp_uvloop=100.0)).words == "does not hold, by 20.0%"


def test_each_regime_has_its_own_verdict():
    results = made_up(regime="two", ours=10.0, aiohttp_uvloop=100.0)
    on_two = Target(work="pingpong", regime="two", most=0.85, other="aiohttp_uvloop")
    assert verdict(results, on_two).holds
    assert verdict(results).words == "not measured: it was not asked for"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("pingpong", "13 minutes were over"),
        ("one", "there is one core only"),
        ("aiohttp_uvloop", "aiohttp is not installed"),
    ],
)
def test_what_was_skipped_has_its_reason(key, why):
    results = made_up(ours=10.0)
    results.skipped[key] = why
    assert verdict(results).words == f"not measured: {why}"


def test_what_failed_has_its_reason():
    results = made_up(ours=10.0)
    results.works["pingpong"]["one"]["aiohttp_uvloop"] = "failed: no echo"
    assert verdict(results).words == "not measured: failed: no echo"


@pytest.mark.parametrize(("load", "is_full"), [(0.9, False), (0.96, True)])
def test_a_load_without_time_left_is_told(load, is_full):
    results = made_up(regime="two", ours=10.0)
    results.works["pingpong"]["two"]["aiohttp_uvloop"] = samples(100.0, load=load)
    target = Target(work="pingpong", regime="two", most=0.85, other="aiohttp_uvloop")
    assert verdict(results, target).is_load_full is is_full
    # On one core it shares that core with the server: there is always none left.
    results.works["pingpong"]["one"] = results.works["pingpong"]["two"]
    assert not verdict(results).is_load_full


@pytest.mark.parametrize(("kib", "holds"), [(6.9, True), (7.1, False)])
def test_memory(kib, holds):
    idle = Target(work="idle", regime="one", most=7.0)
    assert verdict(made_up("idle", ours=kib), idle).holds is holds
    assert idle.unit == " KiB"


@pytest.mark.parametrize(("pure", "holds"), [(20.0, True), (20.1, False)])
def test_the_uncompiled_form(pure, holds):
    target = Target(work="1k", regime="one", most=2.0, peer="ours_pure", other="ours")
    assert verdict(made_up("1k", ours=10.0, ours_pure=pure), target).holds is holds


def test_there_is_a_target_for_every_figure_that_was_promised():
    by_regime = {regime: sum(one.regime == regime for one in TARGETS) for regime in ("one", "two")}
    assert by_regime == {"one": 18 + 3 + 6 + 1 + 2, "two": 13 + 3 + 4}
    assert len(set(TARGETS)) == len(TARGETS)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.text} {target.regime}")
def test_each_target_is_of_a_work_that_both_can_do(target):
    (work,) = (work for work in WORKS if work.key == target.work)
    assert target.regime in work.regimes
    for peer in (target.peer, target.other):
        assert peer is None or KNOWN[peer].can_do(work)
