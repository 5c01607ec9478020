"""The heartbeat task itself: when it runs, and for whom."""

from __future__ import annotations

import trio
import trio.testing

from tests.connection.helpers import Clock
from trio_wsendpoint.connection.heartbeat import HeartbeatTask

settle = trio.testing.wait_all_tasks_blocked


class Watched:
    """What the heartbeat sees of a connection."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        self.told: list[str] = []

    def beat(self, now: float) -> None:
        self.told.append(f"{now - self.deadline:g} late")
        self.deadline = float("inf")

    def is_watch_over(self, tick: int, away: float) -> bool:
        return True

    def abort(self, why: str) -> None:
        self.told.append(why)


async def test_it_runs_while_there_are_connections_and_again_for_a_later_one(
    autojump_clock: object,
) -> None:
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery)
        for _ in range(2):
            one = Watched(trio.current_time() + 5)
            heartbeat.add(one)
            await settle()
            assert len(nursery.child_tasks) == 1
            await trio.sleep(6)
            assert one.told == ["0 late"]
            heartbeat.remove(one)
            await settle()
            assert not nursery.child_tasks


async def test_one_that_comes_as_the_last_one_goes_is_looked_at(autojump_clock: object) -> None:
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery)
        for has_run in (False, True):
            first, second = Watched(trio.current_time() + 5), Watched(trio.current_time() + 5)
            heartbeat.add(first)
            if has_run:
                await settle()
            heartbeat.remove(first)
            heartbeat.add(second)
            await trio.sleep(6)
            assert (first.told, second.told) == ([], ["0 late"])
            assert len(nursery.child_tasks) == 1
            heartbeat.remove(second)


async def test_for_a_server_it_stays_until_it_is_let_go(autojump_clock: object) -> None:
    clock = Clock()
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery, stays=True)
        one = Watched()
        heartbeat.add(one)
        heartbeat.remove(one)
        await trio.sleep(1)
        assert len(nursery.child_tasks) == 1
        heartbeat.add(one)
        heartbeat.let_go()
        heartbeat.let_go()
        await trio.sleep(1)
        assert len(nursery.child_tasks) == 1
        heartbeat.remove(one)
    assert clock.now == 2


async def test_cancelled_it_aborts_those_that_it_has_and_runs_for_the_next(
    autojump_clock: object,
) -> None:
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery, stays=True)
        one, later = Watched(), Watched(trio.current_time() + 5)
        heartbeat.add(one)
        await settle()
        heartbeat.cancel()
        await settle()
        assert one.told == ["the heartbeat task was cancelled"]
        heartbeat.remove(one)
        heartbeat.add(later)
        await trio.sleep(6)
        assert later.told == ["0 late"]
        heartbeat.remove(later)
