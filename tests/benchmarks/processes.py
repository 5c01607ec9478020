"""The two processes of a measurement: a server, and the load that keeps it busy.

Both inherit the one core of this process; see `pin`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.benchmarks.peers import Peer
from tests.benchmarks.works import Work

ROOT = Path(__file__).parents[2]
#: Seconds that a process has for an answer, beside what it was told to take.
PATIENCE = 60


class MeasurementError(Exception):
    """A server, or the load, failed: there is no figure."""


def pin(core: int | None) -> int | None:
    """Confine this process and its children to one core (default: the last); return which."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {core})
    return core


class Child:
    """A process that answers each line with a line."""

    def __init__(self, name: str, module: str, *arguments: str, **environment: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, line: str, patience: float = PATIENCE) -> Any:
        """Write `line` and return the answer, read as JSON."""
        process = self._process
        if process.stdin is None:
            raise MeasurementError(f"{self.name}: it has no standard input")
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise MeasurementError(f"{self.name}: it has ended") from error
        return self.answer(patience)

    def answer(self, patience: float = PATIENCE) -> Any:
        """Return the next line of its output, read as JSON."""
        pipe = self._process.stdout
        if pipe is None or not select.select([pipe], [], [], patience)[0]:
            raise MeasurementError(f"{self.name}: no answer within {patience:g} s")
        line = pipe.readline()
        if not line:
            raise MeasurementError(f"{self.name}: it has ended")
        told = json.loads(line)
        if isinstance(told, dict) and "error" in told:
            raise MeasurementError(f"{self.name}: {told['error']}")
        return told

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Pair:
    """A server and its load, for the length of a `with` block."""

    def __init__(self, peer: Peer, work: Work, cert: Path) -> None:
        self.peer, self.work = peer, work
        arguments = [*peer.arguments]
        if work.kind == "broadcast":
            arguments += ["--mode", "broadcast"]
        if work.deflate:
            arguments += ["--deflate"]
        if work.tls:
            arguments += ["--cert", str(cert)]
        self.server = Child(
            peer.title, f"servers.{peer.module}", *arguments, **dict(peer.environment)
        )
        self._children = [self.server]
        try:
            self.hello = self.server.answer()
            told = {"work": work.to_json(), "port": self.hello["port"], "raw": peer.raw}
            self.load = Child(f"the load of {peer.title}", "load", json.dumps(told))
            self._children.append(self.load)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for child in self._children:
            child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def open(self, count: int) -> None:
        self.load.ask(json.dumps({"open": count}), PATIENCE + count / 50)

    def run(self, seconds: float) -> dict[str, float]:
        """Run a round; return the server's µs of CPU for each, and how many there were a second."""
        before = self.server.ask("cpu")
        told = self.load.ask(json.dumps({"run": seconds}), PATIENCE + seconds)
        used = self.server.ask("cpu") - before
        return {
            "cpu": used / 1000 / told["count"],
            "rate": told["count"] / told["seconds"],
            "load": told["cpu"] * 1e6 / told["count"],
        }

    def resident(self) -> int:
        """Return the resident bytes of the server."""
        return int(self.server.ask("rss"))
