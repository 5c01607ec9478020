"""What connections do, for monitoring systems.

`trio_wsendpoint.metrics.prometheus` and `trio_wsendpoint.metrics.opentelemetry` each have an
instrument for `instruments=[...]`; each needs the extra of its name.  `Tally` counts for both, and
for an adapter of your own; `METRICS` lists what there is.
"""

from trio_wsendpoint.metrics.definitions import METRICS, Metric
from trio_wsendpoint.metrics.tally import Tally

__all__ = ["METRICS", "Metric", "Tally"]
