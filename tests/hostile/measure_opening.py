"""What hostile openings cost: `python -m tests.hostile.measure_opening` prints the figures.

* `cpu_of_heads`: CPU milliseconds for the worst legal heads, from bytes to the 101 or the refusal.
* `memory_per_peer`: KiB that a live server holds for a peer that never finishes a head of 1 MB,
  and for one that says nothing at all.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import socket
import subprocess
import sys
import time
import tracemalloc
from typing import NamedTuple

import trio

from tests.server.helpers import UPGRADE, echo
from trio_wsendpoint import BadRequest, Deflate, Limits, Request, serve_endpoint
from trio_wsendpoint.handshake import (
    RequestReader,
    ServerHandshake,
    serialize_response,
)

__all__ = ["Figures", "answer", "best_cpu", "in_a_fresh_process", "measure", "worst_heads"]

HEAD_SIZE = Limits().head_size
HEADER_COUNT = Limits().header_count


def head(fields, target="/"):
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("iso-8859-1")


def _base(*without):
    return [(name, value) for name, value in UPGRADE.items() if name not in without]


def _filled(fields, name, make, *, lines=1):
    """`fields`, and as much of `make(size)` as fits, in so many headers called `name`."""
    room = HEAD_SIZE - len(head(fields)) - lines * (len(name) + 4)
    return head([*fields, *((name, make(room // lines)) for _ in range(lines))])


def worst_heads():
    """Heads of 16 KiB that break no limit of the head, each hard in its own way."""
    base = _base()
    spare = HEADER_COUNT - len(base)
    return {
        "64 headers": _filled(base, "x", lambda size: "y" * size, lines=spare),
        "one long header": _filled(base, "x", lambda size: "\xff" * size),
        "a long request line": head(base, "/" + "%41" * ((HEAD_SIZE // 2 - 20) // 3)),
        "32 long subprotocols": _filled(
            base, "Sec-WebSocket-Protocol", lambda size: ",".join(["p" * (size // 32 - 1)] * 32)
        ),
        "a row of commas": _filled(base, "Sec-WebSocket-Protocol", lambda size: "," * size),
        "commas in all lists": head(
            [
                *_base("Upgrade", "Connection"),
                *(("Upgrade", "," * 480 + "websocket") for _ in range(8)),
                *(("Connection", "," * 480 + "Upgrade") for _ in range(8)),
                *(("Sec-WebSocket-Protocol", ",\t" * 240) for _ in range(8)),
                *(("Sec-WebSocket-Extensions", ", " * 240) for _ in range(7)),
            ]
        ),
        "blanks in a list": _filled(
            base, "Sec-WebSocket-Protocol", lambda size: "b" + " " * (size - 2) + "x"
        ),
        "32 offers": _filled(
            base,
            "Sec-WebSocket-Extensions",
            lambda size: ", ".join(["permessage-deflate; " + "p" * (size // 16 - 24)] * 16),
        ),
        "quoted backslashes": _filled(
            base,
            "Sec-WebSocket-Extensions",
            lambda size: "permessage-deflate; x=" + '"' + "\\a" * ((size - 30) // 2) + '"',
        ),
        "semicolons": _filled(
            base, "Sec-WebSocket-Extensions", lambda size: "permessage-deflate" + ";" * (size - 20)
        ),
        "8,000 tokens": _filled(base, "Sec-WebSocket-Protocol", lambda size: "t," * (size // 2)),
        "8,000 upgrades": _filled(base, "Upgrade", lambda size: "h," * (size // 2)),
        "a long host": _filled(_base("Host"), "Host", lambda size: "a." * (size // 2)),
        "a long origin": _filled(base, "Origin", lambda size: "http://" + "a." * (size // 2 - 4)),
        "a long key": _filled(
            _base("Sec-WebSocket-Key"), "Sec-WebSocket-Key", lambda size: "A" * size
        ),
        "a long version": _filled(
            _base("Sec-WebSocket-Version"),
            "Sec-WebSocket-Version",
            lambda size: "13," * (size // 3),
        ),
        "a long length": _filled(base, "Content-Length", lambda size: "0" * size),
        "31 tokens a line": _filled(
            base, "Sec-WebSocket-Protocol", lambda size: "a, b" + " " * (size - 4), lines=16
        ),
    }


def answer(data, cut=HEAD_SIZE):
    """What a server makes of a request that comes in pieces of `cut` bytes: bytes to write."""
    reader = RequestReader()
    try:
        request = None
        for at in range(0, len(data), cut):
            request = reader.receive_data(data[at : at + cut]) or request
        if request is None:
            return b""
        handshake = ServerHandshake(extensions=[Deflate()], subprotocols=["chat"])
        _ = request.is_upgrade, request.path, request.query, request.subprotocols
        return serialize_response(handshake.answer(request), request)
    except BadRequest as error:
        return serialize_response(error.response)


def best_cpu(function, *, runs=7):
    """CPU seconds of this thread for one call: the best of several, which noise cannot lower."""
    best = float("inf")
    gc.disable()
    try:
        for _ in range(runs):
            began = time.thread_time()
            function()
            best = min(best, time.thread_time() - began)
    finally:
        gc.enable()
    return best


def cpu_of_heads(cut=HEAD_SIZE, runs=7):
    """Milliseconds of CPU for each of `worst_heads`."""
    return {
        name: 1000 * best_cpu(lambda data=data: answer(data, cut), runs=runs)
        for name, data in worst_heads().items()
    }


async def memory_per_peer(peers=120, total=1_000_000):
    """KiB that a live server holds for each of `peers`: (silent ones, ones within a head)."""
    limits = Limits()
    async with serve_endpoint(echo, 0, host="127.0.0.1", limits=limits) as server:
        # Unfinished to the last byte that is read: the next one gets 431.
        piece = b"x: " + b"y" * 995 + b"\r\n"
        unfinished = (b"GET / HTTP/1.1\r\nHost: a\r\n" + piece * (total // len(piece)))[
            : limits.head_size - 1
        ]
        clients = []

        async def connect(count, data):
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(count):
                client = socket.create_connection(("127.0.0.1", server.port))
                clients.append(client)
                for at in range(0, len(data), 1460):
                    client.send(data[at : at + 1460])
                    if at % 8760 == 0:
                        await trio.sleep(0)
            while server.statistics().opening < len(clients):
                await trio.sleep(0.01)
            for _ in range(50):
                await trio.sleep(0.002)
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / count / 1024

        await connect(20, unfinished)  # what is made only once
        silent = await connect(peers // 2, b"")
        within = await connect(peers // 2, unfinished)
        for client in clients:
            client.close()
    return silent, within


def blanks_in_a_list():
    """Row A13: a long row of blanks in the middle of one item."""
    return head([*UPGRADE.items(), ("Sec-WebSocket-Protocol", "b" + " " * 8000 + "x")])


def cpu_of_lists():
    """Row A14: milliseconds for 120 lines of 4,000 tokens, had the head no limit of its own."""
    handshake = ServerHandshake()
    slowest = 0.0
    for name in ("Connection", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"):
        request = Request("/", [*_base(name), *[(name, ",".join(["t"] * 4000))] * 120])

        def parse(request=request):
            with contextlib.suppress(BadRequest):
                handshake.answer(request)

        slowest = max(slowest, best_cpu(parse))
    return 1000 * slowest


class Figures(NamedTuple):
    """Milliseconds of CPU, and KiB."""

    worst_head: float
    blanks: float
    lists: float
    silent: float
    unfinished: float


def measure():
    """Return all `Figures`."""
    blanks = 1000 * best_cpu(lambda: answer(blanks_in_a_list()))
    worst = max(cpu_of_heads().values())
    lists = cpu_of_lists()
    tracemalloc.start()
    silent, unfinished = trio.run(memory_per_peer)
    tracemalloc.stop()
    return Figures(worst, blanks, lists, silent, unfinished)


@functools.cache
def in_a_fresh_process():
    """`measure()`, with nothing else in the process: no other test, no coverage."""
    code = "from tests.hostile.measure_opening import measure; print(*measure())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return Figures(*map(float, done.stdout.split()))


def main():
    """Print the figures."""
    heads = cpu_of_heads()
    for name, milliseconds in sorted(heads.items(), key=lambda item: -item[1]):
        status = answer(worst_heads()[name])[9:12].decode()
        print(f"{milliseconds:8.3f} ms  {status}  {name}")
    print(f"{max(cpu_of_heads(1460, 3).values()):8.3f} ms  the worst in segments of 1,460 bytes")
    print(f"{max(cpu_of_heads(1, 1).values()):8.3f} ms  the worst in {HEAD_SIZE} of one byte each")
    figures = in_a_fresh_process()
    print(f"{figures.blanks:8.3f} ms  8,000 blanks in a list (A13: less than 1 ms)")
    print(f"{figures.lists:8.3f} ms  lists of 480,000 tokens (A14: at most 5 ms)")
    print(f"{figures.worst_head:8.3f} ms  the worst legal head (at most 5 ms)")
    adds = figures.unfinished - figures.silent
    print(f"{adds:8.1f} KiB that a head of 1 MB adds which is never finished (at most 20 KiB)")
    print(
        f"{figures.silent:8.1f} KiB for the opening itself: {figures.unfinished:.1f} KiB together"
    )


if __name__ == "__main__":
    main()
