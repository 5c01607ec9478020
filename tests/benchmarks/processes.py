"""The two processes of a measurement: a server, and the load that keeps it busy.

Both end when their standard input does, so that none is left however this process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.benchmarks import native
from tests.benchmarks.cores import Cores, CpuClock, confine
from tests.benchmarks.peers import Peer
from tests.benchmarks.works import Work

ROOT = Path(__file__).parents[2]
#: Seconds that a process has for an answer, besides what it was told to take.
PATIENCE = 30


class MeasurementError(Exception):
    """A server, or the load, failed: there is no figure."""


def program(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules."""
    return [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]


class Child:
    """A process that answers each line with a line.

    It is in a group of its own: a Ctrl-C reaches this process alone, which ends its children.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            # The same order in every set and dict of strings, in every run.
            env={**os.environ, "PYTHONHASHSEED": "0", **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self.pid = self._process.pid

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

    def confine(self, core: int) -> None:
        try:
            confine(self.pid, core)
        except OSError as error:
            raise MeasurementError(f"{self.name}: it cannot be put on core {core}") from error

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Pair:
    """A server and its load, for the length of a `with` block.

    The server starts at once; `greet` waits for it and starts the load, so that many servers can
    start at the same time.
    """

    def __init__(self, peer: Peer, work: Work, cert: Path) -> None:
        self.peer, self.work = peer, work
        self.server = Child(peer.title, command_of(peer, work, cert), dict(peer.environment))
        self._children = [self.server]

    def greet(self) -> dict[str, Any]:
        """Return what the server says of itself when it listens."""
        hello: dict[str, Any] = self.server.answer()
        told = {
            "work": self.work.to_json(),
            "port": hello["port"],
            "raw": self.peer.raw,
            "socketio": self.peer.socketio,
            "engine": None if native.why_not("load") else str(native.build("load")),
        }
        self.load = Child(f"the load of {self.peer.title}", program("load", json.dumps(told)))
        self._children.append(self.load)
        self._clock = CpuClock(self.server.pid)
        return hello

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

    def confine(self, cores: Cores) -> None:
        """Put server and load where they are to run from now on."""
        self.server.confine(cores.server)
        self.load.confine(cores.load)

    def open(self, count: int) -> None:
        self.load.ask(json.dumps({"open": count}), PATIENCE + count / 100)

    def churn(self, count: int) -> None:
        """Open, use and close `count` connections."""
        self.load.ask(json.dumps({"churn": count}), PATIENCE + count / 100)

    def run(self, seconds: float) -> dict[str, float]:
        """Run a round; return the figures by name.

        `cpu`: the server's µs for each; `rate`: how many a second; `load`: in how much of the
        time the load did not wait for the server; `p50` and `p99`: latencies in µs.
        """
        before = self._clock.read()
        told = self.busy(seconds)
        used = self._clock.read() - before
        return {
            "cpu": used / 1000 / told["count"],
            "rate": told["count"] / told["seconds"],
            "load": told["awake"] / told["seconds"],
            "p50": told["p50"],
            "p99": told["p99"],
        }

    def busy(self, seconds: float, pause: float = 0.0) -> dict[str, float]:
        """Run a round, with a pause before each burst; return what the load tells: see `loops`."""
        command = json.dumps({"run": seconds, "pause": pause})
        told: dict[str, float] = self.load.ask(command, PATIENCE + seconds)
        return told

    def resident(self) -> int:
        """Return the resident bytes of the server."""
        return int(self.server.ask("rss"))


def command_of(peer: Peer, work: Work, cert: Path) -> list[str]:
    """Return the command that starts the server of `peer` for `work`."""
    mode = "broadcast" if work.kind == "broadcast" else "echo"
    if peer.native is not None:
        return [str(native.build(peer.native)), mode]
    arguments = [*peer.arguments, "--mode", mode]
    if work.deflate:
        arguments += ["--deflate"]
    if work.tls:
        arguments += ["--cert", str(cert)]
    return program(f"servers.{peer.module}", *arguments)
