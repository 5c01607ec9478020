"""Writes the sums of the workers' metrics for Prometheus; needs nothing of its client library."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from trio_wsendpoint.metrics.definitions import METRICS, SECONDS, Metric, name_of
from trio_wsendpoint.workers.metrics import Values
from trio_wsendpoint.workers.state import WorkersState

__all__ = ["prometheus_text"]


def prometheus_text(state: WorkersState, prefix: str = "websocket") -> str:
    """Return the metrics of `state` in Prometheus' text format 0.0.4, and how many workers serve.

    The names are those of `PrometheusMetrics`, which counts in one process.  Serve the text as
    `text/plain; version=0.0.4`.
    """
    lines: list[str] = []
    for name, values in state.metrics.items():
        lines += _family(METRICS[name], values, prefix)
    for name, about, kind, value in (
        ("workers", "Workers that serve", "gauge", state.ready),
        ("worker_starts", "Workers that were started", "counter", state.starts),
        ("worker_deaths", "Workers that ended without being told to", "counter", state.deaths),
    ):
        full = f"{prefix}_{name}" + ("_total" if kind == "counter" else "")
        lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}", f"{full} {value}"]
    return "\n".join([*lines, ""])


def _family(metric: Metric, values: Values, prefix: str) -> Iterator[str]:
    name = name_of(metric, prefix, "_")
    if metric.kind == "counter":
        name += "_total"
    yield f"# HELP {name} {metric.about}"
    yield f"# TYPE {name} {metric.kind}"
    for value, numbers in sorted(values.items()):
        label = [] if metric.label is None else [f'{metric.label}="{_escaped(value)}"']
        if metric.kind != "histogram":
            yield _sample(name, label, numbers[0])
            continue
        *counts, total = numbers
        bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
        sums = list(accumulate(counts))
        for bound, count in zip(bounds, sums, strict=True):
            yield _sample(f"{name}_bucket", [*label, f'le="{bound}"'], count)
        yield _sample(f"{name}_sum", label, total)
        yield _sample(f"{name}_count", label, sums[-1])


def _sample(name: str, labels: list[str], value: float) -> str:
    told = f"{{{','.join(labels)}}}" if labels else ""
    number = int(value) if value == int(value) else value
    return f"{name}{told} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
