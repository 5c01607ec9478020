"""A program with workers: `python -m tests.workers.program OPTIONS`, a JSON object.

It prints its state, an object a line, whenever that changes.  Each worker asks `habit`, a file
that the environment names, how it is to behave; a new content concerns workers that start later.
A worker that serves behaves as its client says.  The parent's clock is ahead by the seconds that
the file `ahead` beside that says.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from trio_wsendpoint import Backoff, Connection
from trio_wsendpoint.workers import Worker, WorkersFailed, WorkersState, parent, serve_workers


def habit() -> str:
    return Path(os.environ["HABIT"]).read_text()


if __name__ != "__main__":  # it is a worker that imports this
    if habit() == "fails at import":
        raise ImportError("as the habit says")
    if habit() == "hangs at import":
        time.sleep(1000)
    if habit() == "ends at import":
        os._exit(0)


async def handle(connection: Connection) -> None:
    """Say which process this is; then echo, or behave as the client says."""
    await connection.send(str(os.getpid()))
    async for message in connection:
        if message in HABITS:
            await HABITS[message]()
        await connection.send(message)


async def main(worker: Worker) -> None:
    """Serve, or behave as the file says."""
    if (how := habit()) in HABITS:
        await HABITS[how]()
        if how != "deaf":
            await trio.sleep_forever()
    await worker.serve(handle)


# ---- what a worker may do ----------------------------------------------------------------------


async def fail() -> None:
    raise ValueError("as the habit says")


async def hang() -> None:
    await trio.sleep_forever()


async def block() -> None:
    time.sleep(1000)


async def close_pipe() -> None:
    os.close(channel_of_this_process())


async def babble() -> None:
    os.write(channel_of_this_process(), b"nonsense\n")


async def flood() -> None:
    """Write what is no message until the parent closes the pipe."""
    await write_on(b"x" * 65536)


async def ask() -> None:
    """Ask without end, and never read an answer."""
    line = json.dumps({"ask": 1}).encode() + b"\n"
    with trio.move_on_after(1):
        await write_on(line * 1000)


async def write_on(data: bytes) -> None:
    while True:
        try:
            os.write(channel_of_this_process(), data)
        except BlockingIOError:
            await trio.sleep(0)
        except OSError:
            return


async def be_deaf() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


async def leave() -> None:
    os._exit(0)


async def crash() -> None:
    faulthandler.disable()
    signal.raise_signal(signal.SIGSEGV)


HABITS: dict[object, Callable[[], Awaitable[None]]] = {
    "raises": fail,
    "hangs": hang,
    "blocks": block,
    "closes": close_pipe,
    "babbles": babble,
    "floods": flood,
    "asks": ask,
    "deaf": be_deaf,
    "leaves": leave,
    "crashes": crash,
}


def channel_of_this_process() -> int:
    return int(sys.argv[2])


def print_state(state: WorkersState) -> None:
    told = {
        "phase": state.phase,
        "workers": {one.pid: one.phase for one in state.workers},
        "queued": state.is_roll_queued,
        "addresses": state.addresses,
        "rolls": state.rolls,
        "failed": state.failed_rolls,
        "deaths": state.deaths,
        "why": state.last_failure,
        "messages": state.statistics.messages_received,
        "opened": state.statistics.opened,
        "metric": dict(state.metrics.get("openings", {})),
    }
    print(json.dumps(told), flush=True)
    if "BROKEN" in os.environ:
        raise ValueError("on_change is broken")


class Clock:
    """The parent's clock: a test may let time pass."""

    def monotonic(self) -> float:
        ahead = Path(os.environ["HABIT"]).with_name("ahead")
        return time.monotonic() + float(ahead.read_text() if ahead.exists() else 0)


def run(options: dict[str, Any]) -> int:
    vars(parent)["time"] = Clock()
    backoff = Backoff(base=0.2, cap=5.0, floor=0.0, healthy=options.pop("healthy", 10.0))
    options.setdefault("listen", ["tcp:127.0.0.1:0"])
    try:
        ended_by = serve_workers(
            main,
            backoff=backoff,
            on_change=print_state,
            **{"workers": 2, "drain": 0.2, "settle": 0.0, **options},
        )
    except WorkersFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 128 + ended_by


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
