"""Measures what a connection costs the server, in each phase: `python -m tests.limits.measure`.

A server runs in a fresh process, whose resident memory is read before and after `COUNT`
connections (plain sockets of this process) have been brought into the phase.  The figures of
`docs/limits.md` come from here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trio_wsendpoint import BinaryFrame, Deflate, TextFrame
from trio_wsendpoint.handshake import ClientHandshake, serialize_request

KIB = 1024
MASK = b"\x01\x02\x03\x04"


@dataclass(frozen=True)
class Phase:
    """A phase, how many connections to measure it with, and what brings one into it."""

    name: str
    count: int
    #: KiB that a connection may cost; `docs/limits.md` says the same.
    most: float
    bring: Callable[[int], socket.socket]
    #: What the server is told: "echo" answers, "deaf" does not read, "talker" sends to a deaf peer.
    handler: str = "echo"


# ---- the server's process ----------------------------------------------------------------------


def rss() -> int:
    """Return the resident memory of this process in bytes, freed memory given back."""
    import ctypes

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4 * KIB


def serve(kind: str) -> None:
    """Serve, and answer each line on standard input with the counts and the memory."""
    import trio

    from trio_wsendpoint import Connection, Heartbeat, Timeouts, serve_endpoint

    async def handler(connection: Connection) -> None:
        if kind == "echo":
            async for message in connection:
                await connection.send(message)
        elif kind == "talker":
            while True:
                await connection.send(b"x" * KIB)
        else:
            await trio.sleep_forever()

    async def main() -> None:
        timeouts = Timeouts(open=3600, write=3600)
        async with serve_endpoint(
            handler,
            0,
            host="127.0.0.1",
            heartbeat=Heartbeat(interval=3600),
            deflate=Deflate(),
            timeouts=timeouts,
        ) as server:
            print(json.dumps({"port": server.port}), flush=True)
            async with trio.open_nursery() as nursery:
                while await trio.to_thread.run_sync(sys.stdin.readline):
                    counts = server.statistics()
                    received = sum(one.statistics().bytes_received for one in server.connections)
                    sent = sum(one.statistics().bytes_sent for one in server.connections)
                    told = {"rss": rss(), "open": counts.connections, "opening": counts.opening}
                    print(json.dumps({**told, "moved": received + sent}), flush=True)
                nursery.cancel_scope.cancel()

    trio.run(main)


# ---- the peers ---------------------------------------------------------------------------------


def opened(port: int, *, deflate: bool = False) -> socket.socket:
    """Return a socket that has gone through the opening handshake."""
    handshake = ClientHandshake(
        f"ws://127.0.0.1:{port}/", extensions=[Deflate()] if deflate else []
    )
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(serialize_request(handshake.request()))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += peer.recv(1)
    return peer


def half_opened(port: int) -> socket.socket:
    """Return a socket that has sent nearly all of the largest head, and will not end it."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (16 * KIB - 64))
    return peer


def compressed(port: int) -> socket.socket:
    """Return a socket whose server has both compressed and inflated a message."""
    accepted = Deflate().accept_answer([("server_max_window_bits", "12")])
    peer = opened(port, deflate=True)
    payload = accepted.encode(b"0123456789abcdef" * 256, final=True)
    peer.sendall(TextFrame(payload, rsv=4, mask=MASK).to_bytes())
    peer.recv(1)
    return peer


def full(port: int) -> socket.socket:
    """Return a socket that sends as much as the server will take, to an app that reads nothing."""
    peer = opened(port)
    peer.setblocking(False)
    # Just below the budget, then a message of the largest size: the worst that may be held.
    data = BinaryFrame(b"x" * (63 * KIB), mask=MASK).to_bytes()
    data += BinaryFrame(b"x" * (1024 * KIB), mask=MASK).to_bytes()
    view = memoryview(data)
    for _ in range(1000):
        if not view:
            break
        try:
            view = view[peer.send(view) :]
        except BlockingIOError:
            import time

            time.sleep(0.002)  # the server reads on until its budget is used up
    return peer


def flooding(port: int) -> socket.socket:
    """Return a socket that sends to an echo as much as the server will take, and reads nothing."""
    peer = opened(port)
    peer.settimeout(0.2)
    frame = BinaryFrame(b"x" * (60 * KIB), mask=MASK).to_bytes()
    view = memoryview(frame * 128)
    with contextlib.suppress(TimeoutError):
        while view:
            view = view[peer.send(view[: 64 * KIB]) :]
    return peer


PHASES = (
    Phase("before the 101", 200, 64, half_opened),
    Phase("idle", 500, 16, opened),
    Phase("idle, compression agreed", 500, 18, lambda port: opened(port, deflate=True)),
    Phase("idle, compression used", 200, 96, compressed),
    Phase("busy, the app does not read", 40, 256, full, "deaf"),
    Phase("busy, the peer does not read", 40, 256, opened, "talker"),
    Phase("busy, an echo whose peer does not read", 20, 256, flooding),
)


def measure(phase: Phase) -> float:
    """Return the KiB that a connection costs in `phase`."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.limits.measure", "--serve", phase.handler],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("pipes were asked for")
    try:
        port = json.loads(server.stdout.readline())["port"]

        def ask() -> dict[str, int]:
            print("?", file=server.stdin, flush=True)
            told: dict[str, int] = json.loads(server.stdout.readline() if server.stdout else "{}")
            return told

        def settled() -> dict[str, int]:
            """Ask until nothing moves any more."""
            told = ask()
            while True:
                again = ask()
                if all(again[key] == told[key] for key in ("open", "opening", "moved")):
                    return again
                told = again

        warm = [phase.bring(port) for _ in range(4)]
        before = settled()["rss"]
        peers = [phase.bring(port) for _ in range(phase.count)]
        after = settled()
        if after["open"] + after["opening"] != phase.count + len(warm):
            raise RuntimeError(f"not every connection is in the phase: {after}")
        for peer in warm + peers:
            peer.close()
    finally:
        server.stdin.close()
        server.kill()
        server.wait()
        server.stdout.close()
    return (after["rss"] - before) / phase.count / KIB


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        for one in PHASES:
            print(f"{one.name}: {measure(one):.1f} KiB a connection (most {one.most} KiB)")
