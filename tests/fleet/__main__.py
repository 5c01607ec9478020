"""A fleet on paper: `python -m tests.fleet` prints how far the model is off, then extrapolates.

python -m tests.fleet                         from docs/scaling.json; needs the library alone
python -m tests.fleet --connections 200000 --machines 10 --redis 4   another fleet
python -m tests.fleet --measure               measures anew; needs Debian's redis-server, and Linux
python -m tests.fleet --measure redis pair    measures these parts anew
python -m tests.fleet --render                writes the figures into docs/scaling.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.fleet.costs import FILE, Record
from tests.fleet.model import Fleet
from tests.fleet.page import render_all, write_page


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--measure", nargs="*", metavar="PART")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--render", action="store_true")
    for name in ("connections", "machines", "workers", "groups", "redis"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Fleet(), name))
    return parser.parse_args(given)


def _measure_anew(parts: list[str], rounds: int) -> None:
    # Redis, and what talks to it, are needed for measuring alone.
    from tests.fleet.measure import PARTS, measure, measure_pair, where

    known = Record.read() if FILE.exists() else None
    wanted = [one for one in parts if one != "pair"] if parts else [*PARTS]
    costs = measure(wanted, rounds, None if known is None else known.costs)
    pair = measure_pair() if known is None or not parts or "pair" in parts else known.pair
    Record(costs=costs, pair=pair, where=where()).write()


def main(given: Sequence[str]) -> None:
    """Do what the arguments say."""
    told = _arguments(given)
    if told.measure is not None:
        _measure_anew(told.measure, told.rounds)
    if told.render:
        write_page()
        return
    names = ("connections", "machines", "workers", "groups", "redis")
    fleet = replace(Fleet(), **{name: getattr(told, name) for name in names})
    for title, text in render_all(Record.read(), fleet).items():
        print(f"== {title} ==\n{text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
