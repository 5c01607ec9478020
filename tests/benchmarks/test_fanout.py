"""The figures of the hub: each is measured in small, judged, told, and on the page."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.benchmarks import run
from tests.benchmarks.fanout import all as fanout
from tests.benchmarks.fanout import slow
from tests.benchmarks.fanout.dashboard import dashboard
from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.memory import memory
from tests.benchmarks.fanout.server import PEER, percentile
from tests.benchmarks.fanout.workers import workers
from tests.benchmarks.made_up import PAGE, made_up
from tests.benchmarks.options import parse
from tests.benchmarks.report import render
from tests.benchmarks.works import KIB
from tests.hub.redis.servers import PROGRAM

needs_redis = pytest.mark.skipif(PROGRAM is None, reason="Debian's redis-server is missing")


def named(figures: Iterable[Figure], part: str) -> Figure:
    [found] = [figure for figure in figures if part in figure.what]
    return found


@pytest.mark.parametrize("server", ["ours_hub", "websockets_uvloop", "socketio"])
def test_the_others_get_all_while_one_is_stuck(server):
    if why := PEER[server].why_not():
        pytest.skip(why)
    found = [*slow.slow(server, count=4, stuck=1, pace=0.0)]
    assert named(found, "missing").value == 0
    assert len(found) == 5


def test_a_loop_of_send_waits_for_the_stuck_one(monkeypatch):
    monkeypatch.setattr("tests.benchmarks.fanout.server.SILENCE", 0.5)
    found = [*slow.slow("ours_send", count=4, stuck=1, pace=0.0)]
    assert [figure.value for figure in found] == [slow.MESSAGES] or found[0].why_not


def test_a_dashboard_sees_what_is_new():
    found = [*dashboard("ours_hub", 1.5)]
    assert named(found, "old after").value is not None
    assert named(found, "older than that").value is not None


def test_a_stuck_subscriber_holds_something():
    found = [*memory("ours_hub", 16 * KIB, 4)]
    assert (named(found, "memory").value or 0) > 100
    assert (named(found, "buffers").value or 0) > 0


@needs_redis
@pytest.mark.parametrize("server", ["ours_hub", "socketio"])
def test_workers_reach_each_other(server):
    if why := PEER[server].why_not():
        pytest.skip(why)
    found = [*workers(server, 2, 0.05)]
    assert len(found) == 4, found
    assert min(figure.value or 0 for figure in found) > 0


def test_what_is_missing_is_named_and_left_out(monkeypatch):
    [figure] = fanout.figures({"ours_hub": "coredis is not installed"}, is_quick=False)
    assert figure.words == "not measured: coredis is not installed"

    def none(*_, **__):
        return iter(())

    for name in ("dashboard", "slow", "memory", "workers"):
        monkeypatch.setattr(fanout, name, none)
    monkeypatch.setattr(fanout, "PROGRAM", None)
    [figure] = fanout.figures({}, is_quick=True)
    assert figure.words == "not measured: Debian's redis-server is missing"


def test_a_figure_is_judged():
    def words(value: float | None, most: float | None = 50.0) -> str:
        return Figure(what="", server="ours_hub", unit="ms", value=value, most=most).words

    assert [words(50.0), words(50.1), words(1.0, None)] == ["holds", "does not hold", ""]
    assert words(None).startswith("not measured")


def test_the_page_and_the_user_are_told():
    results = made_up(ours=10.0)
    figure = {"what": "w", "server": "ours_hub", "unit": "ms", "value": 60.0, "most": 50.0}
    results.hub = [figure, {**figure, "value": None, "why_not": "why"}]
    page = render(PAGE, results)
    assert "| w | trio_wsendpoint, hub | 50.0 ms | 60.0 ms | does not hold |" in page
    assert "| w | trio_wsendpoint, hub | 50.0 ms | - | not measured: why |" in page
    told: list[str] = []
    run.say_verdicts(results, told.append)
    assert "  trio_wsendpoint, hub: w: 60.0 ms (at most 50.0): does not hold" in told
    assert "  trio_wsendpoint, hub: w: not measured: why" in told


def test_it_is_asked_for_by_its_name():
    assert parse(["--only", "hub"]).only == ["hub"]


def test_percentiles():
    assert [percentile([3, 1, 2, 4], share) for share in (0.5, 0.99)] == [3, 4]
    assert percentile([], 0.5) == 0.0
