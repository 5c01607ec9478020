"""The storm after a restart: clients come back to one process, which opens one after the other.

A simulation, event by event.  The clients wait as `Backoff` of the library says, and the server
admits as `ServerLimits` says; nothing else of the library runs.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass

from trio_wsendpoint import Backoff, ServerLimits

__all__ = ["Storm", "Weather", "simulate"]

#: Seconds after which a client gives up a try, and the part of an opening that a refusal costs.
#: Both are assumed.
OPEN_WITHIN = 20.0
REFUSAL = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What happens to the clients of one process.

    `clients`: how many are told to come again.  `opening`: seconds of a processor for each;
    `share`: how much of the processor openings may have.  `drain`: seconds over which they are
    told; 0.0 is a crash.  `spread`: seconds over which a client spreads its first try.
    """

    clients: int
    opening: float
    share: float = 0.5
    drain: float = 0.0
    spread: float = Backoff().spread
    openings: int = ServerLimits().openings
    retry_after: int = ServerLimits().retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What came of it, in seconds from the first goodbye.

    `half`, `nearly_all`: when half of the clients are back, and all but 1 % of them.
    `peak`: most tries within 0.1 s.  `refused`: tries that were told 503.  `late`: tries that the
    client gave up.
    """

    half: float
    nearly_all: float
    peak: int
    refused: int
    late: int


def simulate(weather: Weather, seed: int = 1) -> Storm:
    """Let all of them come back; the same seed gives the same storm."""
    rng = random.Random(seed)
    backoff = Backoff(spread=max(weather.spread, Backoff().floor), rng=rng)
    tries = [
        (rng.uniform(0, weather.drain) + backoff.delay("spread", 0), client, 0)
        for client in range(weather.clients)
    ]
    heapq.heapify(tries)
    cost = weather.opening / weather.share
    free_at = 0.0  # when the process has done all that it has taken
    back: list[float] = []
    at_once: Counter[int] = Counter()
    refused = late = 0
    while tries:
        now, client, failures = heapq.heappop(tries)
        at_once[int(now * 10)] += 1
        free_at = max(free_at, now)
        waiting = (free_at - now) / cost
        if waiting >= weather.openings:
            refused += 1
            free_at += cost * REFUSAL
            wait = backoff.delay("busy", failures + 1, float(weather.retry_after))
            heapq.heappush(tries, (now + wait, client, failures + 1))
        elif free_at + cost - now > OPEN_WITHIN:
            late += 1
            free_at += cost
            wait = OPEN_WITHIN + backoff.delay("later", failures + 1)
            heapq.heappush(tries, (now + wait, client, failures + 1))
        else:
            free_at += cost
            back.append(free_at)
    back.sort()
    return Storm(
        half=back[len(back) // 2],
        nearly_all=back[int(len(back) * 0.99)],
        peak=max(at_once.values()),
        refused=refused,
        late=late,
    )
