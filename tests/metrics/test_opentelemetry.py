"""What OpenTelemetry's SDK is told, through its reader for tests."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from trio_wsendpoint.metrics import METRICS
from trio_wsendpoint.metrics.opentelemetry import OpenTelemetryMetrics
from trio_wsendpoint.testing import connection_pair


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Return name to {attributes: value}, of a histogram its sum."""
    data: Any = reader.get_metrics_data()
    found: dict[str, Any] = {}
    if data is None:
        return found
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        found[metric.name] = {
            tuple(point.attributes.items()): getattr(point, "value", getattr(point, "sum", None))
            for point in metric.data.data_points
        }
    return found


async def test_a_conversation(autojump_clock: object) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics = OpenTelemetryMetrics(meter_provider=provider, attributes={"room": "a"})
    room = ("room", "a")
    async with connection_pair(server={"instruments": [metrics]}) as (client, server):
        await client.send("hello")
        await server.receive()
        metrics.observe("round_trip", 0.25)
        metrics.observe("handler", 2.0, "returned")
        now = points(reader)
    assert now["websocket.connections"] == {(room,): 1}
    assert now["websocket.openings"] == {(room, ("outcome", "opened")): 1}
    assert now["websocket.messages"][room, ("direction", "received")] == 1
    assert now["websocket.bytes"][room, ("direction", "received")] == 11
    assert now["websocket.queue_bytes"][room, ("queue", "send")] == 0
    assert now["websocket.round_trip.seconds"] == {(room,): 0.25}
    assert now["websocket.handler.seconds"] == {(room, ("outcome", "returned")): 2.0}
    then = points(reader)
    assert then["websocket.connections"] == {(room,): 0}
    assert then["websocket.closes"] == {(room, ("cause", "local")): 1}
    # A metric without a value yet is left out.
    assert {name.split(".")[1] for name in then} == set(METRICS)
    provider.shutdown()


def test_without_a_provider_nothing_is_reported() -> None:
    metrics = OpenTelemetryMetrics(prefix="")
    metrics.observe("round_trip", 0.25)
