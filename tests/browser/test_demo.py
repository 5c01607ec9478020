"""Two windows of a real browser talk through the demo, which then ends in order."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from tests.browser.chromium import PATIENCE, Browser, Page, chromium
from tests.examples.programs import Program, example

pytestmark = pytest.mark.browser

LINES = "[...document.querySelectorAll('#messages li')].map(line => line.textContent)"
ROWS = "[...document.querySelectorAll('#frames li')].map(line => line.textContent)"
TOLD = "window.told"  # every text that the state has had since `join`
STATE = "document.querySelector('#state').textContent"


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
    await page.evaluate(
        "window.told = [];"
        f"new MutationObserver(() => told.push({STATE}))"
        ".observe(document.querySelector('#state'), { childList: true }); null"
    )
    await page.type("#name", name)
    await page.wait_for(
        f"{STATE}.startsWith('Connected to ') && {LINES}.includes('* {name} is here')"
    )
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
            await page.wait_for(
                f"{TOLD}.some(text => text.startsWith('Closed by server with 1001'))"
            )


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
        await page.wait_for(f"{STATE}.startsWith('Connected to ')")
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
        await page.wait_for(f"{TOLD}.some(text => text.startsWith('Closed by server with 1001'))")


async def press(page: Page, button: str) -> None:
    """Press the button with this id."""
    await page.evaluate(f"document.querySelector('#{button}').click()")


async def enter_room(page: Page, room: str) -> None:
    """Choose a room, and wait until the page is in it."""
    await page.evaluate(
        f"document.querySelector('#room').value = '{room}';"
        "document.querySelector('#room').dispatchEvent(new Event('change'))"
    )
    await page.wait_for(f"{STATE}.startsWith('Connected to {room}')")


async def test_the_inspector_tells_what_a_script_cannot_see(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")
        await page.wait_for(
            f"{ROWS}.some(row => /^\\* .* open, from .*, compression on/.test(row))"
        )
        await press(page, "ping")
        await page.wait_for(f"{ROWS}.some(row => /^< .* ping +8 B/.test(row))")
        await page.wait_for(f"{ROWS}.some(row => /^> .* pong +8 B/.test(row))")
        await page.wait_for(
            "/^Round trip: [0-9.]+ ms/.test(document.querySelector('#trips').textContent)"
        )
        await page.type("#text", "hello " * 20)
        await page.wait_for(f"{ROWS}.some(row => /^> .* text .*compressed/.test(row))")
        await page.wait_for(f"{ROWS}.some(row => /^> .* text message, 120 B/.test(row))")
        await server.stop()


async def test_one_page_does_not_see_the_frames_of_another(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        ann = await join(browser, url, "ann")
        bob = await browser.open(url)
        await enter_room(bob, "echo")
        before = await ann.evaluate(f"{ROWS}.filter(row => row.includes('binary')).length")
        await press(bob, "large")
        await bob.wait_for(f"{ROWS}.some(row => /^< .* binary message, 1,048,576 B/.test(row))")
        assert await ann.evaluate(f"{ROWS}.filter(row => row.includes('binary')).length") == before
        await server.stop()


async def test_a_slow_reader_shows_where_bytes_wait(demo: Demo) -> None:
    server, browser, url = demo
    held = "document.querySelector('#inbox').value"
    with trio.fail_after(PATIENCE):
        page = await browser.open(url)
        await enter_room(page, "echo")
        await press(page, "slow")
        for _ in range(12):  # more than the server and both kernels hold
            await press(page, "large")
        await page.wait_for("document.querySelector('#own').value > 0")
        await page.wait_for(f"{held} > 0")
        await press(page, "slow")
        await page.wait_for("document.querySelector('#own').value === 0")
        await page.wait_for(f"{LINES}.filter(line => line === '1,048,576 bytes').length === 12")
        await server.stop()


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("page 1000", "Closed by you with 1000"),
        ("page 4000", "Closed by you with 4000 as you wished"),
        ("server 4000", "Closed by server with 4000 as you wished. Trying again in "),
    ],
)
async def test_either_side_closes(demo: Demo, who: str, told: str) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")
        await page.evaluate(f"document.querySelector('#code').value = '{who}'")
        await press(page, "close")
        await page.wait_for(f"{STATE}.startsWith('{told}')")
        by = "you" if "you" in told[:14] else "server"
        await page.wait_for(f"{ROWS}.some(row => row.includes('closed by {by} with {who[-4:]}'))")
        await server.stop()


async def test_a_line_that_is_cut_is_opened_again(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")
        await press(page, "cut")
        await page.wait_for(f"{STATE}.startsWith('Lost: no Close frame (1006). Trying again in ')")
        await press(page, "stop")
        await page.wait_for(f"{STATE} === 'Lost: no Close frame (1006)'")
        await press(page, "reconnect")
        await page.wait_for(f"{STATE}.startsWith('Connected to chat')")
        await server.stop()


async def test_a_refusal_says_that_the_browser_hides_why(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")
        # A room that is not there: the server answers 404, and the page cannot know.
        await page.evaluate("document.querySelector('#room').append(new Option('nowhere'))")
        await page.evaluate(
            "document.querySelector('#room').value = 'nowhere';"
            "document.querySelector('#room').dispatchEvent(new Event('change'))"
        )
        await page.wait_for(f"{STATE}.startsWith('Refused: the browser hides why')")
        await server.stop()


async def test_many_frames_leave_five_hundred_rows(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await browser.open(url)
        await enter_room(page, "echo")
        await page.evaluate("for (let n = 0; n < 2000; n += 1) socket.send(String(n)); null")
        await page.wait_for(f"{LINES}.at(-1) === '1999'")
        await page.wait_for(f"{ROWS}.length === 500")
        assert await page.evaluate(f"{LINES}.length") == 500
        await server.stop()


async def test_the_policy_lets_no_other_script_run(demo: Demo) -> None:
    server, browser, url = demo
    with trio.fail_after(PATIENCE):
        page = await browser.open(url)
        await page.evaluate(
            "const script = document.createElement('script');"
            "script.textContent = 'window.wasRun = true'; document.body.append(script); null"
        )
        assert await page.evaluate("window.wasRun === undefined")
        await server.stop()


async def test_a_narrow_screen_shows_a_pane_at_a_time(demo: Demo) -> None:
    server, browser, url = demo
    shown = "['chat', 'inspector'].filter(id => document.getElementById(id).offsetParent !== null)"
    with trio.fail_after(PATIENCE):
        page = await browser.open(url)
        for width, panes in ((1280, ["chat", "inspector"]), (390, ["chat"])):
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=800,
                deviceScaleFactor=1,
                mobile=width < 700,
            )
            assert await page.evaluate(shown) == panes
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
        await press(page, "tab-inspector")
        assert await page.evaluate(shown) == ["inspector"]
        await server.stop()


async def test_keys_reach_everything(demo: Demo) -> None:
    server, browser, url = demo
    active = "document.activeElement.id"
    with trio.fail_after(PATIENCE):
        page = await join(browser, url, "ann")

        async def key(name: str, **more: object) -> None:
            for kind in ("keyDown", "keyUp"):
                await page.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, **more)

        await page.evaluate("document.querySelector('#text').focus()")
        await key("Escape")
        assert await page.evaluate(active) == ""
        await key("/")
        assert await page.evaluate(active) == "text"
        await key("2", modifiers=1)
        assert await page.evaluate(active) == "frames"
        await key("F6")
        assert await page.evaluate(active) == "ping"
        names = await page.evaluate(
            "[...document.querySelectorAll('button, input, select, textarea')]"
            ".filter(one => !one.labels?.length && !one.ariaLabel && !one.textContent.trim())"
            ".map(one => one.id)"
        )
        assert names == []
        roles = "[...document.querySelectorAll('[role=log], [role=status]')].map(one => one.id)"
        assert await page.evaluate(roles) == ["state", "messages", "summary"]
        await server.stop()
