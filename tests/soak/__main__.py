"""Runs a soak, prints its samples and the verdict: `python -m tests.soak --minutes 20`.

The exit status is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.soak.load import Mix, Pace
from tests.soak.verdict import Outcome, judge, slope

__all__ = ["main", "soak"]

ROOT = Path(__file__).parents[2]
#: The part of a run before the samples count, while the allocator and the caches fill; and the
#: part of the connections that must have come up by then.
WARM_UP, FULL = 0.25, 0.95
#: Seconds that the server has at the end to be rid of everyone.
SETTLE = 15.0
COLUMNS = ("s", "open", "closed", "rss", "private", "blocks", "descriptors", "tasks", "cpu %")


class Process:
    """One of the two processes, asked in lines and answering in JSON."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def read(self) -> dict[str, Any]:
        """Return the next line that it says."""
        line = self._output.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def check(self) -> None:
        """Raise `RuntimeError` if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._process.args!r} has ended")

    def ask(self) -> dict[str, Any]:
        """Have it tell what it holds."""
        self._input.write("\n")
        self._input.flush()
        return self.read()

    def finish(self) -> None:
        """Let it end."""
        self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            self._process.kill()
        self._input.close()
        self._process.wait(60)
        self._output.close()


def _row(values: Iterable[object]) -> None:
    print(" ".join(f"{value!s:>11}" for value in values), flush=True)


def _settled(server: Process, before: dict[str, Any]) -> dict[str, Any]:
    """Wait until the server is rid of everyone; return what it holds then, or after `SETTLE`."""
    until = time.monotonic() + SETTLE
    while True:
        after = server.ask()
        names = ("descriptors", "tasks")
        is_empty = after["open"] + after["opening"] == 0
        if (is_empty and all(after[name] == before[name] for name in names)) or (
            time.monotonic() > until
        ):
            return after
        time.sleep(0.2)


def soak(seconds: float, connections: int) -> list[Outcome]:
    """Soak for so long with so many, print what comes of it, and return the bounds."""
    pace, mix = Pace.of(seconds), Mix.of(connections)
    print(f"{seconds:g} s, {mix.total} at a time: {mix}; rss and private in KiB")
    with Process("tests.soak.server", seconds) as server:
        port = server.read()["port"]
        server.ask()  # the first one opens what stays open
        before = server.ask()
        _row(COLUMNS)
        samples: list[dict[str, Any]] = []
        with Process("tests.soak.clients", port, connections, seconds) as clients:
            began = time.monotonic()
            last, busy = began, before["cpu"]
            while time.monotonic() - began < seconds:
                time.sleep(pace.until_sample)
                clients.check()
                sample = server.ask()
                now = time.monotonic()
                load = (sample["cpu"] - busy) / (now - last)
                last, busy = now, sample["cpu"]
                is_full = samples or sample["open"] >= FULL * (mix.total - mix.hostile)
                if is_full and now - began > WARM_UP * seconds:
                    samples.append(sample)
                shown = (sample[name] for name in COLUMNS[1:-1])
                _row((round(now - began, 1), *shown, round(100 * load)))
                time.sleep(0.1 * pace.sample)
            clients.finish()
            told = clients.read()
        after = _settled(server, before)
        _row(("before", *(before[name] for name in COLUMNS[1:-1]), ""))
        _row(("at rest", *(after[name] for name in COLUMNS[1:-1]), ""))
    _report(samples, after, told)
    return list(judge(before, samples, after, told))


def _report(samples: list[dict[str, Any]], after: dict[str, Any], told: dict[str, Any]) -> None:
    """Print what has happened."""
    print("\nhow the server saw them end:")
    for how, count in sorted(after["closes"].items()):
        print(f"  {count:>7}  {how}")
    if after["by cause"] is not None:
        print(f"  by cause: {after['by cause']}")
    refused = {
        name: told["done"].get(f"hostile/{name}", 0)
        for name in ("half-request", "no-request", "not-http")
    }
    print(f"  without a connection: {refused}")
    for line in [*after["unexplained"], *told["unexplained"]][:20]:
        print(f"  unexplained: {line}")
    print(f"rss, KiB per 1,000 closed: {slope(samples, 'rss')}")
    print(f"objects per 1,000 closed: {slope(samples, 'blocks')}")


def main(arguments: list[str] | None = None) -> int:
    """Soak, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=200)
    options = parser.parse_args(arguments)
    outcomes = soak(60 * options.minutes, options.connections)
    for outcome in outcomes:
        print(outcome)
    broken = [outcome.name for outcome in outcomes if outcome.verdict == "broken"]
    print(f"BROKEN: {', '.join(broken)}" if broken else "all bounds hold, as far as can be told")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
