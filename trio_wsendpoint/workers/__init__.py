"""Several processes that serve the same sockets, and a parent that keeps them alive.

`serve_workers(main, workers=4, listen=[...])` runs the parent; `main(worker)` runs in each worker,
and calls `worker.serve(handler)`.  See docs/workers.md.
"""

from trio_wsendpoint._public import publish
from trio_wsendpoint.workers.exposition import prometheus_text
from trio_wsendpoint.workers.metrics import WorkerMetrics
from trio_wsendpoint.workers.phases import ParentPhase, WorkerPhase
from trio_wsendpoint.workers.serving import WorkersFailed, serve_workers
from trio_wsendpoint.workers.settings import WorkersOptions
from trio_wsendpoint.workers.state import WorkersState, WorkerState
from trio_wsendpoint.workers.worker import Worker

__all__ = [
    "ParentPhase",
    "Worker",
    "WorkerMetrics",
    "WorkerPhase",
    "WorkerState",
    "WorkersFailed",
    "WorkersOptions",
    "WorkersState",
    "prometheus_text",
    "serve_workers",
]

publish(globals(), __all__)
