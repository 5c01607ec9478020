"""Programs of many tasks on one connection: right in every schedule, and the same each time.

`python -m tests.torture --schedules 1000` does it a thousand times.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture import programs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(6))
def test_schedules(seed: int) -> None:
    assert programs.check(seed) == ""


def test_a_trace_is_the_same_in_another_process() -> None:
    code = "from tests.torture.programs import trace; print(trace('senders', 3))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1  # here the main task has another name: see tests/leaks.py
    assert programs.trace("senders", 3) != programs.trace("senders", 4)


def test_a_program_that_fails_is_told(monkeypatch) -> None:
    async def fail(seed: int) -> None:
        assert seed != 7, "it is seven"

    monkeypatch.setattr(programs, "PROGRAMS", {"fails": fail})
    assert programs.check(6) == ""
    assert "fails: seed 7: " in programs.check(7)
    assert "it is seven" in programs.check(7)


def test_a_program_that_differs_is_told(monkeypatch) -> None:
    turns = iter(range(100))

    async def differ(seed: int) -> None:
        import trio

        for _ in range(next(turns)):
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(programs, "PROGRAMS", {"differs": differ})
    assert programs.check(1) == "differs: seed 1 has two traces"
