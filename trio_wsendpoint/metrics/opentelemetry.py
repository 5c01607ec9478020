"""Metrics for OpenTelemetry; needs the extra `opentelemetry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from trio_wsendpoint._version import __version__
from trio_wsendpoint.metrics.definitions import METRICS, SECONDS, Metric, name_of
from trio_wsendpoint.metrics.tally import Tally

try:
    from opentelemetry.metrics import (
        CallbackOptions,
        Histogram,
        MeterProvider,
        Observation,
        get_meter_provider,
    )
except ImportError as error:
    text = "trio_wsendpoint.metrics.opentelemetry needs opentelemetry-api"
    raise ImportError(f"{text}: pip install 'trio-wsendpoint[opentelemetry]'") from error

__all__ = ["OpenTelemetryMetrics"]


class OpenTelemetryMetrics(Tally):
    """An instrument that reports to OpenTelemetry: `instruments=[OpenTelemetryMetrics()]`.

    `meter_provider`: by default the one of the process.
    `prefix`: what the names begin with.
    `attributes`: further attributes with fixed values.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        prefix: str = "websocket",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._attributes = dict(attributes or {})
        self._histograms: dict[str, Histogram] = {}
        provider = get_meter_provider() if meter_provider is None else meter_provider
        meter = provider.get_meter("trio_wsendpoint", __version__)
        for metric in METRICS.values():
            name = name_of(metric, prefix, ".")
            if metric.kind == "histogram":
                self._histograms[metric.name] = meter.create_histogram(
                    name,
                    metric.unit,
                    metric.about,
                    explicit_bucket_boundaries_advisory=SECONDS,
                )
            elif metric.kind == "counter":
                meter.create_observable_counter(
                    name, [self._reader(metric)], metric.unit, metric.about
                )
            else:
                meter.create_observable_up_down_counter(
                    name, [self._reader(metric)], metric.unit, metric.about
                )

    def observe(self, name: str, seconds: float, label: str | None = None) -> None:
        """Put a time into its histogram."""
        self._histograms[name].record(seconds, self._attributes_of(METRICS[name], label))

    def _reader(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Return what an exporter calls, in a thread of its own."""

        def read(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(value, self._attributes_of(metric, label))
                for label, value in self.read(metric.name)
            ]

        return read

    def _attributes_of(self, metric: Metric, label: str | None) -> dict[str, str]:
        if metric.label is None or label is None:
            return self._attributes
        return {**self._attributes, metric.label: label}
