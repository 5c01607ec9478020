"""A parent with workers under load: one worker is killed, then all roll, then the parent dies.

`python -m tests.rolls --workers [ROLLS] [CLIENTS] [IDLE]` prints what clients met.  IDLE WebSockets
do nothing but wait for the goodbye of one more roll.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from tests.workers.processes import Running, all_gone, port_is_free, running
from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    HandshakeError,
    Timeouts,
    connect_endpoint,
)

#: Seconds over which the workers say goodbye to the idle ones.
DRAIN = 10.0
#: A client is not refused because the machine has other things to do.
PATIENT = Timeouts(open=60)


class Met:
    """What clients met: `counts`, and when the idle ones were told 1012."""

    def __init__(self) -> None:
        self.counts = Counter[str](opened=0, finished=0, goodbyes=0, lost=0, refused=0)
        self.told: list[float] = []

    async def visit(self, url: str) -> None:
        """Connect again and again; stay for 20 messages, or until the server says goodbye."""
        while True:
            try:
                async with connect_endpoint(url, timeouts=PATIENT) as connection:
                    await connection.receive()
                    self.counts["opened"] += 1
                    for turn in range(20):
                        await connection.send(str(turn))
                        assert await connection.receive() == str(turn)
                        await trio.sleep(0.005)
                    self.counts["finished"] += 1
            except ConnectionClosed as error:
                self.counts["goodbyes" if error.code == 1012 else "lost"] += 1
            except (OSError, HandshakeError) as error:
                self._note_refusal("refused", error)

    async def idle(self, url: str, is_open: trio.Event) -> None:
        """Connect, and wait for the goodbye; connect once more then, as clients do."""
        try:
            async with connect_endpoint(url, timeouts=PATIENT) as connection:
                await connection.receive()
                is_open.set()
                await connection.receive()
        except ConnectionClosed as error:
            self.counts["idle, told 1012" if error.code == 1012 else "idle, lost"] += 1
            self.told.append(trio.current_time())
        except (OSError, HandshakeError) as error:
            self._note_refusal("idle, refused", error)
            is_open.set()
            return
        try:
            async with connect_endpoint(url, timeouts=PATIENT) as connection:
                await connection.receive()
                self.counts["idle, back"] += 1
        except (ConnectionClosed, OSError, HandshakeError) as error:
            self._note_refusal("idle, refused", error)

    def _note_refusal(self, what: str, error: Exception) -> None:
        self.counts[what] += 1
        print(f"{what}: {error!r}", file=sys.stderr)


async def kill_one(program: Running, residents: int) -> dict[str, int]:
    """Kill a worker with connections on each; return which were lost."""
    victim = next(iter(program.workers))
    counts = Counter[str]({"lost, of the killed worker": 0, "lost, of the others": 0})

    async def watch(connection: Connection, pid: int) -> None:
        try:
            await connection.receive()
        except ConnectionClosed:
            counts["lost, of the killed worker" if pid == victim else "lost, of the others"] += 1

    async with AsyncExitStack() as stack:
        held = []
        for _ in range(residents):
            connection = await stack.enter_async_context(connect_endpoint(program.url))
            held.append((connection, int(await connection.receive())))
        counts["held, on the killed worker"] = sum(pid == victim for _, pid in held)
        counts["held, on the others"] = len(held) - counts["held, on the killed worker"]
        async with trio.open_nursery() as nursery:
            for connection, pid in held:
                nursery.start_soon(watch, connection, pid)
            os.kill(victim, signal.SIGKILL)
            await program.until(lambda state: state["deaths"] >= 1)
            await program.serving()
            nursery.cancel_scope.cancel()
    return dict(counts)


async def roll_idle(program: Running, met: Met, count: int, drain: float) -> dict[str, Any]:
    """Roll once with so many idle WebSockets; return when they were told."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            is_open = trio.Event()
            nursery.start_soon(met.idle, program.url, is_open)
            await is_open.wait()
        program.send(signal.SIGHUP)
        await program.until(lambda state: state["phase"] == "retiring")
        began = trio.current_time()
        await program.serving(rolls=1)
    quarters = Counter(min(max(int((at - began) / drain * 4), 0), 4) for at in met.told)
    names = [*(f"in quarter {n + 1} of the drain" for n in range(4)), "later"]
    return {name: quarters[n] for n, name in enumerate(names)}


async def kill_parent(program: Running) -> float:
    """Kill the parent; return the seconds until no worker runs and the port is free."""
    program.process.kill()
    began = trio.current_time()
    await all_gone(program.seen)
    await port_is_free(program.port)
    return round(trio.current_time() - began, 3)


async def roll_under_load(folder: Path, met: Met, rolls: int, clients: int) -> dict[str, Any]:
    """Kill a worker, and roll so often while clients come and go; return what happened."""
    async with running(folder, drain=1.0, settle=0.2) as program:
        await program.serving()
        found: dict[str, Any] = {"a worker is killed": await kill_one(program, 40)}
        descriptors = len(os.listdir(f"/proc/{program.pid}/fd"))
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(met.visit, program.url)
            for done in range(1, rolls + 1):
                program.send(signal.SIGHUP)
                await program.serving(rolls=done)
            nursery.cancel_scope.cancel()
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text()
        found["zombies"] = len(children.split()) - len(program.workers)
        found["descriptors more"] = len(os.listdir(f"/proc/{program.pid}/fd")) - descriptors
        found["seconds from the kill of the parent to a free port"] = await kill_parent(program)
    return found


async def main(rolls: int, clients: int, idle: int, drain: float = DRAIN) -> dict[str, Any]:
    """Kill, roll and kill; then one more roll with idle WebSockets; return what happened."""
    met = Met()
    with tempfile.TemporaryDirectory() as folder:
        found = await roll_under_load(Path(folder), met, rolls, clients)
    if idle:
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder), drain=drain, settle=0.2) as program:
                await program.serving()
                found["idle WebSockets were told 1012"] = await roll_idle(program, met, idle, drain)
    return {**found, f"{rolls} rolls": dict(met.counts)}


def faults_of(found: dict[str, Any]) -> int:
    """Return how much there is of what must not be."""
    bad = ("refused", "lost", "idle, lost", "idle, refused", "lost, of the others")
    counts = [value for part in found.values() if isinstance(part, dict) for value in part.items()]
    faults = sum(number for name, number in counts if name in bad)
    return int(faults + found["zombies"] + abs(found["descriptors more"]))
