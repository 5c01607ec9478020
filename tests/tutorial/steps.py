"""A step of the tutorial: its files, what it says that a reader sees, and its programs at work."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.examples.programs import ROOT, Program, running

PAGES = sorted((ROOT / "docs").glob("tutorial-*.md"))
#: What the pages say that a server listens on; a test's listens on a free port.
PORT = "8765"
#: How much faster than the real clock Trio's runs in the programs: nobody waits for their sleeps.
RATE = 10
#: Runs a file as `python FILE` does, with such a clock.
RUNNER = f"""
import runpy, sys, trio
from trio.testing import MockClock
run = trio.run
trio.run = lambda main: run(main, clock=MockClock(rate={RATE}))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


class Step:
    """One page: `files` by their names, and `outputs`, the blocks of text in their order."""

    def __init__(self, number: int) -> None:
        self.page = PAGES[number - 1].read_text()
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", self.page, re.MULTILINE | re.DOTALL)
        named = (re.match(r"(?:#|<!--) ([\w.]+)", text) for _, text in blocks)
        self.files = {
            name[1]: text for name, (_, text) in zip(named, blocks, strict=True) if name is not None
        }
        self.outputs = [text for kind, text in blocks if kind == "text"]


class Folder:
    """A reader's folder, with the files of the steps so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = str(free_port())

    def write(self, step: Step) -> None:
        """Do as the page says: write its files, over older ones."""
        for name, text in step.files.items():
            self.path.joinpath(name).write_text(text.replace(PORT, self.port))

    @asynccontextmanager
    async def run(self, name: str) -> AsyncIterator[Program]:
        """Run a file of the folder, with a warning as an error."""
        async with running("-W", "error", "-c", RUNNER, name, cwd=self.path) as program:
            yield program

    async def output_of(self, name: str) -> str:
        """Return what a program prints until it ends."""
        async with self.run(name) as program:
            await program.wait()
            return self.as_told(program)

    def as_told(self, program: Program) -> str:
        """Return what a program has printed, with the port of the pages."""
        return program.output.replace(self.port, PORT)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
