"""The state on its way to a worker, and its metrics as Prometheus reads them."""

from __future__ import annotations

import json

import pytest

from tests.workers.test_sums import TIMES, report
from trio_wsendpoint.metrics.definitions import METRICS
from trio_wsendpoint.workers import (
    ParentPhase,
    WorkerPhase,
    WorkersState,
    WorkerState,
    prometheus_text,
)

STATE = WorkersState(
    phase=ParentPhase.ROLLING,
    is_roll_queued=True,
    workers=(
        WorkerState(number=3, place=0, pid=12, phase=WorkerPhase.READY, age=2.5, silent=0.5),
        WorkerState(number=4, place=1, statistics=report(2).statistics),
    ),
    addresses=("tcp:127.0.0.1:8765",),
    starts=4,
    deaths=1,
    rolls=2,
    failed_rolls=1,
    last_failure="worker 2 exited with status 1",
    statistics=report(5).statistics,
    metrics=report(5).metrics,
)


def test_a_state_survives_the_way_to_a_worker() -> None:
    assert WorkersState.from_message(json.loads(json.dumps(STATE.to_message()))) == STATE
    assert STATE.ready == 1


@pytest.mark.parametrize("missing", ["of", "sum", "phase"])
def test_what_is_no_state(missing: str) -> None:
    message = STATE.to_message()
    del message[missing]
    with pytest.raises(ValueError, match="a state that is none"):
        WorkersState.from_message(message)


def test_the_text_for_prometheus() -> None:
    lines = prometheus_text(STATE).splitlines()
    assert "# TYPE websocket_connections gauge" in lines
    assert "websocket_connections 5" in lines
    assert 'websocket_openings_total{outcome="opened"} 5' in lines
    assert 'websocket_round_trip_seconds_bucket{le="0.001"} 1' in lines
    assert f'websocket_round_trip_seconds_bucket{{le="+Inf"}} {len(TIMES) - 1}' in lines
    assert f"websocket_round_trip_seconds_count {len(TIMES) - 1}" in lines
    assert "websocket_round_trip_seconds_sum 1" in lines
    assert "websocket_workers 1" in lines
    assert "websocket_worker_starts_total 4" in lines


def test_prometheus_reads_the_text_as_its_own() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    families = {
        one.name: one for one in parser.text_string_to_metric_families(prometheus_text(STATE))
    }
    assert families["websocket_openings"].type == "counter"
    assert families["websocket_round_trip_seconds"].type == "histogram"
    assert len(families["websocket_round_trip_seconds"].samples) == len(TIMES) + 1
    assert set(STATE.metrics) <= set(METRICS)
