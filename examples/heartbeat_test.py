"""A test of a whole minute that takes no time: a peer that has fallen silent is given up.

By default it gets a ping after 15, 30 and 45 s, and after 60 s a Close frame.  Under Trio's
`MockClock` time jumps to the next deadline as soon as every task waits, so this is exact, and
the same in every run.

Run it: python -m pytest examples/heartbeat_test.py
"""

import pytest
import trio
from trio.testing import MockClock

from trio_wsendpoint import ClientEndpoint, CloseCode, CloseFrame, ConnectionLost, PingFrame
from trio_wsendpoint.testing import connection_pair


class Silent(ClientEndpoint):
    """A client that answers no pings."""

    pings = 0

    def on_ping(self, frame: PingFrame) -> None:
        """Count the ping, instead of queueing a pong."""
        self.pings += 1


async def watch_a_silent_peer() -> None:
    async with connection_pair(client={"endpoint_class": Silent, "heartbeat": None}) as pair:
        started = trio.current_time()
        with pytest.raises(ConnectionLost, match="Unanswered ping") as caught:
            await pair.server.receive()
        assert trio.current_time() - started == 60
        assert caught.value.sent == CloseFrame(CloseCode.PROTOCOL_ERROR, "Unanswered ping(s): 3")
        assert isinstance(pair.client.endpoint, Silent)
        assert pair.client.endpoint.pings == 3


def test_a_silent_peer_is_given_up_after_a_minute() -> None:
    trio.run(watch_a_silent_peer, clock=MockClock(autojump_threshold=0))
