"""Takes pictures of the site and of the demo, wide and narrow, light and dark.

    python -m tests.browser.pictures FOLDER [--only site|demo] [--pages index,options]

The site is that of `make docs`. What is wider than its window and cannot be scrolled, and what is
hard to read on its background, is printed. Needs chromium.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.browser.chromium import Browser, Page, chromium, find
from tests.examples.programs import ROOT, example

SITE = ROOT / "docs" / "_build" / "html"
PAGES = (
    "index",
    "tutorial-01-echo",
    "tutorial-09-login",
    "options",
    "closing",
    "back-pressure",
    "benchmarks",
    "api-serving",
)
#: Width and height of the windows.
WINDOWS = {"wide": (1280, 900), "narrow": (390, 844)}
SCHEMES = ("light", "dark")
#: What is wider than its window, and is not inside of something that can be scrolled.
STICKS_OUT = """(() => {
  const isCut = one => ["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowX);
  const scrolls = one =>
    one && one !== document.documentElement && (isCut(one) || scrolls(one.parentElement));
  return [...document.querySelectorAll("main *, article *, header *, #tools *")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !scrolls(one))
    .map(one => one.tagName + " " + (one.id || one.textContent.trim().slice(0, 40)))
    .slice(0, 5);
})()"""

#: Text that is told from what is behind it by less than 4.5 to 1 (WCAG 2.2, 1.4.3).
FAINT = """(() => {
  const parts = color => (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    const color = one ? parts(getComputedStyle(one).backgroundColor) : [255, 255, 255];
    return color.length === 4 && color[3] === 0 ? behind(one.parentElement) : color;
  };
  const faint = new Set();
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    const isTold = own && one.checkVisibility() && !one.disabled;
    if (!isTold || one.closest("script, style, svg")) continue;
    const two = [parts(getComputedStyle(one).color), behind(one)].map(light).sort((a, b) => b - a);
    const ratio = (two[0] + 0.05) / (two[1] + 0.05);
    const what = `${one.tagName} ${one.textContent.trim().slice(0, 30)}`;
    if (ratio < 4.5) faint.add(`${ratio.toFixed(1)} ${what}`);
  }
  return [...faint].slice(0, 8);
})()"""


async def resize(page: Page, window: str, scheme: str) -> None:
    """Give a page a window of this size, and the user's wish for light or dark."""
    width, height = WINDOWS[window]
    await page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=window == "narrow",
    )
    await page.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    await page.evaluate("new Promise(done => setTimeout(done, 300))")


async def take(page: Page, folder: Path, name: str) -> None:
    """Take a picture in each window and scheme, and tell what does not fit."""
    for window, scheme in itertools.product(WINDOWS, SCHEMES):
        await resize(page, window, scheme)
        await page.screenshot(folder / f"{name}-{window}-{scheme}.png")
        if found := await page.evaluate(STICKS_OUT):
            print(f"{name}, {window}, {scheme}: wider than the window:", *found, sep="\n    ")
        if found := await page.evaluate(FAINT):
            print(f"{name}, {window}, {scheme}: hard to read:", *found, sep="\n    ")


async def take_site(browser: Browser, folder: Path, names: list[str]) -> None:
    """Take pictures of pages of the site."""
    for name in names:
        page = await browser.open((SITE / f"{name}.html").as_uri())
        await take(page, folder, name)
        await page.call("Page.close")


async def take_demo(browser: Browser, folder: Path) -> None:
    """Take pictures of the demo with a conversation in it, and of its inspector."""
    async with talking(browser) as page:
        await take(page, folder, "demo-chat")
        await page.evaluate("document.querySelector('#tab-inspector').click()")
        await take(page, folder, "demo-inspector")


@asynccontextmanager
async def talking(browser: Browser) -> AsyncIterator[Page]:
    """Run the demo with two windows that have talked; yield one of them."""
    state = "document.querySelector('#state').textContent"
    async with example("demo.py", "0") as server:
        url = await server.read_url()
        pages = [await browser.open(url) for _ in range(2)]
        for page, name in zip(pages, ("ann", "bob"), strict=True):
            await page.type("#name", name)
            await page.wait_for(f"{state}.startsWith('Connected to ')")
        for number, text in enumerate(
            ("Is anyone here?", "Hello, Ann!", "What a long line this is, " * 4, "Grüße aus Köln")
        ):
            await pages[number % 2].type("#text", text)
            await pages[number % 2].evaluate("document.querySelector('#ping').click()")
            await pages[0].evaluate("new Promise(done => setTimeout(done, 400))")
        yield pages[0]
        await server.stop()


async def main(folder: Path, only: str | None, names: list[str]) -> int:
    """Take the pictures; return the exit status."""
    executable = find()
    if executable is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        async with (
            trio.open_nursery() as nursery,
            chromium(executable, Path(profile), nursery) as browser,
        ):
            if only != "demo":
                await take_site(browser, folder, names)
            if only != "site":
                await take_demo(browser, folder)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("site", "demo"))
    parser.add_argument("--pages", default=",".join(PAGES))
    told = parser.parse_args()
    sys.exit(trio.run(main, told.folder, told.only, told.pages.split(",")))
