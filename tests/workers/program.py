"""A program with workers: `python -m tests.workers.program OPTIONS`, a JSON object.

It prints its state, an object a line, whenever that changes.  Each worker asks `habit`, a file,
how it is to behave; a new content concerns workers that start later.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import trio

from trio_wsendpoint import Backoff, Connection
from trio_wsendpoint.workers import Worker, WorkersFailed, WorkersState, serve_workers


async def handle(connection: Connection) -> None:
    """Say which process this is; then echo."""
    await connection.send(str(os.getpid()))
    async for message in connection:
        await connection.send(message)


async def main(worker: Worker, path: str) -> None:
    """Serve, or behave as the file says."""
    habit = Path(path).read_text()
    if habit == "raises":
        raise ValueError("as the habit says")
    if habit == "hangs":
        await trio.sleep_forever()
    if habit == "blocks":
        time.sleep(1000)
    if habit == "closes":
        os.close(channel_of_this_process())
        await trio.sleep_forever()
    if habit == "babbles":
        os.write(channel_of_this_process(), b"nonsense\n")
        await trio.sleep_forever()
    if habit == "floods":
        while True:
            try:
                os.write(channel_of_this_process(), b"x" * 65536)
            except BlockingIOError:
                await trio.sleep(0)
    if habit == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    await worker.serve(handle)


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


def run(options: dict[str, Any]) -> int:
    habit = options.pop("habit")
    backoff = Backoff(base=0.2, cap=5.0, floor=0.0, healthy=options.pop("healthy", 10.0))
    options.setdefault("listen", ["tcp:127.0.0.1:0"])
    try:
        ended_by = serve_workers(
            main,
            arguments=[habit],
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
