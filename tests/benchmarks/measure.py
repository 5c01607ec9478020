"""Rounds: each server in turn, in an order that changes from round to round."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.cores import Cores
from tests.benchmarks.peers import Peer
from tests.benchmarks.processes import MeasurementError, Pair
from tests.benchmarks.works import KIB, Regime, Work

#: What came of one server with one work: the figures of each round by name, or what failed.
Samples = dict[str, list[float]]
Outcome = dict[str, Samples | str]

#: Rounds that a work has however late it is.
LEAST_ROUNDS = 3
#: Connections that a server has before its memory is read for the first time.
WARM = 50


@dataclass(frozen=True)
class Effort:
    """How long it may take.

    Each server is started `starts` times, and each time measured in `rounds` of `seconds`, after a
    `warm_up`.  On a busy machine there are fewer rounds, and after `minutes` no work is begun.
    """

    rounds: int = 9
    seconds: float = 0.2
    warm_up: float = 0.2
    starts: int = 1
    minutes: float = 13.0
    #: Connections of a work, divided by this: for tests.
    divisor: int = 1
    #: How often connections are opened and closed again to see what stays of them.
    batches: int = 4

    def connections(self, work: Work) -> int:
        return max(work.connections // self.divisor, 1)


@dataclass
class Bench:
    """What all measurements have in common; `say` tells the user how they go."""

    effort: Effort
    cores: Mapping[Regime, Cores]
    cert: Path
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float:
        """The rest of the time that all may take."""
        return self.began + self.effort.minutes * 60 - time.monotonic()

    def measure(
        self, work: Work, peers: Sequence[Peer], seconds: float = math.inf
    ) -> dict[Regime, Outcome]:
        """Measure all `peers` that can do `work`; one that fails does not stop the others.

        After `seconds` there are no more rounds than `LEAST_ROUNDS`.
        """
        able = [peer for peer in peers if peer.can_do(work)]
        if work.is_memory:
            return {"one": {peer.key: self._measure_memory(work, peer) for peer in able}}
        regimes = [regime for regime in work.regimes if regime in self.cores]
        found: dict[Regime, Outcome] = {regime: {} for regime in regimes}
        turns = self.effort.starts * len(regimes)
        end = time.monotonic()
        for start in range(self.effort.starts):
            with ExitStack() as stack:
                pairs = self._start(work, able, stack, found)
                for regime in regimes:
                    end += seconds / turns
                    self._run_rounds(pairs, regime, found[regime], f"{work.key} {start}", end)
        return found

    def _start(
        self,
        work: Work,
        peers: Sequence[Peer],
        stack: ExitStack,
        found: Mapping[Regime, Outcome],
    ) -> dict[str, Pair]:
        """Start all servers at the same time, then all loads; open the connections in turn."""
        failed: set[str] = set()
        starting = [stack.enter_context(Pair(peer, work, self.cert)) for peer in peers]
        for step in (Pair.greet, self._open_all):
            for pair in starting:
                key = pair.peer.key
                if key in failed:
                    continue
                try:
                    step(pair)
                except MeasurementError as error:
                    failed.add(key)
                    self._fail(key, error, *found.values())
        return {pair.peer.key: pair for pair in starting if pair.peer.key not in failed}

    def _open_all(self, pair: Pair) -> None:
        if pair.work.kind != "handshake":
            pair.open(self.effort.connections(pair.work))

    def _run_rounds(
        self, pairs: Mapping[str, Pair], regime: Regime, outcome: Outcome, seed: str, end: float
    ) -> None:
        cores = self.cores[regime]
        for number in range(-1, self.effort.rounds):  # the first one warms up
            if number >= LEAST_ROUNDS and time.monotonic() > end:
                return
            order = sorted(key for key in pairs if not isinstance(outcome.get(key), str))
            random.Random(f"{seed} {regime} {number}").shuffle(order)
            for key in order:
                pair = pairs[key]
                try:
                    if number < 0:
                        pair.confine(cores)
                        pair.run(self.effort.warm_up)
                    else:
                        _note(outcome, key, pair.run(self.effort.seconds))
                except MeasurementError as error:
                    self._fail(key, error, outcome)

    def _measure_memory(self, work: Work, peer: Peer) -> Samples | str:
        """Return the KiB of a connection, or those that stay of all that were closed."""
        count = self.effort.connections(work)
        samples: list[float] = []
        try:
            for _ in range(self.effort.starts):
                with Pair(peer, work, self.cert) as pair:
                    pair.greet()
                    growth = self._grow if work.kind == "growth" else _open
                    samples.append(round(growth(pair, count) / KIB, 2))
        except MeasurementError as error:
            outcome: Outcome = {}
            self._fail(peer.key, error, outcome)
            return outcome[peer.key]
        return {"kib": samples}

    def _grow(self, pair: Pair, count: int) -> float:
        """Return the bytes that stay of `count` connections; the first ones may fill caches.

        It is the median of several batches: a connection that is still closing is no growth.
        """
        sizes = []
        for _ in range(self.effort.batches + 1):
            pair.churn(count)
            sizes.append(pair.resident())
        return statistics.median(after - before for before, after in pairwise(sizes))

    def _fail(self, key: str, error: MeasurementError, *outcomes: Outcome) -> None:
        self.say(f"  failed: {error}")
        for outcome in outcomes:
            outcome[key] = f"failed: {error}"


def _open(pair: Pair, count: int) -> float:
    """Return the bytes of each of `count` connections."""
    pair.open(WARM)
    before = pair.resident()
    pair.open(count)
    return (pair.resident() - before) / count


def _note(outcome: Outcome, key: str, figures: Mapping[str, float]) -> None:
    samples = outcome.setdefault(key, {})
    if isinstance(samples, dict):
        for name, value in figures.items():
            samples.setdefault(name, []).append(round(value, 3))
