"""A real browser logs into the chat of the Starlette example, and reads what it says there."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.browser.chromium import PATIENCE, chromium
from tests.examples.programs import example

pytestmark = pytest.mark.browser

STATE = "document.querySelector('#state')?.textContent === 'connected'"
LINES = "document.querySelector('#lines').textContent.split('\\n')"


async def test_a_login_and_a_word(executable: str, tmp_path: Path, nursery: trio.Nursery) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    with trio.fail_after(PATIENCE):
        async with (
            example("asgi_chat.py", "0") as server,
            chromium(executable, tmp_path, nursery) as browser,
        ):
            page = await browser.open(await server.read_url())
            await page.type("#name", "ann")
            await page.settle(STATE)
            await page.type("#text", "Hello!")
            await page.wait_for(f"{LINES}.includes('ann: Hello!')")
