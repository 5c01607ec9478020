"""Send a Ctrl-C at a line of the library: at the first that a program runs, at the second, ...

`interrupt` does one run: a trace function counts the lines that run in the library's own files
and calls `signal.raise_signal(SIGINT)` at the k-th.  What must hold then, whatever the program:

* `KeyboardInterrupt` comes out of the call of the library that the program was in, as it is; and
  if it went to a task of the program's own, out of `trio.run`, in groups of it alone;
* within `SOON` virtual seconds and `STEPS` steps of tasks;
* no task, deadline, stream, listener or file descriptor is left, nothing was logged above INFO,
  and Python had nothing to warn of.

Over code that Trio protects, the interrupt is delivered later, to the main task.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import trio
from trio.abc import Instrument

import trio_wsendpoint
from tests.torture.opening import ENDINGS
from trio_wsendpoint.testing import MemoryNetwork, run_with_schedule, seeded_bytes
from trio_wsendpoint.testing.surroundings import (
    interrupts_allowed,
    note_complaints,
    note_records,
    open_descriptors,
    quiet_collector,
)
from trio_wsendpoint.testing.watchdog import watch

#: Virtual seconds, and steps of tasks, after which what was interrupted must have ended: a server
#: may take its grace, and an opening or a closing its own deadline.
SOON = 12.0
STEPS = 2000
#: Virtual seconds after which a run hangs.
HUNG = 300.0
#: Steps of a run after which it is taken for a loop that never waits.
MAX_STEPS = 20_000

_LIBRARY = os.path.dirname(trio_wsendpoint.__file__) + os.sep
_OURS = os.path.join(_LIBRARY, "testing") + os.sep


@dataclass(frozen=True, slots=True)
class Blow:
    """Where a Ctrl-C comes: at the `k`-th line, and, if not 0, again `then` lines later.

    With `k` 0 it never comes.  `nonblocking` is the form of the network's streams.
    """

    program: str
    k: int
    then: int = 0
    nonblocking: bool = True

    def __str__(self) -> str:
        again = f", and again {self.then} lines later" if self.then else ""
        form = "" if self.nonblocking else ", streams that have to wait"
        return f"{self.program}, Ctrl-C at line event {self.k}{again}{form}"

    @property
    def command(self) -> str:
        """What repeats it."""
        form = "" if self.nonblocking else " --waiting"
        then = f" --then {self.then}" if self.then else ""
        return f"python -m tests.torture --line {self.program} {self.k}{then}{form}"


class Lines(Instrument):
    """Counts the lines of the library that run, and strikes; as an instrument it counts steps."""

    def __init__(self, blow: Blow) -> None:
        self.count = 0
        self.struck_at: list[str] = []
        self.time = math.inf  # virtual, of the first blow
        self.steps = 0  # of tasks, since the first blow
        self.all_steps = 0
        self.on_busy: trio.CancelScope | None = None
        self._due = [blow.k, blow.k + blow.then] if blow.then else [blow.k]
        self._is_own: dict[CodeType, bool] = {}
        self._line = self._make_tracer()

    def start(self) -> None:
        """Count in what is called from now on."""
        sys.settrace(self._enter)

    @staticmethod
    def stop() -> None:
        """Count no longer."""
        sys.settrace(None)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a step; end a run that has too many."""
        self.all_steps += 1
        self.steps += bool(self.struck_at)
        if self.all_steps > MAX_STEPS and self.on_busy is not None:
            self.on_busy.cancel()

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        is_own = self._is_own.get(code)
        if is_own is None:
            name = code.co_filename
            is_own = name.startswith(_LIBRARY) and not name.startswith(_OURS)
            self._is_own[code] = is_own
        return self._line if is_own else None

    def _make_tracer(self) -> Callable[[FrameType, str, Any], Any]:
        """Return what is called at each line; a closure costs less than a method."""
        due = self._due

        def line(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                self.count = count = self.count + 1
                if due and count == due[0]:
                    del due[0]
                    self._strike(frame)
            return line

        return line

    def _strike(self, frame: FrameType) -> None:
        name = frame.f_code.co_filename.removeprefix(_LIBRARY)
        self.struck_at.append(f"{name}:{frame.f_lineno} {frame.f_code.co_name}")
        if self.time == math.inf:
            self.time = trio.current_time()
        if self._due:
            # Python stops tracing when a trace function raises; it goes on profiling.
            sys.setprofile(self._resume)
        else:
            self.stop()  # it costs the most, and there is nothing to count up to
        signal.raise_signal(signal.SIGINT)

    def _resume(self, frame: FrameType, event: str, _: Any) -> None:
        sys.setprofile(None)
        sys.settrace(self._enter)
        each: FrameType | None = frame
        while each is not None:
            each.f_trace = self._enter(each, "call", None)
            each = each.f_back


class LineRun:
    """What a program is given.

    `network`: must be left with nothing open.  `beside`: a nursery for its peers.  `options`: for
    a client, so that its randomness repeats.  `start()` begins the part that is struck.
    """

    def __init__(self, blow: Blow) -> None:
        self.lines = Lines(blow)
        self.network = MemoryNetwork(nonblocking=blow.nonblocking, capacity=4096)
        self.options: dict[str, Any] = {"random_bytes": seeded_bytes(1)}
        self.beside: trio.Nursery
        self.faults: list[str] = []
        self.is_interrupted = False  # a KeyboardInterrupt has come out

    def start(self) -> None:
        self.lines.start()

    async def supervise(self, program: Program) -> None:
        task = trio.lowlevel.current_task()
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                self.lines.on_busy = scope
                nursery.start_soon(watch, task, scope, self.network, HUNG, self.faults.append)
                await self._run(program)
            nursery.cancel_scope.cancel()
        self._check(tasks)

    async def _run(self, program: Program) -> None:
        """Run `program` beside its peers; raise what is neither a Ctrl-C nor its consequence."""
        try:
            async with trio.open_nursery() as self.beside:
                try:
                    await program(self)
                except BaseException as error:
                    self._judge(error)
                    raise
                finally:
                    self.lines.stop()
            if self.lines.struck_at:
                await trio.lowlevel.checkpoint()  # it may have come in the last moment
        except BaseExceptionGroup as group:
            rest = group.split((*ENDINGS, KeyboardInterrupt))[1]
            if rest is not None or not self.lines.struck_at:
                raise
            # A task that was cancelled may tell instead that its connection is gone.
            self.is_interrupted = group.split(KeyboardInterrupt)[0] is not None
        except KeyboardInterrupt:
            if not self.lines.struck_at:
                raise
            self.is_interrupted = True

    def _judge(self, error: BaseException) -> None:
        """Judge what comes out of the library in the main task."""
        is_plain = isinstance(error, (KeyboardInterrupt, trio.Cancelled, *ENDINGS))
        if self.lines.struck_at and not is_plain:
            text = "".join(traceback.format_exception(error))
            self.faults.append(f"not a KeyboardInterrupt came out:\n{text}")

    def _check(self, tasks: int) -> None:
        took = trio.current_time() - self.lines.time
        if took > SOON:
            self.faults.append(f"it took {took:g} virtual s")
        if self.lines.steps > STEPS:
            self.faults.append(f"it took {self.lines.steps} steps")
        statistics = trio.lowlevel.current_statistics()
        if statistics.tasks_living != tasks:
            self.faults.append(f"{statistics.tasks_living - tasks} tasks were left over")
        if statistics.seconds_to_next_deadline != math.inf:
            self.faults.append("a deadline was left over")
        left = [*self.network.open_streams, *self.network.open_listeners]
        if left:
            self.faults.append(f"left open: {left}")


#: What is struck, and raises what came out of it.
Program = Callable[[LineRun], Awaitable[None]]


@dataclass(slots=True)
class Outcome:
    """How a run went: `lines` of the library ran; `faults` are what did not hold."""

    blow: Blow
    lines: int
    struck_at: list[str]
    faults: list[str]

    def __str__(self) -> str:
        where = " and ".join(self.struck_at) or "never"
        faults = "\n  ".join(self.faults)
        return f"{self.blow} ({where}):\n  {faults}\nto repeat it: {self.blow.command}"


def interrupt(program: Program, blow: Blow) -> Outcome:
    """Run `program` once, strike where `blow` says, and say how it went."""
    records: list[logging.LogRecord] = []
    complaints: list[str] = []
    descriptors = open_descriptors()
    with note_records(records), note_complaints(complaints):
        outcome = _run(program, blow)
        gc.collect()
    # A run that Trio itself has given up leaves much that is of no interest.
    if not outcome.faults:
        outcome.faults += [f"logged: {_told(one)}" for one in records if one.levelno > logging.INFO]
        outcome.faults += complaints
        if open_descriptors() != descriptors:
            outcome.faults.append(f"{open_descriptors() - descriptors} file descriptors were left")
    return outcome


def _run(program: Program, blow: Blow) -> Outcome:
    """Run `program` and judge what comes out of it; what it leaves is for the caller to judge."""
    run = LineRun(blow)
    tracer = sys.gettrace()  # of a debugger, or of what measures coverage
    try:
        run_with_schedule(run.supervise, program, seed=0, instruments=[run.lines])
    except KeyboardInterrupt:
        if not run.lines.struck_at:
            raise
        run.is_interrupted = True
    except BaseException as error:
        if not run.lines.struck_at:
            raise
        # A second one may come when only the nursery of the judge is left.
        others = error.split(KeyboardInterrupt) if isinstance(error, BaseExceptionGroup) else None
        if blow.then and others is not None and others[1] is None:
            run.is_interrupted = True
        else:
            run.faults.append("".join(traceback.format_exception(error)))
    finally:
        sys.setprofile(None)
        sys.settrace(tracer)
    if run.lines.struck_at and not run.is_interrupted:
        run.faults.append("the KeyboardInterrupt is gone")
    if run.lines.all_steps > MAX_STEPS:
        run.faults.append(f"a busy loop: more than {MAX_STEPS} steps")
    return Outcome(blow, run.lines.count, run.lines.struck_at, run.faults)


def _told(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() + (f": {error!r}" if error is not None else "")


def interrupt_everywhere(
    name: str,
    program: Program,
    *,
    first: int = 1,
    every: int = 1,
    twice: bool = False,
    nonblocking: bool = True,
) -> Iterator[Outcome]:
    """Strike at every `every`-th line from the `first` on; yield the outcome of each run.

    The first of them is that of a run that is not struck, which counts the lines.  With `twice`
    a second Ctrl-C follows, 1 to 60 lines later.
    """
    with quiet_collector(), interrupts_allowed():
        whole = interrupt(program, Blow(name, 0, nonblocking=nonblocking))
        yield whole
        for k in range(first, whole.lines + 1, every):
            then = k * 37 % 60 + 1 if twice else 0
            yield interrupt(program, Blow(name, k, then, nonblocking))
