"""The metrics: their names, what they count, and the one label that each may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["METRICS", "SECONDS", "Metric", "name_of"]

#: Upper bounds of the buckets of times, in seconds: from a round trip on one machine to a day.
SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    `kind`: a counter never falls, a gauge does, a histogram counts times by their length.
    `unit`: as UCUM and OpenTelemetry write it; `By` are bytes, `s` seconds, `{message}` a count.
    `label`: the one label that its values differ in, or None.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    about: str
    label: str | None = None


#: Every metric, by its name without a prefix.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("connections", "gauge", "{connection}", "Connections that are open"),
        Metric(
            "openings",
            "counter",
            "{opening}",
            "Opening handshakes that have ended: opened, answered otherwise by process_request, "
            "refused, without TLS, too late, or failed",
            "outcome",
        ),
        Metric(
            "messages",
            "counter",
            "{message}",
            "Messages that the application has sent and was given",
            "direction",
        ),
        Metric("bytes", "counter", "By", "Bytes that went over the streams", "direction"),
        Metric("closes", "counter", "{connection}", "Connections that have ended", "cause"),
        Metric(
            "queue_bytes",
            "gauge",
            "By",
            "Bytes that wait to be written, and to be taken by the application",
            "queue",
        ),
        Metric("round_trip", "histogram", "s", "Times from a ping() to its pong"),
        Metric(
            "handler", "histogram", "s", "Times that handlers of a server have taken", "outcome"
        ),
    )
}


def name_of(metric: Metric, prefix: str, separator: str) -> str:
    """Return the full name; that of a time says so."""
    parts = [prefix, metric.name, *(["seconds"] if metric.kind == "histogram" else [])]
    return separator.join(part for part in parts if part)
