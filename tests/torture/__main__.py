"""Strike everything, everywhere: what `make torture` runs.

* `--seeds 64`: every scenario at every checkpoint, in so many schedules.
* `--schedules 1000`: programs of many tasks, in so many schedules.
* `--lines`: a Ctrl-C at every line of the library; `--every 7` takes every seventh.
* `--talks 2000`: two connections that talk, with so many seeds.

Prints how often each was struck and by what, and what was found; the exit status is 1 if anything
was.  `--only NAME` (or the beginning of one) takes some of the scenarios and programs.
`--part 2/4` does the second fourth of all of it: the four, one after the other, are the whole.
`--line NAME K` and `--talk SEED` repeat one run, as what was found says.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed

from tests.torture import programs, striking, talks
from tests.torture.opening import contexts
from tests.torture.scenarios import all_runs, torture
from tests.torture.striking import Part
from trio_wsendpoint.testing import Report

#: What is told how far it is.
Tell = Callable[[str], None]

#: Seconds after which one scenario with one seed has hung for real, and is shown.
STUCK = 600


def strike(item: tuple[str, int, bool]) -> tuple[str, Report]:
    name, seed, nonblocking = item
    faulthandler.dump_traceback_later(STUCK, exit=True)
    report = torture(name, seed, nonblocking=nonblocking, keep_going=True)
    faulthandler.cancel_dump_traceback_later()
    return name, report


def settle() -> None:
    """Make once what every run of a process needs, and exempt it from the garbage collector.

    Each run collects what it has left: that costs 50 times as much if it looks at this too.
    """
    contexts()
    talks.check(1)
    programs.check(1)
    gc.collect()
    gc.freeze()


def make_tell() -> Callable[[str], None]:
    """Return what tells how far it is, and how long it took so far."""
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", file=sys.stderr, flush=True)

    return tell


def run_scenarios(pool: Executor, seeds: int, only: list[str], part: Part, tell: Tell) -> bool:
    items = [item for item in all_runs(range(seeds)) if not only or item[0].startswith(tuple(only))]
    reports: defaultdict[str, Report] = defaultdict(Report)
    injections = failures = 0
    work = [pool.submit(strike, item) for item in part.of(items)]
    for done, future in enumerate(as_completed(work), 1):
        name, report = future.result()
        reports[name] += report
        for failure in report.failures[:2]:
            print(failure, flush=True)
        injections += report.injections.total()
        failures += len(report.failures)
        if done % 200 == 0:
            tell(f"{done} of {len(work)} ... {injections} injections, {failures} failures")
    total = sum(reports.values(), Report())
    for name, report in reports.items():
        count = report.injections.total()
        print(f"{name:<28}{report.runs:>8} runs{count:>8} injections", end="")
        print(f"{len(report.failures):>6} failures")
    print(f"\n{len(reports)} scenarios, {seeds} seeds, both forms of streams")
    print(total)
    return bool(total.injections) and not total.failures


def run_seeds(
    pool: Executor, what: str, check: Callable[[int], str], seeds: Sequence[int], tell: Tell
) -> int:
    """Run `check` with each of `seeds`, print what it found, and return how often it did."""
    faults = 0
    for done, text in enumerate(pool.map(check, seeds, chunksize=4), 1):
        faults += bool(text)
        if text:
            print(text, flush=True)
        if done % 200 == 0:
            tell(f"{done} of {len(seeds)} {what}, {faults} failures")
    return faults


def run_schedules(pool: Executor, seeds: Sequence[int], tell: Tell) -> bool:
    faults = run_seeds(pool, "schedules", programs.check, seeds, tell)
    print(f"{len(seeds)} schedules of {len(programs.PROGRAMS)} programs, each run twice: ", end="")
    print(f"{faults} failures or differences")
    return not faults


def run_talks(pool: Executor, seeds: Sequence[int], tell: Tell) -> bool:
    faults = run_seeds(pool, "talks", talks.check, seeds, tell)
    print(f"{len(seeds)} talks of two connections: {faults} in which something did not hold")
    return not faults


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--schedules", type=int, default=0)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--talks", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--part", type=Part.parse, default=Part(), metavar="K/N")
    parser.add_argument("--line", nargs=2, metavar=("NAME", "K"))
    parser.add_argument("--then", type=int, default=0, metavar="LINES")
    parser.add_argument("--waiting", action="store_true", help="streams that have to wait")
    parser.add_argument("--talk", type=int, metavar="SEED")
    return parser


def main() -> int:
    options = make_parser().parse_args()
    if options.line:
        name, k = options.line
        is_sound = striking.strike_once(name, int(k), options.then, nonblocking=not options.waiting)
        return 0 if is_sound else 1
    if options.talk is not None:
        text = talks.check(options.talk)
        print(text or talks.Talk.plan(options.talk))
        return 1 if text else 0
    began = time.monotonic()
    is_sound = run_all(options, make_tell())
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if is_sound else 1


def run_all(options: argparse.Namespace, tell: Tell) -> bool:
    """Do what the options ask for; return whether nothing was found."""
    part: Part = options.part
    is_sound = True
    # Unlike a `multiprocessing.Pool` it says so when one of its processes dies.
    with ProcessPoolExecutor(options.jobs, initializer=settle) as pool:
        if options.seeds:
            is_sound = run_scenarios(pool, options.seeds, options.only, part, tell)
        if options.schedules:
            seeds = part.of(range(options.schedules))
            is_sound = run_schedules(pool, seeds, tell) and is_sound
        if options.lines:
            found = striking.strike_all(pool, options.only, options.every, part, tell)
            is_sound = found and is_sound
        if options.talks:
            is_sound = run_talks(pool, part.of(range(options.talks)), tell) and is_sound
    return is_sound


if __name__ == "__main__":
    sys.exit(main())
