"""Where tasks wait: the order in which they are woken, and what a cancelled one leaves behind."""

from __future__ import annotations

import trio
import trio.testing

from trio_wsendpoint.transport.waiters import Waiters


async def waiting(waiters: Waiters, name: str, woken: list[str]) -> None:
    await waiters.wait()
    woken.append(name)


async def test_one_that_was_woken_runs_before_the_next_is_woken() -> None:
    waiters = Waiters()
    woken: list[str] = []
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(waiting, waiters, name, woken)
            await trio.testing.wait_all_tasks_blocked()
        waiters.wake_one()
        waiters.wake_one()  # "a" has not run yet
        assert waiters.count == 3
        await trio.testing.wait_all_tasks_blocked()
        assert (woken, waiters.count) == (["a"], 2)
        waiters.wake_one()
        await trio.testing.wait_all_tasks_blocked()
        assert woken == ["a", "b"]
        waiters.wake_all()
    assert (sorted(woken), waiters.count) == (["a", "b", "c"], 0)


async def test_one_that_was_cancelled_keeps_no_other_waiting() -> None:
    waiters = Waiters()
    woken: list[str] = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(waiting, waiters, "a", woken)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(waiting, waiters, "b", woken)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                assert waiters.count == 1  # though "a" has not run yet
                waiters.wake_one()
    assert (woken, waiters.count) == (["b"], 0)


async def test_without_a_task_nothing_is_woken() -> None:
    waiters = Waiters()
    waiters.wake_one()
    waiters.wake_all()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiters.wait)
        await trio.testing.wait_all_tasks_blocked()
        waiters.wake_one()
