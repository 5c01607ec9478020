"""What the servers have in common: their options, and the pipe on which they are asked.

A server prints one line of JSON with its port, then answers each line on its standard input, with
its resident bytes as a rule.  When the input ends, so does the process.  A thread does this: it
sleeps in a system call during a round, so that it costs the loop that is measured nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import socket
import ssl
import sys
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
#: Bytes that a message may have, for every library.
MESSAGE_SIZE = 2 * 1024 * 1024
#: Seconds: those that keep connections alive by default keep doing it, but never in a measurement.
NEVER = 3600
#: Requests that a connection may bring, for every library.
REQUESTS = 1_000_000_000
#: What answers a request for a page.
PAGE = b"x" * 125
#: Connections that the system holds until they are accepted.
BACKLOG = 1024


@dataclass(frozen=True)
class Options:
    """What a server is told: `mode` is "echo", or "broadcast" to send all to everyone.

    `by`: what sends it to everyone, of a server that has several ways.  `redis`: the URL of the
    server through which it reaches those of other workers.  `policy`: of a hub's subscribers.
    """

    port: int
    mode: str
    deflate: bool
    tls: ssl.SSLContext | None
    uvloop: bool
    by: str = "broadcast"
    redis: str | None = None
    policy: str = "drop_oldest"


def read_options() -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", choices=["echo", "broadcast"], default="echo")
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--cert", type=Path, help="a PEM file with a key and its certificates")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--by", choices=["broadcast", "send", "hub"], default="broadcast")
    parser.add_argument("--redis")
    parser.add_argument("--policy", choices=["drop_oldest", "latest"], default="drop_oldest")
    told = parser.parse_args()
    context = None
    if told.cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(told.cert)
    return Options(
        port=told.port,
        mode=told.mode,
        deflate=told.deflate,
        tls=context,
        uvloop=told.uvloop,
        by=told.by,
        redis=told.redis,
        policy=told.policy,
    )


def announce(port: int, tell: Callable[[], object] | None = None) -> None:
    """Say that the server listens, and answer questions from now on, by what `tell` returns."""
    _say({"port": port, "compiled": compiled_modules()})
    threading.Thread(target=_answer, args=[tell or resident], daemon=True).start()


def compiled_modules() -> list[str]:
    """Return the names of the modules of ours that are machine code."""
    return sorted(
        name
        for name, module in sys.modules.items()
        if name.startswith("trio_wsendpoint.")
        and (getattr(module, "__file__", None) or "").endswith((".so", ".pyd"))
    )


def listen(port: int) -> socket.socket:
    """Return a socket that listens, for libraries that do not tell their port."""
    # Only for what says that it is TCP asyncio sets TCP_NODELAY.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def _answer(tell: Callable[[], object]) -> None:
    for _ in sys.stdin:
        _say(tell())
    os._exit(0)


def resident() -> int:
    """Return the resident bytes of this process, after what is free has been given back.

    With PYTHONTRACEMALLOC, return the bytes that Python's objects have, without what is free.
    """
    gc.collect()
    if tracemalloc.is_tracing():
        return tracemalloc.get_traced_memory()[0]
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Rss")


def run_asyncio(main: Callable[[Options], Awaitable[None]]) -> None:
    """Run `main` on asyncio's loop, or on uvloop's if that is asked for."""
    options = read_options()
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_await(main, options))


async def _await(main: Callable[[Options], Awaitable[None]], options: Options) -> None:
    await main(options)
