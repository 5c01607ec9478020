"""One short measurement with a real Redis: it counts what it says; no figure is judged."""

from __future__ import annotations

import pytest

from tests.hub.redis.servers import needs_redis

pytestmark = needs_redis


def test_a_process_and_redis_are_measured() -> None:
    measuring = pytest.importorskip("tests.fleet.measure")
    with measuring.Bench() as bench:
        bench.open(3)
        assert bench.opened == 3
        assert bench.used()[1] > 1 << 20
        bench.add_ears(2)
        nothing = measuring.Used(0.0, 0.0, 0.0)
        used = bench.fan_out(nothing, 5, 1e6)
        assert min(used.server, used.redis, used.publisher) > 0
        assert [server.ask("")["open"] for server in bench.servers] == [3]


def test_pings_are_counted() -> None:
    measuring = pytest.importorskip("tests.fleet.measure")
    with measuring.Bench(heartbeat=0.05) as bench:
        bench.open(2)
        bench.wait_pings(4)


def test_what_fails_to_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measuring = pytest.importorskip("tests.fleet.measure")
    from tests.benchmarks.processes import MeasurementError

    bench = measuring.Bench(heartbeat="no number")
    with pytest.raises(MeasurementError), bench:
        pass
    assert bench.redis.pid is None
