"""Rounds: each server in turn, in an order that changes from round to round."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import Peer
from tests.benchmarks.processes import MeasurementError, Pair
from tests.benchmarks.works import KIB, Work

#: What came of one server with one work: the figures of each round by name, or `error`.
Samples = dict[str, list[float]]
Outcome = dict[str, Samples | str]

#: Connections that a server has before its memory is read for the first time.
WARM = 50


@dataclass(frozen=True)
class Effort:
    """How long it may take: `rounds` of `seconds` each, after a `warm_up`."""

    rounds: int = 5
    seconds: float = 0.6
    warm_up: float = 0.3
    #: Connections of a work, divided by this: for smoke tests.
    divisor: int = 1

    def connections(self, work: Work) -> int:
        return max(work.connections // self.divisor, 1)


def measure(
    work: Work, peers: Sequence[Peer], effort: Effort, cert: Path, say: Callable[[str], None]
) -> Outcome:
    """Measure all `peers` that can do `work`; one that fails does not stop the others."""
    able = [peer for peer in peers if peer.can_do(work)]
    if work.kind == "idle":
        return {peer.key: _measure_memory(work, peer, effort, cert, say) for peer in able}
    outcome: Outcome = {}
    with ExitStack() as stack:
        pairs: dict[str, Pair] = {}
        for peer in able:
            try:
                pair = stack.enter_context(Pair(peer, work, cert))
                if work.kind != "handshake":
                    pair.open(effort.connections(work))
                pair.run(effort.warm_up)
                pairs[peer.key] = pair
                outcome[peer.key] = {"cpu": [], "rate": [], "load": []}
            except MeasurementError as error:
                outcome[peer.key] = str(error)
                say(f"  failed: {error}")
        for number in range(effort.rounds):
            order = sorted(pairs)
            random.Random(f"{work.key} {number}").shuffle(order)
            for key in order:
                _run(pairs[key], key, outcome, effort, say)
    return outcome


def _run(
    pair: Pair, key: str, outcome: Outcome, effort: Effort, say: Callable[[str], None]
) -> None:
    samples = outcome[key]
    if isinstance(samples, str):
        return
    try:
        for name, value in pair.run(effort.seconds).items():
            samples[name].append(round(value, 3))
    except MeasurementError as error:
        outcome[key] = str(error)
        say(f"  failed: {error}")


def _measure_memory(
    work: Work, peer: Peer, effort: Effort, cert: Path, say: Callable[[str], None]
) -> Samples | str:
    count = effort.connections(work)
    try:
        with Pair(peer, work, cert) as pair:
            pair.open(WARM)
            before = pair.resident()
            pair.open(count)
            return {"kib": [round((pair.resident() - before) / KIB / count, 2)]}
    except MeasurementError as error:
        say(f"  failed: {error}")
        return str(error)
