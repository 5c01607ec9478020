"""docs/scaling.md says what the model says, and its code and its numbers are those there are."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import pytest

from tests.examples.programs import ROOT
from tests.fleet import storm
from tests.fleet.costs import FILE, Costs, Record, command_of
from tests.fleet.model import FULL, KERNEL, Fleet
from tests.fleet.page import PAGE, STUCK, render_page
from trio_wsendpoint import Backoff, Limits, ServerLimits
from trio_wsendpoint.hub import open_hub

TEXT = PAGE.read_text()
RECORD = Record.read()


def test_the_page_has_the_figures_of_the_model() -> None:
    assert render_page(TEXT, RECORD) == TEXT, "run python -m tests.fleet --render"


@pytest.mark.parametrize("name", [one.name for one in fields(Costs)])
def test_another_cost_changes_the_page(name: str) -> None:
    costs = replace(RECORD.costs, **{name: 1.5 * getattr(RECORD.costs, name)})
    assert render_page(TEXT, replace(RECORD, costs=costs)) != TEXT


def test_a_place_for_figures_that_there_are_not_fails() -> None:
    with pytest.raises(KeyError, match="tides"):
        render_page("<!-- figures: tides -->\n<!-- end of figures -->", RECORD)


def test_what_was_measured_survives_the_file(tmp_path: Any) -> None:
    file = tmp_path / "scaling.json"
    RECORD.write(file)
    assert Record.read(file) == RECORD
    assert file.read_text() == FILE.read_text()


def test_the_model_is_held_against_two_processes() -> None:
    """Not all is as the model says; what is further off than a half would be no model."""
    rows = re.findall(r"^\| .* \| ([+-]\d+)% \|$", TEXT, re.MULTILINE)
    assert len(rows) == 7
    assert all(abs(int(off)) < 50 for off in rows)


def test_the_numbers_in_the_prose_are_those_of_the_code() -> None:
    prose = " ".join(TEXT.split())
    assert f"used to {FULL:.0%} counts as full".replace("%", " %") in prose
    assert f"has {Fleet().memory / 2**30:g} GiB" in prose
    assert f"a network of {Fleet().network * 8 / 1e9:g} Gbit/s" in prose
    assert f"{KERNEL // 1024} KiB, is assumed" in prose
    assert f"the table has {STUCK:.0%} of them".replace("%", " %") in prose
    assert f"`Backoff.spread` seconds, {Backoff().spread:g} unless" in prose
    assert f"With {ServerLimits().openings} openings under way" in prose
    assert f"come again in {ServerLimits().retry_after} s" in prose
    assert f"gives up a try after {storm.OPEN_WITHIN:g} s" in prose
    assert "Openings have half of the processor" in prose
    assert storm.Weather(clients=1, opening=1).share == 0.5
    assert Limits().send_buffer == 64 * 1024


@pytest.mark.skipif(sys.platform == "win32", reason="measures where Redis runs")
def test_each_constant_has_a_command_that_there_is() -> None:
    measuring = pytest.importorskip("tests.fleet.measure", reason="needs coredis")
    for one in fields(Costs):
        what, command = command_of(one.name)
        assert f"| {what} |" in TEXT
        assert f"| `{command}` |" in TEXT
        assert command.split()[-1] in measuring.PARTS


def test_the_command_prints_the_figures_for_another_fleet() -> None:
    command = ["-m", "tests.fleet", "--connections", "20000", "--machines", "2"]
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "20,000 connections, 2 machines of 8 workers, 1,250 connections for each" in run.stdout
    assert "off by" in run.stdout


async def test_a_topic_has_one_shard_in_every_process() -> None:
    [source] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    async with open_hub() as one, open_hub() as other:
        found = [names["hub_of"](f"room {number}", [one, other]) for number in range(100)]
        assert 30 < found.count(one) < 70
        # Fixed: a string's own hash differs from one process to the next.
        assert [hub is one for hub in found[:5]] == SHARDS


SHARDS = [False, False, False, False, True]
