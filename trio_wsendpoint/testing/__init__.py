"""What tests of WebSocket programs need: connections without sockets, endpoints on a fake wire.

Everything here works under `trio.testing.MockClock(autojump_threshold=0)`, and nothing here
waits for the real clock, opens a socket, or draws randomness that was not given to it.
"""

from trio_wsendpoint.testing.pairs import (
    ConnectionPair,
    EndpointPair,
    connection_pair,
    endpoint_pair,
    seeded_bytes,
)

__all__ = ["ConnectionPair", "EndpointPair", "connection_pair", "endpoint_pair", "seeded_bytes"]
