"""Schedules that come from a seed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from trio_wsendpoint.testing import ScheduleTrace, ScheduleUnavailable, run_with_schedule

ROOT = Path(__file__).parents[2]


async def shuffle(count: int) -> str:
    order: list[str] = []

    async def step(name: str) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(name)
        await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(step, str(number), name=object())
    return "".join(order)


def traced(seed: int) -> tuple[str, list[str]]:
    trace = ScheduleTrace()
    return run_with_schedule(shuffle, 5, seed=seed, instruments=[trace]), trace.steps


def test_the_same_seed_gives_the_same_trace() -> None:
    result, steps = traced(1)
    assert traced(1) == (result, steps)
    assert len({traced(seed)[0] for seed in range(10)}) > 5
    assert any(step.startswith("5.000000 ") for step in steps)
    assert not any("0x" in step for step in steps)


def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    code = "from tests.testing.test_schedules import traced; print(traced(3))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(traced(3))


@pytest.mark.parametrize("was_on", [False, True])
def test_everything_is_as_before_afterwards(monkeypatch, was_on: bool) -> None:
    run_module = trio._core._run
    monkeypatch.setattr(run_module, "_ALLOW_DETERMINISTIC_SCHEDULING", was_on)
    state = run_module._r.getstate()

    async def fail() -> None:
        assert run_module._ALLOW_DETERMINISTIC_SCHEDULING is True
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_with_schedule(fail, seed=1)
    assert run_module._ALLOW_DETERMINISTIC_SCHEDULING is was_on
    assert run_module._r.getstate() == state


@pytest.mark.parametrize("name", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_a_trio_without_the_switch(monkeypatch, name: str) -> None:
    monkeypatch.delattr(trio._core._run, name)
    with pytest.raises(ScheduleUnavailable, match="cannot be chosen"):
        run_with_schedule(shuffle, 1, seed=1)


def test_nothing_is_drawn_from_the_random_module() -> None:
    state = random.getstate()
    traced(1)
    assert random.getstate() == state
