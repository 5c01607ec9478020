"""A headless chromium, told what to do over its DevTools protocol by `connect_endpoint`.

The protocol is JSON: a command has an `id`, its answer has the same, and what else comes are
events, which nobody here waits for.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from trio_wsendpoint import Connection, Limits, connect_endpoint

PATIENCE = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-component-update",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


def find() -> str | None:
    """Return where chromium is, None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One page, in a window of its own."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression gives, awaited if it is a promise."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        await self.evaluate(
            "new Promise(done => {"
            f"  const look = () => {condition} ? done() : setTimeout(look, 20);"
            "  look();"
            "})"
        )

    async def settle(self, condition: str) -> None:
        """Wait until an expression is true on the page to which this one leads."""
        while True:
            try:
                await self.wait_for(condition)
                return
            except AssertionError as error:
                if "navigated" not in str(error):  # what was asked of the page before is lost
                    raise

    async def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field, empty it, type `text` and Enter."""
        await self.evaluate(f"document.querySelector({selector!r}).select()")
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                windowsVirtualKeyCode=13,
                text="\r",
            )

    async def screenshot(self, path: Path) -> None:
        """Take a picture."""
        picture = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        return await self._browser.call(method, self._session, **parameters)


class Browser:
    """A browser; one task at a time may call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)

    async def open(self, url: str) -> Page:
        """Open a page in a window of its own."""
        target = await self.call("Target.createTarget", url="about:blank", newWindow=True)
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"])
        await page.call("Page.navigate", url=url)  # answered when the new document is there
        await page.wait_for("document.readyState === 'complete'")
        return page

    async def call(
        self, method: str, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Give a command and return its answer."""
        number = next(self._ids)
        command: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        await self._connection.send(json.dumps(command))
        with trio.fail_after(PATIENCE):
            while True:
                answer = json.loads(await self._connection.receive())
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result


@asynccontextmanager
async def chromium(executable: str, profile: Path, nursery: trio.Nursery) -> AsyncIterator[Browser]:
    """Run a browser with an empty `profile` for the length of the block."""
    process = await trio.lowlevel.open_process(
        [executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        url = await _read_url(process.stderr)
        nursery.start_soon(_drain, process.stderr)  # a full pipe would stop it
        # A picture of a page comes in one message.
        limits = Limits(message_size=64 * 1024 * 1024)
        async with connect_endpoint(url, limits=limits) as connection:
            yield Browser(connection)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        await trio.aclose_forcefully(process.stderr)


async def _read_url(stream: trio.abc.ReceiveStream) -> str:
    said = b""
    with trio.fail_after(PATIENCE):
        while not (found := re.search(rb"DevTools listening on (ws://\S+)\s", said)):
            data = await stream.receive_some(65536)
            assert data, f"chromium ended: {said.decode(errors='replace')}"
            said += data
    return found[1].decode()


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    with contextlib.suppress(trio.ClosedResourceError):
        async for _ in stream:
            pass
