"""A reader follows the tutorial in a real browser, and sees what its pages say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.browser.chromium import PATIENCE, Browser, Page, chromium
from tests.tutorial.steps import Folder, Step

pytestmark = pytest.mark.browser

LINES = "[...document.querySelectorAll('li')].map(item => item.textContent)"


@pytest.fixture
async def browser(executable: str, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Browser]:
    async with chromium(executable, tmp_path / "profile", nursery) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A reader's folder with the page of step 2, which later steps use."""
    made = Folder(tmp_path)
    made.write(Step(2))
    return made


async def open_page(browser: Browser, folder: Folder, path: str = "/") -> Page:
    """Open a page of the tutorial, and wait for its WebSocket as a reader does."""
    page = await browser.open(f"http://localhost:{folder.port}{path}")
    await page.wait_for("socket.readyState === WebSocket.OPEN")
    return page


async def lines_of(page: Page, count: int) -> list[str]:
    """Wait for so many lines, and return them all."""
    await page.wait_for(f"{LINES}.length >= {count}")
    lines: list[str] = await page.evaluate(LINES)
    return lines


def renumbered(lines: list[str]) -> list[str]:
    """Return lines with the numbers of connections as the pages have them: 1, 2, 3."""
    seen: dict[str, str] = {}
    number = re.compile(r"^((?:guest )?)(\d+)")
    return [
        number.sub(lambda m: m[1] + seen.setdefault(m[2], str(len(seen) + 1)), line)
        for line in lines
    ]


async def test_2_a_page(browser: Browser, folder: Folder) -> None:
    with trio.fail_after(PATIENCE):
        async with folder.run("server.py") as server:
            await server.read_until("\n")
            page = await open_page(browser, folder)
            await page.type("input", "a <b>word</b>")
            assert await lines_of(page, 1) == ["a <b>word</b>"]
            server.interrupt()
            await server.wait()
            assert await lines_of(page, 2) == ["a <b>word</b>", Step(2).outputs[1].strip()]


async def test_3_two_things_at_once(browser: Browser, folder: Folder) -> None:
    folder.write(Step(3))
    with trio.fail_after(PATIENCE):
        async with folder.run("server.py") as server:
            await server.read_until("\n")
            page = await open_page(browser, folder)
            await page.type("input", "hello")
            await page.wait_for(f"{LINES}.includes('you said hello')")
            assert set(await lines_of(page, 3)) >= set(Step(3).outputs[0].splitlines())


async def test_7_a_chat(browser: Browser, folder: Folder) -> None:
    folder.write(Step(7))
    with trio.fail_after(PATIENCE):
        async with folder.run("server.py") as server:
            await server.read_until("\n")
            ann = await open_page(browser, folder)
            await lines_of(ann, 1)
            bob = await open_page(browser, folder)
            await bob.type("input", "hello")
            await lines_of(bob, 2)
            await bob.call("Page.close")
            assert renumbered(await lines_of(ann, 4)) == Step(7).outputs[0].splitlines()


async def test_8_rooms(browser: Browser, folder: Folder) -> None:
    folder.write(Step(8))
    with trio.fail_after(PATIENCE):
        async with folder.run("server.py") as server:
            await server.read_until("\n")
            garden = await open_page(browser, folder, "/rooms/garden")
            kitchen = await open_page(browser, folder, "/rooms/kitchen")
            await garden.type("input", "hello")
            assert renumbered(await lines_of(garden, 2)) == Step(8).outputs[1].splitlines()
            assert renumbered(await lines_of(kitchen, 1)) == ["guest 1 has come to the kitchen"]
            nowhere = await browser.open(f"http://localhost:{folder.port}/")
            assert await nowhere.evaluate("document.body.innerText.trim()") == "not found"


async def test_9_who_are_you(browser: Browser, folder: Folder) -> None:
    folder.write(Step(9))
    with trio.fail_after(PATIENCE):
        async with folder.run("server.py") as server:
            await server.read_until("\n")
            stranger = await browser.open(f"http://localhost:{folder.port}/rooms/garden")
            assert await lines_of(stranger, 1) == ["closed with 1006"]
            page = await browser.open(f"http://localhost:{folder.port}/login")
            await page.type("input", "ann")
            await page.settle("location.pathname === '/rooms/garden'")
            assert await lines_of(page, 1) == Step(9).outputs[1].splitlines()
