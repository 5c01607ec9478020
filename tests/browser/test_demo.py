"""Two windows of a real browser talk through the demo, which then ends in order."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from tests.browser.chromium import PATIENCE, Browser, Page, chromium, find
from tests.examples.programs import Program, example

pytestmark = pytest.mark.browser

LINES = "[...document.querySelectorAll('#messages li')].map(line => line.textContent)"
STATE = "document.querySelector('#state').textContent"


@pytest.fixture
def executable() -> str:
    """Where the browser is; where there is none, CI fails and others go on."""
    found = find()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("chromium is missing: .ci/run installs it")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


class Demo(NamedTuple):
    """The demo, a browser, and where the browser finds the demo."""

    server: Program
    browser: Browser
    url: str


@pytest.fixture
async def demo(executable: str, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Demo]:
    """Run the demo and a browser."""
    async with (
        example("demo.py", "0") as server,
        chromium(executable, tmp_path, nursery) as browser,
    ):
        yield Demo(server, browser, await server.read_url())


async def join(browser: Browser, url: str, name: str) -> Page:
    """Open the page and take a name."""
    page = await browser.open(url)
    await page.type("#name", name)
    await page.wait_for(f"{STATE} === 'connected' && {LINES}.includes('* {name} is here')")
    return page


async def test_what_one_window_says_the_other_reads(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        ann = await join(browser, url, "ann")
        bob = await join(browser, url, "bob")
        await ann.wait_for(f"{LINES}.includes('* bob is here')")
        await ann.type("#text", "Hello, Bob!")
        await bob.wait_for(f"{LINES}.includes('ann: Hello, Bob!')")
        await bob.type("#text", "Grüße \N{WAVING HAND SIGN}")
        await ann.wait_for(f"{LINES}.includes('bob: Grüße \N{WAVING HAND SIGN}')")
        if "SCREENSHOT" in os.environ:
            await ann.screenshot(Path(os.environ["SCREENSHOT"]))
        server.interrupt()
        await server.check_end()
        for page in (ann, bob):
            await page.wait_for(f"{STATE}.startsWith('closed with ')")


async def test_a_message_and_a_name_are_text_never_html(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        name = "<b>mallory</b>"
        mallory = await join(browser, url, name)
        bob = await join(browser, url, "bob")
        text = '<img src="x" onerror="document.title = 1">'
        await mallory.type("#text", text)
        await bob.wait_for(f"{LINES}.includes(`{name}: {text}`)")
        assert await bob.evaluate("document.querySelectorAll('#messages :is(b, img)').length") == 0
        await server.stop()


async def test_the_echo_answers_in_the_page(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await browser.open(url)
        await page.evaluate(
            "document.querySelector('#room').value = 'echo';"
            "document.querySelector('#room').dispatchEvent(new Event('change'))"
        )
        await page.wait_for(f"{STATE} === 'connected'")
        await page.type("#text", "is there an echo?")
        await page.wait_for(f"{LINES}.length === 2")
        assert await page.evaluate(LINES) == ["is there an echo?"] * 2
        await server.stop()


async def test_the_page_says_how_it_was_closed(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")
        await page.evaluate(
            "window.closed_with = new Promise(done =>"
            " socket.addEventListener('close', event => done([event.code, event.wasClean])))"
            "; null"
        )
        await server.stop()
        assert await page.evaluate("window.closed_with") == [1001, True]
        await page.wait_for(f"{STATE}.startsWith('closed with ')")
