from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from trio_wsendpoint.connection.heartbeat import TICK, HeartbeatTask
from trio_wsendpoint.server.alarm import Alarm


async def test_it_rings_at_the_deadline_that_was_set_last(autojump_clock) -> None:
    rung: list[float] = []
    async with trio.open_nursery() as nursery:
        alarm = Alarm(
            HeartbeatTask(nursery), lambda: rung.append(trio.current_time()), lambda: None
        )
        alarm.set(5)
        await trio.sleep(3)
        alarm.set(9)
        await trio.sleep(20)
        assert rung == [9]
        assert alarm.deadline == math.inf
        alarm.set(30)
        alarm.set(25)
        await trio.sleep(20)
        assert rung == [9, 25]
        alarm.set(50)
        alarm.stop()
        alarm.stop()
    assert trio.current_time() == 43  # the heartbeat task has ended with it


async def test_it_ends_the_link_if_no_task_keeps_its_deadline(autojump_clock) -> None:
    aborted: list[bool] = []
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery)
        Alarm(heartbeat, lambda: None, lambda: aborted.append(True))
        await trio.testing.wait_all_tasks_blocked()
        heartbeat.cancel()
    assert aborted == [True]


async def test_what_is_watched_is_asked_at_each_tick_until_it_is_over(autojump_clock) -> None:
    asked: list[float] = []

    def is_over() -> bool:
        asked.append(trio.current_time())
        return len(asked) == 3

    async with trio.open_nursery() as nursery:
        alarm = Alarm(HeartbeatTask(nursery), lambda: None, lambda: None)
        alarm.watch(is_over)
        await trio.sleep(1)
        assert asked == pytest.approx([TICK, 2 * TICK, 3 * TICK])
        alarm.watch(is_over)
        alarm.unwatch(lambda: False)  # another one, which changes nothing
        await trio.sleep(TICK * 1.5)
        alarm.unwatch(is_over)
        await trio.sleep(1)
        assert len(asked) == 4
        alarm.stop()
