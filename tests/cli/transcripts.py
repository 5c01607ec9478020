"""Runs the commands that the documents show, and puts what they print into the documents.

    python -m tests.cli.transcripts

Each `Scene` is a command line, and the server that it meets.  The pages have a block for each,
below a comment with its name; `test_transcripts.py` compares them, times and ports masked.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trustme

from tests.cli.helpers import environment
from tests.examples.programs import PATIENCE, ROOT
from trio_wsendpoint import Deflate, Response, serve_endpoint

PAGES = [ROOT / "docs" / "command.md", ROOT / "docs" / "command-failures.md"]
BLOCK = re.compile(r"(<!-- transcript: ([\w-]+) -->\n```\n)(.*?)(```)", re.DOTALL)
#: The port that the pages show.
SHOWN_PORT = "8765"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def kick(connection):
    await connection.send("welcome")
    await connection.aclose(4401, "token expired")


async def answer_by_path(opening):
    path = opening.request.path
    if path == "/private":
        return Response(401, {"WWW-Authenticate": "Bearer"}, "no token\n")
    if path != "/":
        return Response(404, body="nothing here\n")
    return None


@asynccontextmanager
async def serving(folder, handler=echo, *, names=(), expires=None, **options):
    """A server on a port of its own, with a certificate for `names` if there are any."""
    if names:
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert(*names, not_after=expires).configure_cert(context)
        options["ssl_context"] = context
    async with serve_endpoint(handler, 0, host="localhost", **options) as server:
        yield server.port


@asynccontextmanager
async def nothing(_folder, **_options):
    """A port at which nothing listens."""
    async with serve_endpoint(echo, 0, host="localhost") as server:
        port = server.port
    yield port


@asynccontextmanager
async def silence(_folder, **_options):
    """A port that accepts, and says nothing."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield listener.socket.getsockname()[1]


@dataclass
class Scene:
    """A command line, with the port that the page shows; what is piped into it; its server."""

    line: str
    input: str = ""
    server: Callable[..., Any] = serving
    options: dict[str, Any] = field(default_factory=dict)


PAST = dt.datetime(2024, 1, 31, tzinfo=dt.UTC)
SCENES = {
    "pipe": Scene("connect :8765/ -n 2", "hello\nworld\n", options={"deflate": Deflate()}),
    "frames": Scene("connect :8765/ -n 1 --frames", "hello\n"),
    "json": Scene("connect :8765/ -q -n 1 --json", "hello\n"),
    "ping": Scene("ping -c 3 -i 0.1 :8765/"),
    "bench": Scene("bench -c 4 -z 1 --warmup 0.2 :8765/"),
    "doctor": Scene("doctor :8765/", options={"deflate": Deflate()}),
    "dns": Scene("connect ws://chat.invalid/"),
    "refused": Scene("connect :8765/", server=nothing),
    "tls-name": Scene(
        "connect wss://localhost:8765/ --cacert ca.pem", options={"names": ["app.example"]}
    ),
    "tls-expired": Scene(
        "doctor wss://localhost:8765/ --cacert ca.pem",
        options={"names": ["localhost"], "expires": PAST},
    ),
    "401": Scene("connect :8765/private", options={"process_request": answer_by_path}),
    "403": Scene("doctor :8765/", options={"origins": ["https://app.example", None]}),
    "404": Scene("connect :8765/chatt", options={"process_request": answer_by_path}),
    "subprotocol": Scene("doctor :8765/ -s chat.v2", options={"subprotocols": ["chat.v1"]}),
    "close": Scene("connect :8765/", options={"handler": kick}),
    "silence": Scene("connect :8765/ --timeout 1", server=silence),
}


async def transcript(name):
    """Run a scene; return what a terminal would show of it, with the port that the page shows."""
    scene = SCENES[name]
    with tempfile.TemporaryDirectory() as folder:
        async with scene.server(Path(folder), **scene.options) as port:
            words = scene.line.replace(f":{SHOWN_PORT}", f":{port}").split()
            with trio.fail_after(PATIENCE):
                done = await trio.run_process(
                    [sys.executable, "-W", "error", "-m", "trio_wsendpoint", *words],
                    stdin=scene.input.encode(),
                    capture_stdout=True,
                    stderr=subprocess.STDOUT,
                    check=False,
                    cwd=folder,
                    env=environment({"PYTHONPATH": str(ROOT)}),
                )
    shown = done.stdout.decode().replace(str(port), SHOWN_PORT)
    piped = f"printf '{scene.input.encode('unicode_escape').decode()}' | " if scene.input else ""
    return f"$ {piped}trio-wsendpoint {scene.line}\n{shown}[status {done.returncode}]\n"


def masked(text):
    """Return a transcript without what differs from run to run."""
    text = re.sub(r"127\.0\.0\.1|\[::1\]", "ADDRESS", text)
    text = re.sub(r"\d[\d,.]* (ms|s|/s|MB/s)\b", r"N \1", text)
    # A machine that has IPv6 has two addresses for this name.
    text = re.sub(r", (::1|ADDRESS)( in N ms)?(?=[ ,\n])", "", text.replace("::1", "ADDRESS"))
    text = re.sub(r"; \('ADDRESS'[^)]*\): Connection refused", "", text)
    text = re.sub(r"Date: .*", "Date: ...", text)
    text = re.sub(r"_ssl\.c:\d+", "_ssl.c:N", text)
    text = re.sub(r'"(time|dns|tcp|answer|total)": [\d.e-]+', r'"\1": N', text)
    text = re.sub(r'"after [\d.]+ s', '"after N s', text)
    if "ping -c" in text or "bench -c" in text:
        text = "\n".join(line for line in text.splitlines() if "|#" not in line)
        text = re.sub(r"\d[\d,.]*", "N", text)
        # How busy the machine is decides.
        text = text.replace("of one core: it is the limit", "of one core")
    return text


async def write_pages():
    """Put a fresh transcript into each block of the pages."""
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(page.read_text()):
            fresh = match[1] + await transcript(match[2]) + match[4]
            text = text.replace(match[0], fresh)
        page.write_text(text)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(write_pages)
