"""docs/hub.md is true: its code runs, its table has the policies that there are."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest

from tests.examples.programs import ROOT, running
from trio_wsendpoint.hub import Block, Close, DropNewest, DropOldest, Latest, Policy, Reason
from trio_wsendpoint.hub.log import MESSAGE_OVERHEAD

PAGE = (ROOT / "docs" / "hub.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = [
    "hello\n",
    "slow misses 1\nGap(topic='prices', reason='slow', lost=1) 1.08 1.09\n1.09\n",
    "99 0\n",
    "here you go on\nhere you go on\nmissed 0\nmissed 1\nmissed 2\n",
    """from another hub
there is no connection to the server
Gap(topic='news', reason='disconnected', lost=None)
""",
]


@pytest.mark.parametrize("number", range(len(PRINTED)))
async def test_a_block_runs(number, tmp_path):
    path = tmp_path / "block.py"
    path.write_text(BLOCKS[number])
    async with running("-W", "error", path) as program:
        assert await program.wait() == 0, program.output
    assert program.output == PRINTED[number]


def test_every_block_is_run():
    assert len(BLOCKS) == len(PRINTED)


@pytest.mark.parametrize("kind", [Block, Close, DropNewest, DropOldest, Latest])
def test_the_table_has_each_policy(kind: type[Policy]):
    [row] = [row for row in PAGE.splitlines() if row.startswith(f"| `{kind.__name__}(")]
    stalled = kind().stalled
    assert row.split("|")[3].strip() == ("" if stalled == math.inf else f"{stalled:g} s")


def test_the_numbers_are_those_of_the_code():
    assert f"payload and {MESSAGE_OVERHEAD} bytes more" in PAGE.replace("\n", " ")
    assert f"`ahead` bytes ({Latest().ahead // 1024} KiB)" in PAGE


def test_each_reason_is_told():
    for reason in get_args(Reason):
        assert re.search(rf'`{reason}`|reason="{reason}"', PAGE), reason
