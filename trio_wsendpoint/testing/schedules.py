"""Runs whose every scheduling decision comes from a seed.

Trio draws the order in which tasks run, and offers no public way to choose it.  It has a private
one, made for Hypothesis: `trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING`, and the random
generator `trio._core._run._r`.  **This module, and nothing else in the library, touches these
two**: for the length of a run, in which no other thread may run Trio.  That was seen to work with
Trio 0.30 and 0.35; should a later one have no such switch, `run_with_schedule` raises
`ScheduleUnavailable`, and the rest of the library is not concerned.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar, TypeVarTuple, cast

import trio
import trio.testing
from trio.abc import Instrument

__all__ = ["ScheduleTrace", "ScheduleUnavailable", "run_with_schedule"]

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"


class ScheduleUnavailable(RuntimeError):
    """This version of Trio does not let its schedule be chosen."""


class ScheduleTrace(Instrument):
    """An instrument that writes down what ran when, for comparing one run with another.

    `steps` has a line for each step of a task: the virtual time, the task's number in the order
    of their first steps, and its name.  It is the same in every process.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._numbers: dict[trio.lowlevel.Task, int] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Write down a step; Trio calls this."""
        number = self._numbers.setdefault(task, len(self._numbers))
        name = re.sub(r" at 0x[0-9a-f]+", "", task.name)
        self.steps.append(f"{trio.current_time():.6f} {number} {name}")


def run_with_schedule(
    async_fn: Callable[[*Ts], Awaitable[T]],
    *args: *Ts,
    seed: int,
    instruments: Sequence[Instrument] = (),
    autojump_threshold: float = 0,
) -> T:
    """Run `async_fn(*args)` as `trio.run` does, in the order that `seed` gives; return its result.

    The clock is a `trio.testing.MockClock` that jumps when everything has waited for
    `autojump_threshold` real seconds: more than 0 is for programs that wait for real sockets.
    The same seed gives the same order of steps, as long as the code itself draws nothing (see
    `seeded_bytes`) and waits for no real I/O.

    Raises what `async_fn` raises, and `ScheduleUnavailable`.
    """
    with _seeded_schedule(seed):
        return trio.run(
            async_fn,
            *args,
            clock=trio.testing.MockClock(autojump_threshold=autojump_threshold),
            instruments=instruments,
        )


@contextlib.contextmanager
def _seeded_schedule(seed: int) -> Generator[None]:
    """Turn Trio's private switch on, and seed its generator; afterwards both are as before."""
    run_module, generator = _private_parts()
    was_on, state = getattr(run_module, SWITCH), generator.getstate()
    setattr(run_module, SWITCH, True)
    generator.seed(seed)
    try:
        yield
    finally:
        setattr(run_module, SWITCH, was_on)
        generator.setstate(state)


def _private_parts() -> tuple[Any, random.Random]:
    """Return the module that has the switch, of which no type is known, and the generator."""
    core = getattr(trio, "_core", None)
    run_module = cast("Any", getattr(core, "_run", None))
    generator = getattr(run_module, "_r", None)
    if not isinstance(generator, random.Random) or not hasattr(run_module, SWITCH):
        raise ScheduleUnavailable(
            f"trio {trio.__version__} has no {SWITCH} any more: its schedules cannot be chosen"
        )
    return run_module, generator
