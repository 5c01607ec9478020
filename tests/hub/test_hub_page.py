"""docs/hub.md is true: its table has the policies that there are."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest

from tests.examples.programs import ROOT
from trio_wsendpoint.hub import Block, Close, DropNewest, DropOldest, Latest, Policy, Reason
from trio_wsendpoint.hub.log import MESSAGE_OVERHEAD

PAGE = (ROOT / "docs" / "hub.md").read_text()


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
