"""docs/testing.md is true: its code runs."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trio_wsendpoint.testing import Faults, Flaky

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(4))
def test_a_block_runs(number: int) -> None:
    command = [sys.executable, "-W", "error", "-c", BLOCKS[number]]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_every_block_is_run() -> None:
    assert len(BLOCKS) == 4


def test_its_faults_exist() -> None:
    named = set(re.findall(r"`Faults\.(\w+)\(", PAGE))
    assert named == {name for name, value in vars(Faults).items() if isinstance(value, classmethod)}
    fields = {field.name for field in dataclasses.fields(Faults)}
    row = next(line for line in PAGE.splitlines() if line.startswith("| `Faults(...)`"))
    assert set(re.findall(r"`(\w+)`", row)) == fields | {"OSError"}
    told = set(re.findall(r"(\w+)=", re.findall(r"`Flaky\(([^)]*)\)`", PAGE)[0]))
    assert told <= {field.name for field in dataclasses.fields(Flaky)}
