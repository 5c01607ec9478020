"""The text that Prometheus scrapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.examples.programs import ROOT
from trio_wsendpoint import Connection, connect_endpoint, serve_endpoint
from trio_wsendpoint.metrics.prometheus import PrometheusMetrics
from trio_wsendpoint.testing import connection_pair


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


async def test_a_conversation(autojump_clock: object) -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry=registry)
    async with connection_pair(server={"instruments": [metrics]}) as (client, server):
        await client.send("hello")
        await server.receive()
        now = lines(registry)
    assert "websocket_connections 1.0" in now
    assert 'websocket_openings_total{outcome="opened"} 1.0' in now
    assert 'websocket_messages_total{direction="received"} 1.0' in now
    assert 'websocket_bytes_total{direction="received"} 11.0' in now
    assert 'websocket_queue_bytes{queue="send"} 0.0' in now
    assert "websocket_round_trip_seconds_count 0.0" in now
    then = lines(registry)
    assert "websocket_connections 0.0" in then
    assert 'websocket_closes_total{cause="local"} 1.0' in then


def test_times_are_in_buckets() -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry=registry, prefix="chat", labels={"room": "a"})
    metrics.observe("round_trip", 0.003)
    metrics.observe("handler", 3.0, "raised")
    found = lines(registry)
    assert 'chat_round_trip_seconds_bucket{le="0.001",room="a"} 0.0' in found
    assert 'chat_round_trip_seconds_bucket{le="0.005",room="a"} 1.0' in found
    assert 'chat_handler_seconds_sum{outcome="raised",room="a"} 3.0' in found
    assert 'chat_connections{room="a"} 0.0' in found


def test_a_registry_has_each_name_once() -> None:
    registry = CollectorRegistry()
    first = PrometheusMetrics(registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PrometheusMetrics(registry=registry)
    first.unregister()
    first.unregister()
    PrometheusMetrics(registry=registry)
    assert list(PrometheusMetrics(registry=None).collect())


async def test_handlers_of_a_server() -> None:
    registry = CollectorRegistry()

    async def greet(connection: Connection) -> None:
        await connection.send("hello")
        if connection.request.path == "/bad":
            raise ValueError("on purpose")

    metrics = PrometheusMetrics(registry=registry)
    async with serve_endpoint(greet, 0, instruments=[metrics]) as server:
        for path in ("good", "bad", "good"):
            async with connect_endpoint(f"{server.urls[0]}{path}") as client:
                await client.wait_closed()
    found = lines(registry)
    assert 'websocket_handler_seconds_count{outcome="returned"} 2.0' in found
    assert 'websocket_handler_seconds_count{outcome="raised"} 1.0' in found


PROBE = """
import sys
import trio_wsendpoint, trio_wsendpoint.metrics
assert not {"prometheus_client", "opentelemetry"} & {name.partition(".")[0] for name in sys.modules}
sys.modules["prometheus_client"] = sys.modules["opentelemetry.metrics"] = None
for name in ("prometheus", "opentelemetry"):
    try:
        __import__(f"trio_wsendpoint.metrics.{name}")
    except ImportError as error:
        print(error)
"""


def test_without_the_extras_an_import_says_what_to_install() -> None:
    command = [sys.executable, "-c", PROBE]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name, line in zip(("prometheus", "opentelemetry"), run.stdout.splitlines(), strict=True):
        assert line.endswith(f"pip install 'trio-wsendpoint[{name}]'")
