"""`--compare PATH`: this checkout beside another one, in the same rounds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.benchmarks.environment import commit_of
from tests.benchmarks.figures import Quartiles
from tests.benchmarks.measure import Bench
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.processes import ROOT, Pair
from tests.benchmarks.report import number
from tests.benchmarks.results import Results
from tests.benchmarks.works import REGIMES, WORK_TITLES, WORKS, Regime

#: A row that costs more than so much of the other is told.
WORSE = 1.03
(OURS,) = (peer for peer in PEERS if peer.key == "ours")


@dataclass(frozen=True)
class Row:
    """What one work costs here and there; `ratio` is this checkout's in the other's."""

    work: str
    regime: Regime
    this: float
    other: float
    ratio: Quartiles

    @property
    def is_worse(self) -> bool:
        """Whether it costs more beyond doubt: in the median, and in three of four rounds at all."""
        return self.ratio.median > WORSE and self.ratio.first > 1

    @property
    def word(self) -> str:
        if self.is_worse:
            return f"{self.ratio.median - 1:.1%} more"
        if self.ratio.median > WORSE:
            return "not clear: measure more rounds"
        return "less" if self.ratio.median < 1 / WORSE and self.ratio.third < 1 else ""


def rows(results: Results) -> Iterator[Row]:
    """Yield a row for each work and regime in which both were measured."""
    for work in WORKS:
        name = "kib" if work.is_memory else "cpu"
        for regime in REGIMES:
            this = results.median(work.key, regime, "ours", name)
            other = results.median(work.key, regime, "other", name)
            ratio = results.spread(work.key, regime, "ours", "other", name)
            if this is not None and other is not None and ratio is not None:
                yield Row(work.key, regime, this, other, ratio)


def run(told: argparse.Namespace, bench: Bench) -> int:
    """Measure, print a table, and return 1 if a row is worse beyond doubt, or failed."""
    path = str(told.compare.resolve())
    other = Peer(key="other", title="the other checkout", module="checkout", arguments=(path,))
    bench.say(f"this: {commit_of(ROOT)}; other: {commit_of(told.compare)}, in {told.compare}")
    bench.say(f"{'µs or KiB: this, the other, and the ratio with its quartiles':>104}")
    compiled = [_compiled(peer, bench) for peer in (OURS, other)]
    if compiled[0] != compiled[1]:
        bench.say(f"not alike: compiled are here {compiled[0]}, there {compiled[1]}")
    results = Results(command="", environment={})
    failed = False
    for work in WORKS:
        if (told.only and work.key not in told.only) or work.kind == "growth":
            continue
        if bench.seconds_left <= 0:
            bench.say(f"not measured: {work.title}, the time is over")
            continue
        found = bench.measure(replace(work, only=()), [OURS, other])
        results.works[work.key] = found
        failed = failed or any(
            isinstance(one, str) for outcome in found.values() for one in outcome.values()
        )
        for row in rows(Results(command="", environment={}, works={work.key: found})):
            bench.say(line(row))
    worse = [row for row in rows(results) if row.is_worse]
    bench.say(f"{len(worse)} of {len(list(rows(results)))} rows cost more, by more than 3 %")
    return 1 if worse or failed else 0


def line(row: Row) -> str:
    """Return a row of the table."""
    ratio = row.ratio
    return (
        f"{WORK_TITLES[row.work]:52}{REGIMES[row.regime]:10}{number(row.this):>8}"
        f"{number(row.other):>8}{ratio.median:8.3f} ({ratio.first:.3f} to {ratio.third:.3f})"
        f"  {row.word}"
    ).rstrip()


def _compiled(peer: Peer, bench: Bench) -> list[str]:
    with Pair(peer, WORKS[0], bench.cert) as pair:
        found: list[str] = pair.greet()["compiled"]
        return found
