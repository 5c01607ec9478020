"""What the server runs for a message, counted: no clock, so a busy machine changes little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import Peer
from tests.benchmarks.processes import MeasurementError, Pair
from tests.benchmarks.works import WORKS, Work

COUNTED = Peer(key="counted", title="trio_wsendpoint, counted", module="counted")
#: What is counted: what has a target of CPU, and what more connections do not change.
COUNTED_WORKS = (
    *("pingpong", "connections-100", "in-flight-32", "16k", "1m", "tls", "tls-50"),
    *("broadcast", "handshakes"),
)
#: Connections at most: each opening is counted too, and takes long.
MANY = 100
#: Seconds of a round.  A server that counts takes about fifty times as long.
SECONDS = 0.5
#: Seconds for each message of a burst, in which such a server has sent all and waits again.
PAUSE = 0.005
#: Connections that are opened together: the server must accept them in time.
TOGETHER = 20


@dataclass
class Profile:
    """What a server has run for each message: bytecodes by whose code it is, and system calls."""

    bytecodes: dict[str, float] = field(default_factory=dict)
    system_calls: dict[str, float] = field(default_factory=dict)


#: By work, and by whether the server had to wait for the message: see `count`.
Profiles = dict[str, dict[str, Profile]]
READY, WAITED = "is there when the server looks", "is waited for"


def count_all(
    cert: Path, say: Callable[[str], None], only: Sequence[str], seconds: float = SECONDS
) -> Profiles:
    """Count `COUNTED_WORKS`, or those in `only`; one that fails is told, and left out."""
    found: Profiles = {}
    for work in WORKS:
        if work.key not in COUNTED_WORKS or (only and work.key not in only):
            continue
        try:
            found[work.key] = count(work, cert, seconds)
        except MeasurementError as error:
            say(f"  failed: {error}")
    return found


def count(work: Work, cert: Path, seconds: float) -> dict[str, Profile]:
    """Return what one message, or connection, of `work` takes.

    READY: the load is faster than a server that counts, so the next message is there when the
    server looks.  WAITED: the load sleeps until the server waits, and sends then.
    """
    connections = min(work.connections, MANY)
    with Pair(COUNTED, work, cert) as pair:
        pair.greet()
        if work.kind == "handshake":
            return {WAITED: _count(pair, seconds, pause=0)}
        for begin in range(0, connections, TOGETHER):
            pair.open(min(TOGETHER, connections - begin))
        found = {READY: _count(pair, seconds, pause=0)}
        if work.kind == "echo":
            pause = PAUSE * connections * work.in_flight
            found[WAITED] = _count(pair, seconds, pause)
        return found


def _count(pair: Pair, seconds: float, pause: float) -> Profile:
    pair.busy(seconds / 4, pause)
    before = pair.server.ask("counts")
    done = pair.busy(seconds, pause)["count"]
    return _for_each(before, pair.server.ask("counts"), done)


def _for_each(before: dict[str, Any], after: dict[str, Any], count: float) -> Profile:
    """Return how much was added between two answers, for each of `count`."""
    return Profile(
        **{
            kind: {
                name: round((value - before[kind].get(name, 0)) / count, 3)
                for name, value in sorted(after[kind].items())
                if value > before[kind].get(name, 0)
            }
            for kind in ("bytecodes", "system_calls")
        }
    )
