"""Runs all probes on all libraries and writes the table of docs/comparison.md.

`python -m tests.rivals`; with `--print` it only prints the table.  It takes a few minutes.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections import Counter
from pathlib import Path

from tests.rivals.adapters import ADAPTERS, version
from tests.rivals.probes import OUTCOMES, PROBES, probe

__all__ = ["PAGE", "main", "put", "row"]

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
BEGIN, END = "<!-- generated: table -->", "<!-- end of table -->"


def row(title: str, name: str, counts: Counter[str]) -> str:
    """Return a line of the table."""
    figures = (counts.total(), *(counts[outcome] for outcome in OUTCOMES))
    return f"| {title} | {name} | {' | '.join(map(str, figures))} |"


def put(page: str, table: str) -> str:
    """Return `page` with `table` between its markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Probe, print, and write the page."""
    logging.disable(logging.CRITICAL)  # that connections end is what is looked for
    lines = [
        f"| probe | library | runs | {' | '.join(OUTCOMES)} |",
        f"|---|---|{'---|' * (1 + len(OUTCOMES))}",
    ]
    print("\n".join(lines), flush=True)
    for what in PROBES:
        for adapter in ADAPTERS:
            lines.append(row(what.title, adapter.name, probe(adapter, what)))
            print(lines[-1], flush=True)
    lines += ["", f"Python {platform.python_version()}, Trio {version('trio')}."]
    if "--print" not in arguments:
        PAGE.write_text(put(PAGE.read_text(), "\n".join(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
