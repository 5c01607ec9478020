"""Cores to run on, and the CPU time that a process has used."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.works import Regime


class Cores(NamedTuple):
    """Where a server and its load run."""

    server: int
    load: int


def choose(allowed: set[int]) -> dict[Regime, Cores]:
    """Return the cores of each regime; there is none of "two" where only one core is allowed."""
    last = max(allowed)
    found: dict[Regime, Cores] = {"one": Cores(last, last)}
    others = allowed - {last}
    if others:
        apart = others - siblings(last)  # two threads of one core slow each other
        found["two"] = Cores(last, min(apart or others))
    return found


def siblings(core: int) -> set[int]:
    """Return the cores, as the system counts them, that are the same piece of hardware."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        return parse_list(path.read_text())
    except OSError:
        return {core}


def parse_list(text: str) -> set[int]:
    """Return the numbers in a list as the kernel writes them: `0,4-6`."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def confine(pid: int, core: int) -> None:
    """Let all threads of a process run on one core only."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


class CpuClock:
    """The CPU time of another process, user and system, in ns and not in ticks of 10 ms."""

    def __init__(self, pid: int) -> None:
        found = ctypes.c_int()
        if error := ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(found)):
            raise OSError(error, os.strerror(error))
        self._clock = found.value

    def read(self) -> int:
        """Return the ns of CPU that the process has used."""
        return time.clock_gettime_ns(self._clock)
