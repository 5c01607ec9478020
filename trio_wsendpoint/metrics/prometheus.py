"""Metrics for Prometheus; needs the extra `prometheus`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trio_wsendpoint.metrics.definitions import METRICS, SECONDS, Metric, name_of
from trio_wsendpoint.metrics.tally import Tally

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.registry import Collector
except ImportError as error:
    text = "trio_wsendpoint.metrics.prometheus needs prometheus_client"
    raise ImportError(f"{text}: pip install 'trio-wsendpoint[prometheus]'") from error

__all__ = ["PrometheusMetrics"]


class PrometheusMetrics(Tally, Collector):
    """An instrument that is also a collector: `instruments=[PrometheusMetrics()]`.

    `registry`: where to register; None registers nowhere, and the caller calls `collect`.
    `prefix`: what the names begin with.
    `labels`: further labels with fixed values, to tell several of these apart in one registry.

    Raises `ValueError` for a name that the registry has, or that Prometheus does not allow.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry | None = REGISTRY,
        prefix: str = "websocket",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._prefix = prefix
        self._labels = dict(labels or {})
        self._registry = registry
        self._histograms = {
            name: self._make_histogram(metric)
            for name, metric in METRICS.items()
            if metric.kind == "histogram"
        }
        if registry is not None:
            registry.register(self)

    def unregister(self) -> None:
        """Leave the registry; does nothing if it is in none."""
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.unregister(self)

    def observe(self, name: str, seconds: float, label: str | None = None) -> None:
        """Put a time into its histogram."""
        values = [*self._labels.values(), *([] if label is None else [label])]
        histogram = self._histograms[name]
        (histogram.labels(*values) if values else histogram).observe(seconds)

    def describe(self) -> Iterator[Family]:
        """Yield the metrics for their names, of which a registry has each once."""
        return self.collect()

    def collect(self) -> Iterator[Family]:
        """Yield the metrics as they are now; Prometheus calls this in a thread of its own."""
        for name, metric in METRICS.items():
            if metric.kind == "histogram":
                yield from self._histograms[name].collect()
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(self._name_of(metric), metric.about, labels=self._names_of(metric))
            for label, value in self.read(name):
                values = [*self._labels.values(), *([] if label is None else [label])]
                family.add_metric(values, value)
            yield family

    def _make_histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            self._name_of(metric),
            metric.about,
            labelnames=self._names_of(metric),
            buckets=SECONDS,
            registry=None,
        )

    def _name_of(self, metric: Metric) -> str:
        return name_of(metric, self._prefix, "_")

    def _names_of(self, metric: Metric) -> list[str]:
        return [*self._labels, *([] if metric.label is None else [metric.label])]
