"""The program with workers in a process of its own, and what it says of itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.examples.programs import PATIENCE, ROOT

State = dict[str, Any]


class Running:
    """A parent that runs: `pid`, and its last state; `log` is what it has written to stderr."""

    def __init__(self, process: trio.Process, habit: Path, log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.state: State = {}
        self.seen: set[int] = set()  # the processes of all workers that it ever told of
        self._habit = habit
        self._log = log
        self._rest = b""

    def behave(self, habit: str) -> None:
        """Say how workers that start from now on behave."""
        self._habit.write_text(habit)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the parent, which looks at its clock at a signal."""
        ahead = self._habit.with_name("ahead")
        passed = float(ahead.read_text()) if ahead.exists() else 0.0
        new = ahead.with_name("new")
        new.write_text(str(passed + seconds))
        new.rename(ahead)
        self.send(signal.SIGUSR1)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        return int(self.state["addresses"][0].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def workers(self) -> dict[int, str]:
        """The processes of the workers that it has now, with their phases."""
        return {int(pid): phase for pid, phase in self.state["workers"].items()}

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def until(self, is_it: Callable[[State], object]) -> State:
        """Wait for a state for which `is_it` is true; the states before have been read by then."""
        with trio.fail_after(PATIENCE):
            while True:
                if self.state and is_it(self.state):
                    return self.state
                assert await self._read(), f"it has ended: {self.state} {self.log}"

    async def serving(self, **facts: Any) -> State:
        """Wait until it serves, all its workers are ready, and the state has these `facts`."""
        return await self.until(
            lambda state: (
                state["phase"] == "serving"
                and set(state["workers"].values()) == {"ready"}
                and len(state["workers"]) == self.count
                and facts.items() <= state.items()
            )
        )

    count = 2

    async def wait(self) -> int:
        """Read what it tells to the end; return its exit status."""
        with trio.fail_after(PATIENCE):
            while await self._read():
                pass
            return await self.process.wait()

    async def _read(self) -> bool:
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            data = await self.process.stdout.receive_some(65536)
            if not data:
                return False
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        self.state = json.loads(line)
        self.seen |= {int(pid) for pid in self.state["workers"] if pid != "null"}
        return True


def is_alive(pid: int) -> bool:
    """Tell whether a process runs: a zombie does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def all_gone(pids: set[int]) -> None:
    """Wait until none of the processes runs."""
    with trio.fail_after(PATIENCE):
        while any(map(is_alive, pids)):
            await trio.sleep(0.01)


async def port_is_free(port: int) -> None:
    """Wait until no process listens there: the threads of one that was killed end one by one."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                await trio.sleep(0.01)
            else:
                return


@asynccontextmanager
async def running(tmp_path: Path, habit: str = "", **options: Any) -> AsyncIterator[Running]:
    """Run the program for the length of a block, in a session of its own; then kill all of it."""
    path, log = tmp_path / "habit", tmp_path / "stderr"
    path.write_text(habit)
    environment = options.pop("env", {})
    command = [sys.executable, "-W", "error", "-m", "tests.workers.program"]
    with log.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            [*command, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HABIT": str(path), **environment},
        )
    program = Running(process, path, log)
    program.count = options.get("workers", 2)
    try:
        yield program
    finally:
        process.kill()
        for pid in program.seen:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stdout is not None
        await trio.aclose_forcefully(process.stdout)
