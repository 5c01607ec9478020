"""Programs in processes of their own, for tests of examples and documents.

These tests need the real clock, for the processes do; every wait is bounded.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

#: Seconds that anything may take, on a machine that has other things to do.
PATIENCE = 60


class Program:
    """A running program: what it has printed (stderr too), what it is told, how it ends."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.output = ""

    async def read_until(self, text: str) -> str:
        """Return all that was printed, once `text` is in it."""
        with trio.fail_after(PATIENCE):
            while text not in self.output:
                if not await self._read():
                    raise AssertionError(f"it ended without {text!r}: {self.output}")
        return self.output

    async def read_url(self) -> str:
        """Return the first URL that is printed."""
        with trio.fail_after(PATIENCE):
            while not (found := re.search(r"\b(?:ws|http)://\S+(?=\s)", self.output)):
                if not await self._read():
                    raise AssertionError(f"it ended without a URL: {self.output}")
        return found[0]

    async def say(self, text: str) -> None:
        """Type a line into it."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(f"{text}\n".encode())

    async def end_input(self) -> None:
        """End its standard input."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    def interrupt(self) -> None:
        """Do as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill it at once: it says no goodbye."""
        self._process.kill()

    async def wait(self) -> int:
        """Return its exit status, when all that it printed is in `output`."""
        with trio.fail_after(PATIENCE):
            while await self._read():
                pass
            return await self._process.wait()

    async def stop(self) -> None:
        """Interrupt it, and see that this ends it in order."""
        self.interrupt()
        await self.check_end()

    async def check_end(self) -> None:
        """Wait for its end, and see that it was in order."""
        status = await self.wait()
        assert status == 0, self.output
        assert "Traceback" not in self.output, self.output

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        data = await self._process.stdout.receive_some(65536)
        self.output += data.decode()
        return bool(data)


@asynccontextmanager
async def running(*arguments: str | Path, cwd: Path = ROOT) -> AsyncIterator[Program]:
    """Run Python with `arguments`, and kill it at the end of the block if it still runs."""
    process = await trio.lowlevel.open_process(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)


@asynccontextmanager
async def example(name: str, *arguments: str) -> AsyncIterator[Program]:
    """Run an example; a warning in it is an error."""
    async with running("-W", "error", EXAMPLES / name, *arguments) as program:
        yield program
