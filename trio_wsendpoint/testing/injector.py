"""The instrument that strikes: it counts what a run does, and injects one fault at the k-th."""

from __future__ import annotations

import errno
import math
import signal
from dataclasses import dataclass
from typing import Literal, get_args

import trio
from trio.abc import Instrument

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.testing.streams import MemoryStream, os_error
from trio_wsendpoint.testing.watchdog import Killed

__all__ = ["KINDS", "Injection", "Injector", "Kind"]

Kind = Literal[
    "cancel", "interrupt", "client error", "server error", "reader", "writer", "heartbeat", "closer"
]
#: All that can be injected.
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Steps of a run after which it is taken for a loop that never waits.
MAX_STEPS = 50_000
#: Times that a cancelled victim may wait where its cancellation is delivered, while it unwinds.
UNWINDING = 64


@dataclass(frozen=True, slots=True)
class Injection:
    """What is injected when: `kind`, at the `k`-th chance, in the schedule of `seed`."""

    kind: Kind
    seed: int
    k: int


class Injector(Instrument):
    """Counts the chances of one run, and injects at the k-th.

    `is_reached`: there were k chances.  `is_injected`: and there was something to inject into.
    `steps` counts those of all tasks.  `is_delivered`: the victim was given its `Cancelled`;
    `carried_on`: and has waited too often since.
    """

    def __init__(self, injection: Injection) -> None:
        self.injection = injection
        self.is_reached = False
        self.is_injected = False
        self.is_delivered = False
        self.steps = 0
        self.is_busy = False
        self.on_busy: trio.CancelScope | None = None
        self.watched: Connection | None = None
        self._kind = injection.kind
        self._chances = 0
        self._victim: trio.lowlevel.Task | None = None
        self._has_children = False
        self._scope: trio.CancelScope | None = None
        self._own_nurseries = 0  # that were open around the victim's function
        self._scheduled = False  # the victim, in what was looked at last
        self._is_in_checkpoint = False
        self._waits = 0  # of the victim, since it was cancelled

    def begin(self, scope: trio.CancelScope, *, children: bool) -> None:
        """Count for the current task from now on, which is in `scope`."""
        if self._victim is not None:
            raise RuntimeError("there is a victim already: one at a time")
        self._victim = trio.lowlevel.current_task()
        self._own_nurseries = len(self._victim.child_nurseries)
        self._scope = scope
        self._has_children = children

    def end(self) -> None:
        """Count no longer: the victim has ended."""
        self._victim = self._scope = None

    @property
    def carried_on(self) -> bool:
        """Whether the victim has gone on in spite of its cancellation."""
        return self._waits > UNWINDING

    # ---- what Trio calls ---------------------------------------------------------------------

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Note that the victim was woken."""
        if task is self._victim:
            self._scheduled = True

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a step, and strike if it was the one."""
        self.steps += 1
        if self.steps > MAX_STEPS and not self.is_busy:
            self.is_busy = True
            if self.on_busy is not None:
                self.on_busy.cancel()
        if self._victim is None or not task.coro.cr_frame:  # the task has ended
            return
        if self.is_injected and task is self._victim:
            self._follow()
        elif not self.is_reached and self._is_chance(task):
            self._chances += 1
            if self._chances == self.injection.k:
                self.is_reached = True
                self._strike()
        self._scheduled = False

    def before_operation(self, stream: MemoryStream) -> None:
        """Count an operation of a stream, and break it if it was the one."""
        if self.steps > 2 * MAX_STEPS:
            raise Killed  # a loop that no cancellation ends
        if self._kind == f"{stream.side} error" and not self.is_reached:
            self._chances += 1
            if self._chances == self.injection.k:
                self.is_reached = self.is_injected = True
                stream.fail(os_error(errno.EIO))

    # ---- striking ----------------------------------------------------------------------------

    def _is_chance(self, task: trio.lowlevel.Task) -> bool:
        if self._kind in {"client error", "server error"}:
            return False
        if task is self._victim:
            return True
        if self._kind in {"cancel", "interrupt"}:
            return self._has_children and self._is_within(task)
        return task.name == f"trio_wsendpoint {self._kind}"

    def _is_within(self, task: trio.lowlevel.Task) -> bool:
        """Tell whether `task` is one of the victim's, however far down."""
        nursery = task.parent_nursery
        while nursery is not None:
            if nursery.parent_task is self._victim:
                return nursery in nursery.parent_task.child_nurseries[self._own_nurseries :]
            nursery = nursery.parent_task.parent_nursery
        return False

    def _strike(self) -> None:
        if self._kind == "cancel":
            self.is_injected = True
            victim, scope = self._victim, self._scope
            if victim is None or scope is None:
                raise RuntimeError("there is no victim")
            self._is_in_checkpoint = _is_about_to_notice(victim)
            self._scheduled = False
            scope.cancel()
            self.is_delivered = self._scheduled
        elif self._kind == "interrupt":
            self.is_injected = True
            signal.raise_signal(signal.SIGINT)  # Trio's handler notes it for the main task
        elif self.watched is not None:
            tasks = self.watched.tasks
            if self._kind != "closer":
                self.is_injected = tasks.cancel_task(self._kind)
            elif tasks.session.phase is not Phase.OVER:
                self.is_injected = True
                tasks.abort("the closing was cancelled")

    def _follow(self) -> None:
        """Look at what the victim does with its cancellation."""
        victim = self._victim
        if self._kind != "cancel" or victim is None:
            return
        if trio.current_effective_deadline() == -math.inf:
            self._waits += 1
            # `checkpoint()` lets others run first, and raises in a second step: this one.
            if self._is_in_checkpoint and self._scheduled:
                self.is_delivered = "wait_task_rescheduled" in _innermost(victim)
        self._is_in_checkpoint = False


def _is_about_to_notice(task: trio.lowlevel.Task) -> bool:
    """Tell whether `task` waits in a `checkpoint()` where nothing but ours will cancel it."""
    if task is not trio.lowlevel.current_task():
        return False
    is_cancelled = trio.current_effective_deadline() == -math.inf
    return not is_cancelled and {"checkpoint", "cancel_shielded_checkpoint"} <= _innermost(task)


def _innermost(task: trio.lowlevel.Task) -> set[str]:
    """Return the names of the innermost functions in which `task` waits."""
    return {frame.f_code.co_name for frame, _ in [*task.iter_await_frames()][-3:]}
