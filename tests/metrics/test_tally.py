"""What the tally counts, and that messages cost it nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio

from trio_wsendpoint import (
    BadRequest,
    Connection,
    HandshakeError,
    HandshakeRefused,
    HandshakeTimeout,
    Instrument,
    RequestAnswered,
    Response,
    TLSFailed,
)
from trio_wsendpoint.metrics import METRICS, Tally
from trio_wsendpoint.testing import connection_pair


class Observed(Tally):
    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[str, float, str | None]] = []

    def observe(self, name: str, seconds: float, label: str | None = None) -> None:
        self.times.append((name, seconds, label))


def everything(tally: Tally) -> dict[str, dict[str | None, float]]:
    """All counters and gauges."""
    names = [name for name, metric in METRICS.items() if metric.kind != "histogram"]
    return {name: dict(tally.read(name)) for name in names}


async def test_a_conversation(autojump_clock: object) -> None:
    tally = Observed()
    async with connection_pair(server={"instruments": [tally]}) as (client, server):
        await client.send("hello")
        assert await server.receive() == "hello"
        await server.send(b"abc")
        now = everything(tally)
        assert now["connections"] == {None: 1}
        assert now["openings"] == {"opened": 1}
        assert now["messages"] == {"sent": 1, "received": 1}
        assert now["bytes"]["received"] == server.statistics().bytes_received == 11
        assert now["closes"] == {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.ping)
            with pytest.raises(trio.WouldBlock):
                await client.receive() and client.receive_nowait()
            nursery.start_soon(client.receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    then = everything(tally)
    assert then["connections"] == {None: 0}
    assert then["messages"] == now["messages"]
    assert then["bytes"] == {
        "sent": server.statistics().bytes_sent,
        "received": server.statistics().bytes_received,
    }
    assert then["closes"] == {"local": 1}
    [(name, seconds, label)] = tally.times
    assert (name, label) == ("round_trip", None)
    assert seconds == server.statistics().round_trip


async def test_what_waits_in_queues(autojump_clock: object) -> None:
    tally = Tally()
    async with connection_pair(server={"instruments": [tally]}) as (client, server):
        await client.send("hello")
        await trio.sleep(1)  # the reader task has taken it
        assert dict(tally.read("queue_bytes")) == {
            "send": 0,
            "receive": server.statistics().inbox_bytes,
        }
        assert server.statistics().inbox_bytes > 0
        await server.receive()
        assert dict(tally.read("queue_bytes")) == {"send": 0, "receive": 0}


async def test_one_tally_counts_many_connections(autojump_clock: object) -> None:
    tally = Tally()
    options: Any = {"instruments": [tally]}
    async with (
        connection_pair(server=options, client=options) as (client, server),
        connection_pair(server=options) as (other, theirs),
    ):
        for one, two in ((client, server), (other, theirs)):
            await one.send("hello")
            await two.receive()
        assert dict(tally.read("connections")) == {None: 3}
        assert dict(tally.read("messages")) == {"sent": 1, "received": 2}
    assert dict(tally.read("connections")) == {None: 0}
    assert sum(count for _, count in tally.read("closes")) == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RequestAnswered("x", Response(403)), "answered"),
        (BadRequest("x", Response(400)), "refused"),
        (HandshakeRefused("x", Response(503)), "refused"),
        (TLSFailed("x"), "tls"),
        (HandshakeTimeout("x"), "late"),
        (HandshakeError("x"), "failed"),
    ],
)
def test_how_openings_end(error: HandshakeError, outcome: str) -> None:
    tally = Tally()
    tally.handshake_refused(error, None)
    assert dict(tally.read("openings")) == {outcome: 1}


def test_handlers() -> None:
    tally = Observed()
    connection: Any = None
    tally.handler_ended(connection, 1.5, None)
    tally.handler_ended(connection, 2.5, ValueError())
    assert tally.times == [("handler", 1.5, "returned"), ("handler", 2.5, "raised")]
    Tally().handler_ended(connection, 1.5, None)  # by default it observes nothing


async def test_messages_cost_nothing() -> None:
    """No hook that is called for a message or a frame is bound."""
    for name in ("message_sent", "message_received", "frame_sent", "frame_received"):
        assert getattr(Tally, name) is getattr(Instrument, name)


async def test_a_connection_that_ends_is_never_counted_twice(autojump_clock: object) -> None:
    tally = Tally()

    def check(connection: Connection) -> None:
        counted = connection.tasks.session.counts().messages_received
        assert dict(tally.read("messages"))["received"] == counted == 1

    async with connection_pair(server={"instruments": [tally]}) as (client, server):
        await client.send("hello")
        await server.receive()
        check(server)
    check(server)
    tally.connection_closed(server, server.statistics())  # again, as it never is
    check(server)


async def test_other_threads_may_read(autojump_clock: object) -> None:
    tally = Tally()
    found: list[object] = []
    async with connection_pair(server={"instruments": [tally]}):
        thread = threading.Thread(target=lambda: found.append(everything(tally)["openings"]))
        thread.start()
        thread.join()
    assert found == [{"opened": 1}]


@pytest.mark.parametrize("name", ["round_trip", "nonsense"])
def test_what_cannot_be_read(name: str) -> None:
    with pytest.raises(KeyError):
        Tally().read(name)
