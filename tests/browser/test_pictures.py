"""The demo fits into wide and narrow windows, and can be read in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.browser.chromium import PATIENCE
from tests.browser.pictures import SCHEMES, WINDOWS, main

pytestmark = pytest.mark.browser


async def test_nothing_of_the_demo_sticks_out_or_is_faint(
    executable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert executable
    with trio.fail_after(PATIENCE):
        assert await main(tmp_path, "demo", []) == 0
    assert capsys.readouterr().out == ""
    panes = ("demo-chat", "demo-inspector")
    assert len(list(tmp_path.glob("*.png"))) == len(panes) * len(WINDOWS) * len(SCHEMES)
