"""Try every set-up, print the table, and write docs/proxies-table.md.

    python -m tests.proxies [--keep]

`--keep` leaves the page as it is.  Exits with 1 if a cell is not what was expected.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import trio

from .setups import SETUPS, Setup
from .table import FILE, table, with_table
from .trials import COLUMNS, try_row

#: How many set-ups are tried at once.
AT_ONCE = 4


async def try_all() -> dict[str, dict[str, str]]:
    """Return the cells of every set-up whose program is installed."""
    rows: dict[str, dict[str, str]] = {}
    limit = trio.CapacityLimiter(AT_ONCE)

    async def try_one(setup: Setup) -> None:
        async with limit:
            with tempfile.TemporaryDirectory() as folder:
                rows[setup.name] = await try_row(setup, Path(folder), COLUMNS)

    async with trio.open_nursery() as nursery:
        for setup in SETUPS:
            if setup.missing is None:
                nursery.start_soon(try_one, setup)
            else:
                print(f"{setup.name}: {setup.missing} is missing", file=sys.stderr)
    return rows


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.proxies")
    parser.add_argument("--keep", action="store_true", help="do not write the page")
    keep = parser.parse_args().keep
    rows = trio.run(try_all)
    made = table(rows)
    print(made)
    if not keep and len(rows) == len(SETUPS):
        FILE.write_text(with_table(FILE.read_text(), made))
    wrong = [
        f"{setup.name}: {column}: {cell}"
        for setup in SETUPS
        for column, cell in rows.get(setup.name, {}).items()
        if cell != setup.answers.get(column, "ok")
    ]
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
