"""All figures of the hub, in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from tests.benchmarks.fanout.dashboard import dashboard
from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.memory import memory
from tests.benchmarks.fanout.slow import slow
from tests.benchmarks.fanout.workers import workers
from tests.benchmarks.works import KIB
from tests.hub.redis.servers import PROGRAM

OURS = "ours_hub"
#: Those that several workers reach each other with, and those that are tried with one stuck.
THROUGH_REDIS = (OURS, "socketio")
WITH_STUCK = (OURS, "ours_send", "websockets_uvloop", "socketio")
#: Seconds that the client of a dashboard stalls.
STALL = 10.0


def figures(missing: Mapping[str, str], *, is_quick: bool) -> Iterator[Figure]:
    """Measure one figure after the other; `missing`: why a server cannot be measured.

    `is_quick`: only what is promised, and python-socketio through Redis.
    """
    if why := missing.get(OURS):
        yield Figure(what="all of this", server=OURS, unit="", why_not=why)
        return
    yield from dashboard(OURS, STALL)
    one_of_100 = partial(slow, count=100, stuck=1, pace=0.02)
    for server in (OURS,) if is_quick else WITH_STUCK:
        yield from _unless(missing, server, one_of_100)
    if not is_quick:
        for server in WITH_STUCK:
            yield from _unless(missing, server, partial(slow, count=1000, stuck=10, pace=0.1))
    for size in (16 * KIB,) if is_quick else (16 * KIB, 4 * KIB):
        yield from memory(OURS, size, 60 if is_quick else 120)
    if PROGRAM is None:
        why = "Debian's redis-server is missing"
        yield Figure(what="through Redis", server=OURS, unit="", why_not=why)
        return
    for count in (2,) if is_quick else (2, 4):
        for server in THROUGH_REDIS:
            seconds = 1.0 if is_quick else 4.0
            yield from _unless(missing, server, partial(workers, count=count, seconds=seconds))


def _unless(missing: Mapping[str, str], server: str, measure) -> Iterator[Figure]:
    """Measure a server, unless it is missing."""
    if server not in missing:
        yield from measure(server)
