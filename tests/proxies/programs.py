"""Starts a proxy of another project in the foreground, and ends it whatever happens."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

__all__ = ["PATIENCE", "Place", "find_program", "new_place", "running"]

#: Seconds that any step may take, on a machine that does other work too.
PATIENCE = 30
#: Seconds that a proxy has to end after SIGTERM, until it is killed.
STOPPING = 1

_counter = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Where one proxy is: `address` and `port` to connect to, and a folder of its own.

    `backend`: the port of our server, on 127.0.0.1.
    """

    address: str
    port: int
    backend: int
    folder: Path

    @property
    def authority(self) -> str:
        return f"{self.address}:{self.port}"


def new_place(folder: Path, backend: int) -> Place:
    """Choose an address that no other test uses: 127.x.y.z by our process, and a free port.

    So the port stays free until the proxy takes it, and while the proxy restarts.
    """
    pid = os.getpid()
    address = f"127.{64 + (pid >> 8) % 128}.{pid % 256}.{next(_counter) % 250 + 1}"
    with socket.socket() as made:
        made.bind((address, 0))
        return Place(address, made.getsockname()[1], backend, folder)


def find_program(name: str) -> str | None:
    """Return the path of a program, those for administrators included."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


@asynccontextmanager
async def running(
    command: Sequence[str], place: Place
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run a proxy until the block ends, or until it calls what it is given.

    The block is entered once the proxy takes connections.

    Raises `RuntimeError` with its output if it ends before that.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place.folder)}
    log = place.folder / "output"
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=place.folder,
            start_new_session=True,
        )
    try:
        with trio.fail_after(PATIENCE):
            while not await _takes_connections(place):
                if process.poll() is not None:
                    raise RuntimeError(f"{command[0]} has ended: {log.read_text()}")
                await trio.sleep(0.02)
        yield partial(_end, process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _takes_connections(place: Place) -> bool:
    try:
        stream = await trio.open_tcp_stream(place.address, place.port)
    except OSError:
        return False
    await stream.aclose()
    return True


async def _end(process: trio.Process) -> None:
    """Ask the process to end, then kill its session: nothing of it stays behind."""
    with trio.move_on_after(STOPPING):
        process.terminate()
        await process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    await process.wait()
