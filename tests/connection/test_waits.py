"""Every wait ends by itself, over bounded streams of either form, and none is left open.

`test_deadlines` has the details, over streams that are told to misbehave.  Here nothing is told:
the peer does what it does, and the wire holds what it holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio
import trio.testing

from tests.connection.helpers import Clock, Form, both_forms, connected, half_pair, served, settle
from trio_wsendpoint import (
    CloseFrame,
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionLost,
    Heartbeat,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.testing import MemoryNetwork, MemoryStream

pytestmark = both_forms

CAPACITY = 10_000
Ends = tuple[MemoryStream, MemoryStream]


@pytest.fixture
def ends(form: Form) -> Iterator[Ends]:
    """Our end and the peer's; ours, at least, is closed afterwards."""
    network = MemoryNetwork(capacity=CAPACITY, nonblocking=form == "non-blocking")
    pair = network.pair()
    yield pair.server, pair.client
    assert pair.server.is_closed


class Waiting:
    """Calls that wait, each in a task; when each was woken, and with what."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.woken: dict[str, tuple[float, type[BaseException] | None]] = {}
        self._nursery = nursery
        self._clock = Clock()

    def start(self, **calls: Callable[[], Awaitable[object]]) -> None:
        for name, call in calls.items():
            self._nursery.start_soon(self._wait, name, call)

    async def _wait(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
            self.woken[name] = self._clock.now, None
        except ConnectionClosed as error:
            self.woken[name] = self._clock.now, type(error)

    def are_woken(self, after: float, error: type[ConnectionClosed], *names: str) -> bool:
        """Whether each got `error` then, and `wait_closed` ended without one."""
        expected = {name: (after, None if name == "wait_closed" else error) for name in names}
        return self.woken == expected


NAMES = "receive", "send", "ping", "wait_closed"


def start_all(waiting: Waiting, connection) -> None:
    """Wait in everything that waits; `send` waits if there is no room."""
    waiting.start(
        receive=connection.receive,
        send=lambda: connection.send("waits"),
        ping=connection.ping,
        wait_closed=connection.wait_closed,
    )


async def fill(connection) -> None:
    """Send until a further `send` has to wait: to a peer that does not read."""
    has_room = True
    while has_room:
        has_room = False
        for size in (2000, 1):  # where there is no room for a large one, a small one may pass
            with contextlib.suppress(trio.WouldBlock):
                while True:
                    connection.send_nowait(b"x" * size)
                    has_room = True
        await settle()


async def test_a_peer_that_stops_reading(ends: Ends) -> None:
    async with (
        served(ends, timeouts=Timeouts(write=7), heartbeat=None) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        clock = Clock()
        await fill(connection)
        assert clock.now == 0
        waiting = Waiting(nursery)
        start_all(waiting, connection)
        await connection.wait_closed()
        await settle()
        assert waiting.are_woken(7, ConnectionLost, *NAMES)


async def test_a_peer_that_answers_no_ping_while_a_send_is_blocked(ends: Ends) -> None:
    timeouts = Timeouts(write=1000, close=3)
    heartbeat = Heartbeat(interval=4, max_pings=2)
    async with (
        served(ends, timeouts=timeouts, heartbeat=heartbeat) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        await fill(connection)
        waiting = Waiting(nursery)
        start_all(waiting, connection)
        await connection.wait_closed()
        await settle()
        assert waiting.woken == {
            "receive": (12, ConnectionLost),
            "send": (12, ConnectionLost),
            "ping": (15, ConnectionLost),
            "wait_closed": (15, None),
        }


@pytest.mark.parametrize("opened", [served, connected])
@pytest.mark.parametrize("is_full", [False, True])
async def test_a_peer_that_never_answers_our_close(ends: Ends, opened, is_full: bool) -> None:
    async with (
        opened(ends, timeouts=Timeouts(write=3, close=3), heartbeat=None) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        if is_full:
            await fill(connection)
        waiting = Waiting(nursery)
        waiting.start(receive=connection.receive, ping=connection.ping)
        await settle()
        waiting.start(aclose=connection.aclose, wait_closed=connection.wait_closed)
        await connection.wait_closed()
        await settle()
        assert waiting.woken == {
            "receive": (0, ConnectionClosedLocally),
            "ping": (3, ConnectionClosedLocally),
            "aclose": (3, ConnectionLost if is_full else None),
            "wait_closed": (3, None),
        }


@pytest.mark.parametrize("opened", [served, connected])
@pytest.mark.parametrize("is_full", [False, True])
async def test_a_peer_that_violates_and_holds_tcp_open(ends: Ends, opened, is_full: bool) -> None:
    timeouts = Timeouts(linger=0.75, close=3)
    async with (
        opened(ends, timeouts=timeouts, heartbeat=None) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        if is_full:
            await fill(connection)
        waiting = Waiting(nursery)
        waiting.start(receive=connection.receive, ping=connection.ping)
        await settle()
        await peer.stream.send_all(b"\xff")
        waiting.start(wait_closed=connection.wait_closed)
        await connection.wait_closed()
        await settle()
        end = 3 if is_full else 0.75  # it does not take our Close frame, or it does
        assert waiting.woken == {
            "receive": (0, ConnectionLost),
            "ping": (end, ConnectionLost),
            "wait_closed": (end, None),
        }


async def test_an_app_that_is_busy_for_minutes_with_a_healthy_peer(ends: Ends) -> None:
    heartbeat = Heartbeat(interval=4, max_pings=1)
    async with (
        served(ends, heartbeat=heartbeat) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(peer.answer_pings)
        for _ in range(3):
            await trio.sleep(600)
            assert connection.is_open
            await peer.send(TextFrame("x"))
            assert await connection.receive() == "x"
        assert connection.statistics().pings_sent > 400
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["reset", "eof", "closed"])
async def test_a_ping_that_waits_when_tcp_dies(ends: Ends, how: str) -> None:
    async with (
        served(ends, heartbeat=None) as (connection, _),
        trio.open_nursery() as nursery,
    ):
        waiting = Waiting(nursery)
        waiting.start(ping=connection.ping)
        await trio.sleep(5)
        assert waiting.woken == {}
        if how == "reset":
            ends[1].reset()
        elif how == "eof":
            await ends[1].send_eof()
        else:
            await ends[1].aclose()
        await connection.wait_closed()
        await settle()
        # It may still read after its end: our bytes have one too, after which we linger.
        end = 5 + (Timeouts().linger if how == "eof" else 0)
        assert waiting.woken["ping"][1] is ConnectionLost
        assert 5 <= waiting.woken["ping"][0] <= end


async def test_aclose_while_other_tasks_are_in_send_and_receive(ends: Ends) -> None:
    async with (
        served(ends, timeouts=Timeouts(close=3), heartbeat=None) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        await fill(connection)
        waiting = Waiting(nursery)
        start_all(waiting, connection)
        await settle()
        waiting.start(aclose=connection.aclose)
        await settle()
        assert waiting.are_woken(0, ConnectionClosedLocally, "receive", "send")
        # The peer reads after all, and answers.
        frames = []
        while not isinstance(frame := await peer.next_frame(), CloseFrame):
            assert frame is not None
            frames.append(frame.type)
        assert set(frames) == {"binary", "ping"}
        await peer.send(frame)
        await peer.stream.aclose()
        await connection.wait_closed()
        await settle()
        assert set(waiting.woken) == {*NAMES, "aclose"}
        assert {when for when, _ in waiting.woken.values()} == {0}


@pytest.mark.parametrize("opened", [served, connected])
async def test_waiters_in_other_tasks_when_the_owner_is_cancelled(ends: Ends, opened) -> None:
    async with trio.open_nursery() as outside:
        with trio.CancelScope() as scope:
            async with opened(ends, heartbeat=None) as (connection, _):
                await fill(connection)
                waiting = Waiting(outside)
                start_all(waiting, connection)
                await settle()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        await settle()
        assert waiting.are_woken(0, ConnectionClosedLocally, *NAMES)


async def test_a_receiver_that_waits_when_only_writing_breaks() -> None:
    """What the peer has sent can be read; then the wait ends, and does not spin."""
    ours, theirs = half_pair()
    async with (
        served((ours, theirs), timeouts=Timeouts(close=3)) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await connection.receive())
            with pytest.raises(ConnectionLost):
                await connection.receive()
            assert clock.now == 3

        nursery.start_soon(receive)
        await settle()
        clock = Clock()
        ours.send_error = trio.BrokenResourceError("gone")
        await connection.send("lost")
        await settle()
        assert received == []
        await peer.send(TextFrame("the last"))
        await connection.wait_closed()
        assert received == ["the last"]
