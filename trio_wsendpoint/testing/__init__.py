"""What tests of WebSocket programs need: connections without sockets, endpoints on a fake wire.

Everything here works under `trio.testing.MockClock(autojump_threshold=0)`, and nothing here
waits for the real clock, opens a socket, or draws randomness that was not given to it.
"""

from trio_wsendpoint._public import publish
from trio_wsendpoint.testing.checkpoints import (
    KINDS,
    CheckpointFailure,
    Kind,
    Report,
    cancel_at_every_checkpoint,
)
from trio_wsendpoint.testing.faults import Faults
from trio_wsendpoint.testing.flaky import Flaky
from trio_wsendpoint.testing.network import (
    MemoryListener,
    MemoryNetwork,
    StreamPair,
    memory_stream_pair,
)
from trio_wsendpoint.testing.pairs import (
    ConnectionPair,
    EndpointPair,
    connection_pair,
    endpoint_pair,
)
from trio_wsendpoint.testing.runs import Run, VictimEnd
from trio_wsendpoint.testing.schedules import (
    ScheduleTrace,
    ScheduleUnavailable,
    run_with_schedule,
)
from trio_wsendpoint.testing.seeds import seeded_bytes
from trio_wsendpoint.testing.serving import ServerUnderTest, serve_in_memory
from trio_wsendpoint.testing.streams import MemoryStream, NonBlockingMemoryStream

__all__ = [
    "KINDS",
    "CheckpointFailure",
    "ConnectionPair",
    "EndpointPair",
    "Faults",
    "Flaky",
    "Kind",
    "MemoryListener",
    "MemoryNetwork",
    "MemoryStream",
    "NonBlockingMemoryStream",
    "Report",
    "Run",
    "ScheduleTrace",
    "ScheduleUnavailable",
    "ServerUnderTest",
    "StreamPair",
    "VictimEnd",
    "cancel_at_every_checkpoint",
    "connection_pair",
    "endpoint_pair",
    "memory_stream_pair",
    "run_with_schedule",
    "seeded_bytes",
    "serve_in_memory",
]

publish(globals(), __all__)
