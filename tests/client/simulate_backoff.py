"""Simulate clients that are all dropped at once: how many come back in the same moment?

Run it: python -m tests.client.simulate_backoff [clients]     (10,000 unless given)

Prints, for servers that are back after some seconds, the most tries within 100 ms, and when the
median and the last client are back: without jitter, with full jitter from the first wait on, and
with `Backoff`, whose first wait is spread.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from trio_wsendpoint import Backoff

#: Seconds within which tries count as being made at once.
WINDOW = 0.1


@dataclass(frozen=True)
class Result:
    """`peak`: most tries in a window; `median`, `last`: when clients were back, in seconds."""

    peak: int
    median: float
    last: float
    tries: int


def no_jitter(rng: random.Random) -> Callable[[int], float]:
    return lambda failures: min(30.0, 2.0 ** max(failures - 1, 0))


def full_jitter(rng: random.Random) -> Callable[[int], float]:
    backoff = Backoff(rng=rng)
    return lambda failures: backoff.delay("later", max(failures, 1))


def spread(rng: random.Random) -> Callable[[int], float]:
    backoff = Backoff(rng=rng)
    return lambda failures: backoff.delay("spread", failures)


STRATEGIES = {"no jitter": no_jitter, "full jitter": full_jitter, "Backoff": spread}


def simulate(
    strategy: Callable[[random.Random], Callable[[int], float]],
    *,
    clients: int,
    outage: float,
    seed: int = 1,
) -> Result:
    """Drop all clients at 0 s; the server is back after `outage` seconds."""
    delay = strategy(random.Random(seed))
    plan = [(delay(0), client, 1) for client in range(clients)]
    heapq.heapify(plan)
    windows: Counter[int] = Counter()
    back: list[float] = []
    while plan:
        now, client, failures = heapq.heappop(plan)
        windows[int(now / WINDOW)] += 1
        if now >= outage:
            back.append(now)
        else:
            heapq.heappush(plan, (now + delay(failures), client, failures + 1))
    return Result(max(windows.values()), back[len(back) // 2], back[-1], windows.total())


def main(clients: int) -> None:
    for outage in (0.5, 3.0, 30.0, 600.0):
        for name, strategy in STRATEGIES.items():
            result = simulate(strategy, clients=clients, outage=outage)
            print(
                f"back after {outage:5.1f} s, {name:>11}: most tries in 100 ms {result.peak:6}, "
                f"median {result.median:6.1f} s, last {result.last:6.1f} s, {result.tries} tries"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
