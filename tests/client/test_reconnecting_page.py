"""docs/reconnecting.md is true: its code runs (its tables are held by `test_retries`)."""

from __future__ import annotations

import re

import pytest

from tests.examples.programs import ROOT, running

PAGE = (ROOT / "docs" / "reconnecting.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, r"1 1\.08\n2 1\.08\nhttp-refused 403\n"), (1, r"50 arrived over \d\d connections\n")],
)
async def test_a_block_runs(number, expected, tmp_path):
    path = tmp_path / "block.py"
    path.write_text(BLOCKS[number])
    async with running("-W", "error", path) as program:
        assert await program.wait() == 0, program.output
    assert re.fullmatch(expected, program.output)


def test_every_block_is_run():
    assert len(BLOCKS) == 2
