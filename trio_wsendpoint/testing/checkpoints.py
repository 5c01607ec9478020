"""Cancel a task at every place where it can be cancelled, and more of the kind.

`cancel_at_every_checkpoint` runs a scenario again and again on schedules that come from seeds,
and strikes at the first chance, at the second, and so on to the last.  What must hold after each
run, whatever the scenario, is checked here; what the scenario is about, it checks itself.
"""

from __future__ import annotations

import gc
import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trio_wsendpoint.testing.injector import KINDS, Injection, Kind
from trio_wsendpoint.testing.runs import Fault, Run, Scenario
from trio_wsendpoint.testing.schedules import run_with_schedule
from trio_wsendpoint.testing.surroundings import (
    interrupts_allowed,
    note_complaints,
    note_records,
    open_descriptors,
    quiet_collector,
)

__all__ = ["KINDS", "CheckpointFailure", "Kind", "Report", "cancel_at_every_checkpoint"]

#: Chances of one scenario after which it is taken for one that never ends.
MAX_CHANCES = 10_000
#: What can be wrong with a run.
CATEGORIES = ("corrupt", "hung", "leaked", "swallowed", "logged")


class CheckpointFailure(AssertionError):
    """A run in which something did not hold; it says how to repeat that run.

    `scenario` is its name, `category` one of "corrupt" (an exception, or an assertion of the
    scenario's), "hung", "leaked", "swallowed" and "logged"; `kind`, `seed` and `k` are what was
    injected, `text` is what was wrong.
    """

    def __init__(self, scenario: str, category: str, injection: Injection, text: str) -> None:
        super().__init__(scenario, category, injection, text)
        self.scenario = scenario
        self.category = category
        self.kind: Kind = injection.kind
        self.seed = injection.seed
        self.k = injection.k
        self.text = text

    def __str__(self) -> str:
        return (
            f"{self.scenario}, {self.kind} at k = {self.k} of seed {self.seed}: "
            f"{self.category}: {self.text}\n"
            f"to repeat it: cancel_at_every_checkpoint({self.scenario}, "
            f"inject=[{self.kind!r}], replay=({self.seed}, {self.k}))"
        )


@dataclass(slots=True)
class Report:
    """What was done: `runs` of scenarios, `injections` by kind, and the `failures`.

    Its `str()` is a table.  Two reports can be added.
    """

    runs: int = 0
    injections: Counter[Kind] = field(default_factory=Counter[Kind])
    failures: list[CheckpointFailure] = field(default_factory=list[CheckpointFailure])

    def __add__(self, other: Report) -> Report:
        return Report(
            self.runs + other.runs,
            self.injections + other.injections,
            self.failures + other.failures,
        )

    def __str__(self) -> str:
        wrong = Counter((failure.kind, failure.category) for failure in self.failures)
        rows: list[tuple[str, ...]] = [("", "injections", *CATEGORIES)]
        for kind in KINDS:
            if self.injections[kind] or any(failure.kind == kind for failure in self.failures):
                found = [str(wrong[kind, category]) for category in CATEGORIES]
                rows.append((kind, str(self.injections[kind]), *found))
        totals = [
            str(sum(failure.category == category for failure in self.failures))
            for category in CATEGORIES
        ]
        rows.append((f"{self.runs} runs", str(self.injections.total()), *totals))
        return "\n".join(
            f"{row[0]:<14}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows
        )


