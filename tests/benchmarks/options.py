"""What the command is told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.measure import Effort
from tests.benchmarks.peers import PEERS
from tests.benchmarks.processes import ROOT
from tests.benchmarks.works import REGIMES, WORKS

DOCS = ROOT / "docs"
PARTIAL = ROOT / "build" / "benchmarks"

#: What `--only` calls the figures of the hub that are no works.
HUB = "hub"
FULL = Effort()
#: For `--quick`: under two minutes.
QUICK = Effort(rounds=5, seconds=0.05, warm_up=0.05, minutes=1.6, batches=2)
#: What `--quick` leaves out of what has a target.
TOO_LONG = ("connections-5000",)
#: For `--compare`: a process is some percent faster or slower than the next one of its kind.
COMPARE = Effort(rounds=5, seconds=0.2, warm_up=0.1, starts=4)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure what a message costs here and with other libraries.",
    )
    parser.add_argument("--quick", action="store_true", help="only what the targets need, shortly")
    parser.add_argument(
        "--compare", type=Path, metavar="PATH", help="measure beside another checkout instead"
    )
    parser.add_argument("--only", type=_names, default=[], help="works, as pingpong,tls")
    parser.add_argument("--servers", type=_names, default=[], help="servers, as ours,picows")
    parser.add_argument("--regime", choices=list(REGIMES), help="server and load on so many cores")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of a round")
    parser.add_argument("--starts", type=int, help="how often each server is started")
    parser.add_argument("--minutes", type=float, help="after which no work is begun any more")
    parser.add_argument("--no-micro", action="store_true", help="without the microbenchmarks")
    parser.add_argument("--output", type=Path, help="by default docs/, or build/ if in part")
    parser.add_argument("--render", action="store_true", help="write again what was measured")
    told = parser.parse_args(arguments)
    for kind, names, known in (
        ("work", told.only, [*(work.key for work in WORKS), HUB]),
        ("server", told.servers, [peer.key for peer in PEERS]),
    ):
        if unknown := set(names) - set(known):
            parser.error(f"no such {kind}: {', '.join(unknown)}; there are {', '.join(known)}")
    if told.compare is not None and not (told.compare / "trio_wsendpoint/__init__.py").exists():
        parser.error(f"{told.compare} is no checkout: it has no trio_wsendpoint/__init__.py")
    return told


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def effort_of(told: argparse.Namespace) -> Effort:
    """Return how long it may take: one of the three above, with what was told in its place."""
    base = COMPARE if told.compare else QUICK if told.quick else FULL
    names = ("rounds", "seconds", "starts", "minutes")
    return replace(
        base, **{name: value for name in names if (value := getattr(told, name)) is not None}
    )


def is_full(told: argparse.Namespace) -> bool:
    """Return whether all is measured that the page shows."""
    return not (told.quick or told.only or told.servers or told.regime or told.no_micro)


def command_of(told: argparse.Namespace) -> str:
    """Return what has the same measured again."""
    words: list[str] = []
    for name in (
        *("quick", "only", "servers", "regime", "rounds", "seconds", "starts", "minutes"),
        "no_micro",
    ):
        value = getattr(told, name)
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, list) and value:
            words.append(f"{option} {','.join(value)}")
        elif isinstance(value, str):
            words.append(f"{option} {value}")
        elif isinstance(value, int | float) and value is not False:
            words.append(f"{option} {value:g}")
    options = " ".join(words)
    return f'make bench BENCH="{options}"' if options else "make bench"
