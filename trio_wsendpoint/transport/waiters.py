"""Places where tasks wait to be woken, which cost nothing while no task waits.

A connection has several of them and is idle most of the time; a `trio.Event` or `ParkingLot`
each would be a third of what it holds.
"""

from __future__ import annotations

import trio
from trio.lowlevel import Abort, Task

__all__ = ["Waiter", "Waiters"]


class Waiter:
    """Where one task waits until it is woken; a wake that no task waits for is forgotten.

    `task`: the one that waits, or None.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: Task | None = None

    async def wait(self) -> None:
        """Wait for the next `wake()`; raises `trio.BusyResourceError` if another task does."""
        if self.task is not None:
            raise trio.BusyResourceError("another task waits here")
        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> Abort:
        self.task = None
        return Abort.SUCCEEDED

    def wake(self) -> None:
        """Wake the task that waits, if one does."""
        task = self.task
        if task is not None:
            self.task = None
            trio.lowlevel.reschedule(task)


#: While no task waits yet; never filled, so all places share it.
_NOBODY: dict[Task, None] = {}


class Waiters:
    """Where any number of tasks wait, and are woken in the order in which they came.

    `count`: how many do, or have been woken and have not run yet.
    """

    __slots__ = ("_parked", "count")

    def __init__(self) -> None:
        self._parked = _NOBODY  # those that were not woken: the one that has waited longest first
        self.count = 0

    @trio.lowlevel.enable_ki_protection  # a task that was woken notes that it has run
    async def wait(self) -> None:
        """Wait to be woken."""
        task = trio.lowlevel.current_task()

        def abort(_: object) -> Abort:
            del self._parked[task]
            self.count -= 1
            return Abort.SUCCEEDED

        if self._parked is _NOBODY:
            self._parked = {}
        self._parked[task] = None
        self.count += 1
        await trio.lowlevel.wait_task_rescheduled(abort)
        self.count -= 1

    def wake_one(self) -> None:
        """Wake the task that has waited longest, if there is one.

        Not before each one that was woken has run, which then wakes the next itself: Trio runs two
        that are woken at once in either order.
        """
        if self._parked and len(self._parked) == self.count:
            self._wake(next(iter(self._parked)))

    def wake_all(self) -> None:
        """Wake all tasks that wait."""
        for task in tuple(self._parked):
            self._wake(task)

    def _wake(self, task: Task) -> None:
        del self._parked[task]
        trio.lowlevel.reschedule(task)
