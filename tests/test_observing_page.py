"""docs/observing.md names every field, hook and cause that there is, and its code runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.examples.programs import ROOT, running
from trio_wsendpoint import CloseCause, ConnectionStatistics, ServerStatistics
from trio_wsendpoint.connection.instruments import HOOKS

PAGE = (ROOT / "docs" / "observing.md").read_text()


@pytest.mark.parametrize("kind", [ConnectionStatistics, ServerStatistics])
def test_every_field_is_told(kind: type) -> None:
    told = set(re.findall(r"`(\w+\*?)`", PAGE))
    families = {name[:-1] for name in told if name.endswith("*")}
    names = [field.name for field in dataclasses.fields(kind)]
    assert len(names) > 20
    missing = [n for n in names if n not in told and not n.startswith(tuple(families))]
    assert missing == []


def test_every_hook_and_every_cause_is_told() -> None:
    assert [name for name in HOOKS if f"| `{name}(" not in PAGE] == []
    assert [cause for cause in CloseCause if f'| `"{cause}"` |' not in PAGE] == []


async def test_the_code_runs(tmp_path: Path) -> None:
    [source] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "block.py"
    path.write_text(source)
    async with running("-W", "error", path) as program:
        assert await program.wait() == 0, program.output
    first, second, third = program.output.splitlines()
    assert first == "hello"
    assert re.fullmatch(r"[0-9a-f]{8} \w+ \S+", second)
    assert third == "5"
