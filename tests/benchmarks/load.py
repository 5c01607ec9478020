"""The load generator: a process of its own that keeps one server busy.

It may share the core with the server, so it is light: its frames are made beforehand, what comes
back is counted in bytes, and where there is a C compiler its loops are compiled.  It reads
commands, a line of JSON each, and answers each with a line; it ends with its input.

`python -m tests.benchmarks.load '{"work": {...}, "port": 1234, "raw": false, "engine": null}'`
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.connections import Load
from tests.benchmarks.engine import Engine
from tests.benchmarks.loops import allow_many_files, open_and_close, run


def obey(load: Load, engine: Engine | None, command: dict[str, Any]) -> dict[str, float]:
    """Do one command: {"open": connections}, {"churn": connections} or {"run": seconds}.

    The last one may have a "pause", in seconds: see `loops.run`.
    """
    if "open" in command:
        load.open(command["open"])
        return {}
    if "churn" in command:
        for _ in range(command["churn"]):
            open_and_close(load)
        return {}
    started, awake = time.perf_counter(), awake_time()
    done = run(load, command["run"], engine, command.get("pause", 0.0))
    return done.to_json(time.perf_counter() - started, awake_time() - awake)


def awake_time() -> float:
    """Return the seconds in which this process has run, or waited for its core.

    All the rest of the time it has waited for the server.
    """
    try:
        ran, waited, _ = Path("/proc/self/schedstat").read_text().split()
    except (OSError, ValueError):  # this kernel does not count
        return time.process_time()
    return (int(ran) + int(waited)) / 1e9


def main() -> None:
    allow_many_files()
    told = json.loads(sys.argv[1])
    load = Load(told["work"], told["port"], told["raw"], socketio=told.get("socketio", False))
    engine = None if told["engine"] is None else Engine(Path(told["engine"]))
    gc.disable()
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = obey(load, engine, json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no figure
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:  # the harness was killed
            os._exit(1)
        if "error" in answer:
            return


if __name__ == "__main__":
    main()
