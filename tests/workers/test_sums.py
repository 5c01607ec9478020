"""Sums over workers, of which a dead one counts once; and what is no report."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint import CloseCause, ServerStatistics
from trio_wsendpoint.metrics.definitions import METRICS, SECONDS
from trio_wsendpoint.workers import ParentPhase, WorkersState, prometheus_text
from trio_wsendpoint.workers.metrics import Values
from trio_wsendpoint.workers.sums import Ledger, Report, add_reports

TIMES = (1.0,) * (len(SECONDS) + 2)
GAUGES = {
    "connections",
    "opening",
    "inbox_messages",
    "inbox_bytes",
    "write_queue_frames",
    "write_queue_bytes",
    "tasks_waiting_send",
}


def report(number: int) -> Report:
    """Return a report all of whose numbers are `number`."""
    named: Any = {one.name: number for one in fields(ServerStatistics) if one.name != "closes"}
    metrics: dict[str, Values] = {
        "connections": {"": (float(number),)},
        "openings": {"opened": (float(number),), "refused": (1.0,)},
        "round_trip": {"": TIMES},
    }
    statistics = ServerStatistics(**named, closes={CloseCause.PEER: number})
    return Report(statistics, metrics)


def test_a_dead_worker_counts_once_and_has_no_connections() -> None:
    ledger = Ledger()
    ledger.note(1, report(3))
    ledger.note(1, report(5))  # the newest takes the place of the one before
    ledger.note(2, report(7))
    assert ledger.total().statistics.messages_sent == 12
    ledger.bury(1)
    ledger.bury(1)
    total = ledger.total()
    for one in fields(ServerStatistics):
        if one.name != "closes":
            expected = 7 if one.name in GAUGES else 12
            assert getattr(total.statistics, one.name) == expected, one.name
    assert total.statistics.closes == {CloseCause.PEER: 12}
    assert total.metrics["connections"] == {"": (7.0,)}
    assert total.metrics["openings"] == {"opened": (12.0,), "refused": (2.0,)}
    assert total.metrics["round_trip"][""] == tuple(2 * one for one in TIMES)
    assert ledger.report_of(1) == Report()
    assert ledger.report_of(2).statistics.connections == 7


def test_many_dead_ones_cost_no_more_than_one() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.note(number, report(1))
        ledger.bury(number)
    assert ledger.total().statistics.opened == 100
    assert ledger.total().metrics["openings"]["opened"] == (100.0,)


def test_every_number_is_either_of_the_present_or_only_grows() -> None:
    kept = report(1).without_present().statistics
    zero = {one.name for one in fields(kept) if not getattr(kept, one.name)}
    assert zero == GAUGES, "tell in sums.py which kind a new field is"
    assert {name for name in METRICS if METRICS[name].kind == "gauge"} == {
        "connections",
        "queue_bytes",
    }


def test_a_report_survives_the_way_to_the_parent() -> None:
    sent = report(3)
    assert Report.from_message(json.loads(json.dumps(sent.to_message()))) == sent
    assert add_reports([]) == Report()


@pytest.mark.parametrize(
    "change",
    [
        {"statistics": {}},
        {"statistics": 3},
        {"closes": {"no such cause": 1}},
        {"closes": []},
        {"metrics": {"no such metric": {}}},
        {"metrics": {"openings": {"opened": [1, 2]}}},
        {"metrics": {"openings": {"opened": 1}}},
        {"metrics": {"openings": {"opened": ["x"]}}},
        {"metrics": {"openings": {"opened": [float("nan")]}}},
        {"metrics": {"round_trip": {"": [1.0]}}},
        {"metrics": {"openings": {str(n): [1.0] for n in range(101)}}},
        {"metrics": None},
    ],
)
def test_what_is_no_report(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"report|CloseCause|convert"):
        Report.from_message({**report(1).to_message(), **change})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(METRICS)), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["statistics", "closes", "metrics"]), JSON), st.booleans())
def test_no_report_hurts_the_parent(change: dict[str, Any], is_whole: bool) -> None:
    try:
        found = Report.from_message({**(report(1).to_message() if is_whole else {}), **change})
    except ValueError:
        return
    ledger = Ledger()
    ledger.note(1, found)
    ledger.bury(1)
    prometheus_text(WorkersState(phase=ParentPhase.SERVING, metrics=ledger.total().metrics))


def test_statistics_compare_by_value() -> None:
    assert replace(report(1).statistics) == report(1).statistics
