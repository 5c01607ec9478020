"""docs/testing.md is true: its faults are those there are."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from trio_wsendpoint.testing import Faults, Flaky

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()


def test_its_faults_exist() -> None:
    named = set(re.findall(r"`Faults\.(\w+)\(", PAGE))
    assert named == {name for name, value in vars(Faults).items() if isinstance(value, classmethod)}
    fields = {field.name for field in dataclasses.fields(Faults)}
    row = next(line for line in PAGE.splitlines() if line.startswith("| `Faults(...)`"))
    assert set(re.findall(r"`(\w+)`", row)) == fields | {"OSError"}
    told = set(re.findall(r"(\w+)=", re.findall(r"`Flaky\(([^)]*)\)`", PAGE)[0]))
    assert told <= {field.name for field in dataclasses.fields(Flaky)}
