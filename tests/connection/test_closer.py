"""A server's connection after both Close frames: who waits for the peer's last byte, and how long.

Over streams that need not wait; what holds of the others, `test_close` and `test_waits` show.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.connection.helpers import Clock, Peer, served, settle
from trio_wsendpoint import CloseFrame, Connection, ConnectionEnded, ConnectionLost, Timeouts
from trio_wsendpoint.testing import MemoryStream, memory_stream_pair

LINGER = 0.5
#: Seconds in which a task sees to the end, if nobody else does.
SOON = 0.06


@asynccontextmanager
async def closed_by_the_peer() -> AsyncGenerator[tuple[Connection, Peer, MemoryStream]]:
    """Yield a connection whose peer has closed, and knows that we have, and holds TCP open."""
    theirs, ours = memory_stream_pair()
    async with served((ours, theirs), timeouts=Timeouts(linger=LINGER)) as (connection, peer):
        await peer.send(CloseFrame(1000))
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        # Its bytes have ended with our Close frame, before the app does anything more.
        assert await peer.rest() == [("close", b"\x03\xe8")]
        assert not ours.is_closed
        yield connection, peer, ours


async def test_an_app_that_goes_on_does_not_hold_it_open(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, peer, ours):
        await peer.end_sending()
        await trio.sleep(SOON)
        assert ours.is_closed
        assert connection.statistics().age <= SOON


async def test_a_peer_that_holds_it_open_is_waited_for(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (_, _, ours):
        await trio.sleep(LINGER - 0.01)
        assert not ours.is_closed
        await trio.sleep(SOON + 0.02)
        assert ours.is_closed


async def test_who_closes_waits_no_longer_than_linger(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, _, ours):
        began = trio.current_time()
        await connection.aclose()
        assert trio.current_time() == began + LINGER
        assert ours.is_closed


async def test_who_closes_is_done_with_the_peers_last_byte(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, peer, ours):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(connection.aclose)
            await settle()
            await peer.end_sending()
        assert trio.current_time() == began
        assert ours.is_closed


@pytest.mark.parametrize("takes_waiting", [False, True])
@pytest.mark.parametrize("how", ["abort", "heartbeat"])
async def test_who_closes_is_done_when_it_is_aborted(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str, *, takes_waiting: bool
) -> None:
    async with closed_by_the_peer() as (connection, _, ours):
        if takes_waiting:
            refuse: Callable[[], bool] = lambda: False  # noqa: E731
            monkeypatch.setattr(ours, "close_nowait", refuse)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            await settle()
            assert not ours.is_closed
            if how == "abort":
                connection.tasks.abort()
            else:
                assert connection.tasks.cancel_task(how)
        assert trio.current_time() == began
        assert ours.is_closed


async def test_who_closes_waits_no_longer_than_linger_for_a_stream_that_has_to_wait(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with closed_by_the_peer() as (connection, _, ours):
        refuse: Callable[[], bool] = lambda: False  # noqa: E731
        monkeypatch.setattr(ours, "close_nowait", refuse)
        began = trio.current_time()
        await connection.aclose()
        assert trio.current_time() == began + LINGER
        assert ours.is_closed


async def test_a_cancelled_close_closes_at_once(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, _, ours):
        with trio.move_on_after(0.01) as scope:
            await connection.aclose()
        assert scope.cancelled_caught
        assert ours.is_closed
        await connection.wait_closed()


async def test_a_cancelled_owner_closes_at_once(autojump_clock: Clock) -> None:
    began = trio.current_time()
    held: list[MemoryStream] = []
    with trio.CancelScope() as scope:
        async with closed_by_the_peer() as (_, _, ours):
            held.append(ours)
            scope.cancel()
    assert trio.current_time() == began
    assert held[0].is_closed


async def test_who_only_waits_may_stop_waiting(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, peer, ours):
        with trio.move_on_after(0.01):
            await connection.wait_closed()
        assert not ours.is_closed
        began = trio.current_time()
        await peer.end_sending()
        await connection.wait_closed()
        assert trio.current_time() == began


async def test_an_abort_before_anything_waits_closes_it(autojump_clock: Clock) -> None:
    async with closed_by_the_peer() as (connection, _, ours):
        connection.tasks.abort()
        assert ours.is_closed


async def test_a_peer_that_just_goes_leaves_no_task(autojump_clock: Clock) -> None:
    theirs, ours = memory_stream_pair()
    async with served((ours, theirs)) as (connection, peer):
        await peer.end_sending()
        before = trio.lowlevel.current_statistics().tasks_living
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert ours.is_closed
        assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize("how", ["send_eof_nowait", "close_nowait"])
async def test_a_stream_that_has_to_wait_for_it(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    theirs, ours = memory_stream_pair()
    refuse: Callable[[], bool] = lambda: False  # noqa: E731
    monkeypatch.setattr(ours, how, refuse)
    async with served((ours, theirs)) as (connection, peer):
        await peer.send(CloseFrame(1000))
        with pytest.raises(ConnectionEnded):
            await connection.receive()
        await peer.end_sending()
        await connection.aclose()
        assert ours.is_closed
        assert await peer.rest() == [("close", b"\x03\xe8")]
