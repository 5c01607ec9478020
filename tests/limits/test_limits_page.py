"""`docs/limits.md` says what the code does: every option, its default, and what memory it takes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.limits.measure import PHASES, measure
from trio_wsendpoint import Heartbeat, Limits, ServerLimits, Timeouts

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()


def table(heading: str) -> dict[str, str]:
    """Return the first two columns of the table under `heading`."""
    section = PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("|")][2:]
    return {name.strip().strip("`"): value.strip() for name, value in rows}


@pytest.mark.parametrize("group", [Limits, Timeouts, Heartbeat, ServerLimits])
def test_the_page_has_every_option_and_its_default(group):
    made = group()
    defaults = {field.name: str(getattr(made, field.name)) for field in fields(group)}
    assert table(f"`{group.__name__}`") == defaults


def test_the_page_has_the_bounds_that_are_measured():
    assert table("Memory of a connection") == {phase.name: f"{phase.most:g}" for phase in PHASES}


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_memory_of_a_connection(phase):
    cost = measure(phase)
    print(f"{phase.name}: {cost:.1f} KiB")
    assert cost <= phase.most
