"""Every line of every program, struck by several processes; what `--lines` and `--line` do."""

from __future__ import annotations

import faulthandler
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field
from typing import TypeVar

from tests.torture.line_programs import PROGRAMS
from tests.torture.lines import Blow, Outcome, interrupt, interrupt_everywhere
from trio_wsendpoint.testing.surroundings import interrupts_allowed, quiet_collector

T = TypeVar("T")

#: Seconds after which a share of one program's lines has hung for real, and is shown.
STUCK = 600
#: Shares into which the lines of one program are divided.
SHARES = 4
#: Of so many lines one is struck twice.
EVERY_TWICE = 5
#: Failures of one program that are shown whole; of the others, the places are.
SHOWN = 2


@dataclass(frozen=True, slots=True)
class Share:
    """Some of the lines of one program."""

    name: str
    first: int
    every: int
    twice: bool
    nonblocking: bool


@dataclass(slots=True)
class Struck:
    """What came of a share, or of many: `runs`, and the `failures` among them."""

    runs: int = 0
    failures: list[Outcome] = field(default_factory=list[Outcome])


def shares(names: Iterable[str], every: int) -> list[Share]:
    """Divide all there is to do: each line once, some twice, over both forms of streams."""
    return [
        Share(name, 1 + part * every, SHARES * every * (EVERY_TWICE if twice else 1), twice, form)
        for name in names
        for twice in (False, True)
        for form in (True, False)
        for part in range(SHARES)
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """The `number`-th of `parts`, from 1: together they are the whole, and none does it twice."""

    number: int = 1
    parts: int = 1

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read "2/4"; raise `ValueError` if it is none."""
        number, parts = map(int, text.split("/"))
        if not 1 <= number <= parts:
            raise ValueError(f"a part is 1/{parts} to {parts}/{parts}, not {text}")
        return cls(number, parts)

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return what of `items` belongs to it."""
        return items[self.number - 1 :: self.parts]


def strike(share: Share) -> tuple[Share, Struck]:
    """Do one share."""
    faulthandler.dump_traceback_later(STUCK, exit=True)
    struck = Struck()
    for outcome in interrupt_everywhere(
        share.name,
        PROGRAMS[share.name],
        first=share.first,
        every=share.every,
        twice=share.twice,
        nonblocking=share.nonblocking,
    ):
        struck.runs += 1
        if outcome.faults:
            struck.failures.append(outcome)
    faulthandler.cancel_dump_traceback_later()
    return share, struck


def strike_all(
    pool: Executor, only: Sequence[str], every: int, part: Part, tell: Callable[[str], None]
) -> bool:
    """Do every share of `part`, print what was found, and return whether nothing was."""
    names = [name for name in PROGRAMS if not only or name.startswith(tuple(only))]
    work = [pool.submit(strike, share) for share in part.of(shares(names, every))]
    totals = {name: Struck() for name in names}
    for done, future in enumerate(as_completed(work), 1):
        share, struck = future.result()
        totals[share.name].runs += struck.runs
        totals[share.name].failures += struck.failures
        if done % 20 == 0:
            tell(f"{done} of {len(work)} shares of lines")
    for name, total in totals.items():
        print(f"{name:<28}{total.runs:>8} Ctrl-C{len(total.failures):>8} failures")
        for outcome in total.failures[:SHOWN]:
            print(outcome)
        places = Counter(outcome.struck_at[0] for outcome in total.failures if outcome.struck_at)
        for place, count in places.most_common():
            print(f"    {count:>4} at {place}")
    runs = sum(total.runs for total in totals.values())
    failures = sum(len(total.failures) for total in totals.values())
    print(f"\n{len(names)} programs, {runs} runs with a Ctrl-C at a line: {failures} failures")
    return bool(runs) and not failures


def strike_once(name: str, k: int, then: int, *, nonblocking: bool) -> bool:
    """Do one run, print how it went, and return whether all held."""
    with quiet_collector(), interrupts_allowed():
        outcome = interrupt(PROGRAMS[name], Blow(name, k, then, nonblocking))
    print(outcome if outcome.faults else f"{outcome.blow}: right")
    return not outcome.faults
