"""Where processes run, and what they use."""

from __future__ import annotations

import os
import time

import pytest

from tests.benchmarks import cores
from tests.benchmarks.cores import Cores, CpuClock, choose, parse_list


@pytest.mark.parametrize(
    ("text", "numbers"), [("0\n", {0}), ("0,4", {0, 4}), ("0-2,5\n", {0, 1, 2, 5})]
)
def test_lists_of_the_kernel(text, numbers):
    assert parse_list(text) == numbers


def test_server_and_load_are_on_one_core_or_apart(monkeypatch):
    monkeypatch.setattr(cores, "siblings", lambda core: {1, 3} if core == 3 else {core})
    assert choose({1, 2, 3}) == {"one": Cores(3, 3), "two": Cores(3, 2)}
    assert choose({1, 3})["two"] == Cores(3, 1)  # better than none
    assert choose({3}) == {"one": Cores(3, 3)}


def test_the_clock_of_a_process_is_finer_than_its_ticks():
    clock = CpuClock(os.getpid())
    before, own = clock.read(), time.process_time_ns()
    after = clock.read()
    assert before < own < after
    with pytest.raises(OSError, match="No such process"):
        CpuClock(2**22 + 1)


def test_a_process_is_confined():
    allowed = os.sched_getaffinity(0)
    try:
        cores.confine(os.getpid(), max(allowed))
        assert os.sched_getaffinity(0) == {max(allowed)}
    finally:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), allowed)
