"""One run of a scenario, with one thing injected, and what must hold afterwards."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, TypeVarTuple, cast

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.testing.faults import Faults
from trio_wsendpoint.testing.injector import Injection, Injector
from trio_wsendpoint.testing.network import MemoryNetwork
from trio_wsendpoint.testing.seeds import seeded_bytes
from trio_wsendpoint.testing.watchdog import watch

__all__ = ["Fault", "Run", "Scenario", "VictimEnd"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Fault(Exception):
    """What is wrong with a run: `category` is corrupt, hung, leaked, swallowed or logged."""

    def __init__(self, category: str, text: str) -> None:
        super().__init__(text)
        self.category = category


@dataclass(frozen=True, slots=True)
class VictimEnd(Generic[T]):
    """How a victim ended: with a `value`, or `is_cancelled`, or `is_interrupted`."""

    value: T | None = None
    is_cancelled: bool = False
    is_interrupted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the victim's function returned."""
        return not (self.is_cancelled or self.is_interrupted)


class Run:
    """What a scenario is given.

    `injection`: the kind, the seed and the k.  `random` and `random_bytes`: randomness of this
    seed.  `network`: a `MemoryNetwork` whose streams have the form that was asked for; it must be
    left with nothing open.  `records`: what the library has logged so far.
    """

    def __init__(self, injection: Injection, *, nonblocking: bool) -> None:
        self.injection = injection
        self.random = random.Random(injection.seed)  # noqa: S311 - repeatable is what it is to be
        self.random_bytes = seeded_bytes(injection.seed)
        self.records: list[logging.LogRecord] = []
        self._injector = Injector(injection)
        self.network = MemoryNetwork(
            nonblocking=nonblocking, on_operation=self._injector.before_operation
        )
        self._main: trio.lowlevel.Task | None = None
        self._fault: Fault | None = None

    @property
    def seed(self) -> int:
        """The seed of the schedule."""
        return self.injection.seed

    def faults(self, chop: int = 100) -> Faults:
        """Return `Faults` that chop what a side reads and writes, into sizes of this seed."""
        return Faults(chop=chop, seed=self.random.getrandbits(32))

    def watch(self, connection: Connection) -> None:
        """Let `connection` be the one whose internal tasks are cancelled, if that is injected."""
        self._injector.watched = connection

    async def victim(
        self, async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, children: bool = False
    ) -> VictimEnd[T]:
        """Run `async_fn(*args)`, in the current task, so that it may be struck; say how it ended.

        What is counted for a cancellation and a `KeyboardInterrupt` is how often this task has
        yielded meanwhile; with `children`, also those tasks that `async_fn` starts.  One victim at
        a time; for a `KeyboardInterrupt`, it has to be in the task that runs the scenario.

        If cancelled: by the harness, this is told in what is returned; by an outer scope, it ends.
        Raises: what `async_fn` raises, except what was injected; `RuntimeError` in another task.
        """
        if self.injection.kind == "interrupt" and trio.lowlevel.current_task() is not self._main:
            raise RuntimeError(
                "a KeyboardInterrupt strikes the main task: the victim is in another"
            )
        with trio.CancelScope() as scope:
            self._injector.begin(scope, children=children)
            try:
                value = await async_fn(*args)
                return await self._end(value)
            except BaseException as error:
                if self._is_injected_interrupt(error):
                    return VictimEnd(is_interrupted=True)
                if self._is_interrupt_due and not isinstance(error, trio.Cancelled):
                    await self._take_interrupt()
                raise
            finally:
                self._injector.end()
                if self._injector.carried_on:
                    self._note(Fault("swallowed", "the victim carried on after its cancellation"))
        return VictimEnd(is_cancelled=True)

    async def _end(self, value: T) -> VictimEnd[T]:
        if self._injector.is_delivered:
            self._note(Fault("swallowed", "the victim was given Cancelled, and returned"))
        if self._is_interrupt_due:
            await self._take_interrupt()
        return VictimEnd(value)

    @property
    def _is_interrupt_due(self) -> bool:
        return self.injection.kind == "interrupt" and self._injector.is_injected

    def _is_injected_interrupt(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
            return any(map(self._is_injected_interrupt, inner))
        return isinstance(error, KeyboardInterrupt) and self._is_interrupt_due

    async def _take_interrupt(self) -> None:
        """Take the `KeyboardInterrupt` that has come too late for the victim."""
        try:
            await trio.lowlevel.checkpoint()
        except KeyboardInterrupt:
            return
        self._note(Fault("swallowed", "the victim was given KeyboardInterrupt, and it is gone"))

    def _note(self, fault: Fault) -> None:
        self._fault = self._fault or fault

    def _note_hang(self, text: str) -> None:
        self._note(Fault("hung", text))

    # ---- for the harness ---------------------------------------------------------------------

    @property
    def injector(self) -> Injector:
        """The instrument of this run."""
        return self._injector

    @property
    def fault(self) -> Fault | None:
        """What was found wrong first."""
        return self._fault

    async def supervise(self, scenario: Scenario, deadline: float) -> None:
        """Run `scenario`, and check what it has left.

        If cancelled: the scenario is cancelled.
        Raises: what `scenario` raises, and `Fault`.
        """
        self._main = trio.lowlevel.current_task()
        tasks = trio.lowlevel.current_statistics().tasks_living
        error: BaseException | None = None
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                self._injector.on_busy = scope
                nursery.start_soon(
                    watch, self._main, scope, self.network, deadline, self._note_hang
                )
                try:
                    await scenario(self)
                except trio.Cancelled:
                    raise
                except BaseException as caught:  # noqa: BLE001 - raised again below
                    error = caught
            nursery.cancel_scope.cancel()
        if self._injector.is_busy:
            self._fault = Fault("hung", f"more than {self._injector.steps} steps: a busy loop")
        if self._fault is not None:
            raise self._fault from error
        if error is not None:
            raise error
        self._check_leftovers(tasks)

    def _check_leftovers(self, tasks: int) -> None:
        statistics = trio.lowlevel.current_statistics()
        if statistics.tasks_living != tasks:
            raise Fault("leaked", f"{statistics.tasks_living - tasks} tasks were left over")
        if statistics.seconds_to_next_deadline != math.inf:
            raise Fault("leaked", "a deadline was left over")
        left = [*self.network.open_streams, *self.network.open_listeners]
        if left:
            raise Fault("leaked", f"left open: {left}")


#: What is run once for every injection.
Scenario = Callable[[Run], Awaitable[object]]