def cancel_at_every_checkpoint(
    scenario: Scenario,
    *,
    seeds: Iterable[int] = range(4),
    inject: Sequence[Kind] = ("cancel", "interrupt"),
    replay: tuple[int, int] | None = None,
    nonblocking: bool = True,
    deadline: float = 300.0,
    keep_going: bool = False,
) -> Report:
    """Run `scenario(run)` once for every place where something may strike, and check each run.

    The scenario marks what is to be struck with `run.victim(...)`.  `inject` says by what, in the
    schedule of each of `seeds`; for k = 1, 2, ... until the scenario ends without a k-th chance:

    * "cancel": the victim is cancelled the moment its task has yielded for the k-th time;
      "interrupt": a Ctrl-C comes in that moment.
    * "client error", "server error": the k-th operation of any client's, or server's, stream of
      `run.network` raises `trio.BrokenResourceError` from an `OSError`.
    * "reader", "writer", "heartbeat", "closer": this internal task of the connection that was
      given to `run.watch()` is cancelled when tasks of this name, or the victim, have yielded for
      the k-th time.

    After each run: the scenario raised nothing; it took at most `deadline` virtual seconds; no
    task, deadline, file descriptor, stream or listener was left over; the victim neither swallowed
    its cancellation nor carried on; the `KeyboardInterrupt` came out; nothing was logged above
    INFO, and Python had nothing to warn of.

    `replay=(seed, k)` does one run, with the one kind in `inject`.  `nonblocking` is the form of
    the network's streams.  Call it from a plain function, in the main thread, while no Trio runs.

    Raises `CheckpointFailure` at the first run that fails; with `keep_going` it returns them all
    in the report.
    """
    harness = _Harness(scenario, nonblocking, deadline, keep_going)
    with quiet_collector(), interrupts_allowed():
        if replay is not None:
            (kind,) = inject
            harness.run(Injection(kind, *replay))
            return harness.report
        for kind in inject:
            for seed in seeds:
                harness.run_all(kind, seed)
    return harness.report


class _Harness:
    """Runs one scenario, and reports."""

    def __init__(
        self, scenario: Scenario, nonblocking: bool, deadline: float, keep_going: bool
    ) -> None:
        self.report = Report()
        self._scenario = scenario
        self._name = getattr(scenario, "__qualname__", repr(scenario))
        self._nonblocking = nonblocking
        self._deadline = deadline
        self._keep_going = keep_going

    def run_all(self, kind: Kind, seed: int) -> None:
        """Strike at the first chance, at the second, and so on, until there is no further."""
        for k in range(1, MAX_CHANCES):
            if not self.run(Injection(kind, seed, k)):
                return
        raise RuntimeError(f"{self._name} does not end after {MAX_CHANCES} chances")

    def run(self, injection: Injection) -> bool:
        """Do one run; return whether there was a k-th chance in it."""
        run = Run(injection, nonblocking=self._nonblocking)
        try:
            _check_run(run, self._scenario, self._deadline)
        except Exception as error:
            category = error.category if isinstance(error, Fault) else "corrupt"
            text = (
                str(error)
                if isinstance(error, Fault)
                else "".join(traceback.format_exception(error))
            )
            failure = CheckpointFailure(self._name, category, injection, text)
            if not self._keep_going:
                raise failure from error
            self.report.failures.append(failure)
        self.report.runs += 1
        self.report.injections[injection.kind] += run.injector.is_injected
        return run.injector.is_reached


def _check_run(run: Run, scenario: Scenario, deadline: float) -> None:
    """Do one run; raises what the scenario raises, and `Fault`."""
    descriptors = open_descriptors()
    complaints: list[str] = []
    with note_records(run.records), note_complaints(complaints):
        try:
            run_with_schedule(
                run.supervise,
                scenario,
                deadline,
                seed=run.seed,
                instruments=[run.injector],
            )
        except BaseException as error:
            is_ours = run.injector.is_injected and run.injection.kind == "interrupt"
            if isinstance(error, Exception) or not is_ours:
                raise  # perhaps a Ctrl-C is to end all of this
            raise Fault("corrupt", f"it came out of the scenario: {error!r}") from error
        gc.collect()
    loud = [record.getMessage() for record in run.records if record.levelno > logging.INFO]
    if loud:
        raise Fault("logged", "; ".join(loud))
    if complaints:
        raise Fault("leaked", "; ".join(complaints))
    if open_descriptors() != descriptors:
        raise Fault("leaked", f"{open_descriptors() - descriptors} file descriptors")
