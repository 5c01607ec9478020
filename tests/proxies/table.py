"""The table in docs/proxies-table.md: made from rows of cells, between two marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .setups import SETUPS
from .trials import COLUMNS

__all__ = ["FILE", "rendered", "table", "with_table"]

FILE = Path(__file__).parents[2] / "docs" / "proxies-table.md"
START = "<!-- the table, by make proxies -->\n"
END = "<!-- the end of the table -->\n"


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table; a row that is missing was not tried: its proxy is not installed."""
    lines = [
        f"| set-up | server | {' | '.join(COLUMNS)} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for setup in SETUPS:
        cells = rows.get(setup.name, {})
        texts = [cells.get(column, "not tried") for column in COLUMNS]
        lines.append(f"| {setup.name} | {setup.told} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def rendered(page: str) -> str:
    """Return the table that a page has between its marks."""
    return page.partition(START)[2].partition(END)[0]


def with_table(page: str, made: str) -> str:
    """Return the page with another table between its marks."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return before + start + made + end + after
