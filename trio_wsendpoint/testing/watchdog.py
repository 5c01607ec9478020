"""Ends a run that does not end by itself, and tells where its tasks wait."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import outcome
import trio

from trio_wsendpoint.testing.network import MemoryNetwork

__all__ = ["Killed", "describe", "watch"]

#: Virtual seconds that pass between two attempts to end what hangs.
PATIENCE = 60.0


class Killed(BaseException):
    """What the tasks of a run that hangs in spite of its cancellation are ended with."""


async def watch(
    task: trio.lowlevel.Task,
    scope: trio.CancelScope,
    network: MemoryNetwork,
    deadline: float,
    on_hang: Callable[[str], object],
) -> None:
    """End `task`, which is in `scope`, if it has not ended after `deadline` virtual seconds.

    First `on_hang` is told where it and the tasks below it wait.  Then the scope is cancelled;
    if that does not help, every stream of `network` is broken; if that does not help either, the
    tasks are ended by force.
    """
    own = trio.lowlevel.current_task()
    await trio.sleep(deadline)
    on_hang(f"no end after {deadline:g} virtual s:\n{describe(task)}")
    scope.cancel()
    await trio.sleep(PATIENCE)
    network.reset()
    while True:
        await trio.sleep(PATIENCE)
        for each in reversed([*_tasks_below(task)]):
            # A task that is about to run need not, and cannot, be woken.
            with contextlib.suppress(AssertionError):
                if each is not own:
                    trio.lowlevel.reschedule(each, outcome.Error(Killed()))


def _tasks_below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield a task and all that it and they have started."""
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _tasks_below(child)


def describe(task: trio.lowlevel.Task) -> str:
    """Say where a task and all below it wait."""
    lines: list[str] = []
    for each in _tasks_below(task):
        where = [
            f"{os.path.basename(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
            for frame, line in each.iter_await_frames()
        ]
        lines.append(f"  {each.name}: {' > '.join(where[-6:-1])}")
    return "\n".join(lines)
