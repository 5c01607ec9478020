"""`python -m tests.rolls [rolls] [clients]`: rolls the processes, and prints what clients met.

`python -m tests.rolls --workers [rolls] [clients] [idle]` does so with `serve_workers`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter

import trio

from tests.examples.programs import ROOT
from tests.rolls import workers
from trio_wsendpoint import ConnectionClosed, HandshakeError, connect_endpoint


async def start(number: int) -> trio.Process:
    """Start a process that serves, and wait until it does."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.rolls.server", str(number)],
        pass_fds=[number],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        said = b""
        with trio.fail_after(60):
            while not said.endswith(b"\n"):
                more = bytes(await process.stdout.receive_some())
                assert more, "it ended before it was ready"
                said += more
    except BaseException:
        process.kill()
        raise
    return process


async def stop(process: trio.Process, counts: Counter[str]) -> None:
    """Let a process drain, and count how it ended."""
    process.terminate()
    with trio.fail_after(60):
        status = await process.wait()
    counts["processes that ended in order" if status == 0 else "processes that failed"] += 1
    assert process.stdout is not None
    await process.stdout.aclose()


async def visit(url: str, counts: Counter[str]) -> None:
    """Connect again and again; stay for 20 messages, or until the server says goodbye."""
    while True:
        try:
            async with connect_endpoint(url) as connection:
                counts["opened"] += 1
                for turn in range(20):
                    await connection.send(str(turn))
                    assert await connection.receive() == str(turn)
                    await trio.sleep(0.005)
                counts["finished"] += 1
        except ConnectionClosed as error:
            counts["goodbyes" if error.code == 1012 else "lost"] += 1
        except (OSError, HandshakeError) as error:
            counts["refused"] += 1
            print(repr(error), file=sys.stderr)


async def main(rolls: int, clients: int) -> Counter[str]:
    """Roll so often under the load of so many clients; return what they met."""
    counts = Counter[str](opened=0, finished=0, goodbyes=0, lost=0, refused=0)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as shared:
        url = f"ws://127.0.0.1:{shared.getsockname()[1]}/"
        current = await start(shared.fileno())
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(visit, url, counts)
            for _ in range(rolls):
                following = await start(shared.fileno())
                await stop(current, counts)
                current = following
                counts["rolls"] += 1
            nursery.cancel_scope.cancel()
        await stop(current, counts)
    return counts


def numbers(texts: list[str], *otherwise: int) -> list[int]:
    """Return the arguments, completed."""
    given = [int(text) for text in texts]
    return (given + list(otherwise[len(given) :]))[: len(otherwise)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--workers"]:
        rolls, clients, idle = numbers(sys.argv[2:], 10, 20, 2000)
        found = trio.run(workers.main, rolls, clients, idle)
        print(json.dumps(found, indent=2))
        sys.exit(workers.faults_of(found) > 0)
    rolls, clients = numbers(sys.argv[1:], 10, 20)
    met = trio.run(main, rolls, clients)
    print(json.dumps(met, indent=2))
    sys.exit(met["refused"] + met["lost"] + met["processes that failed"] > 0)
