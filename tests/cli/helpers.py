"""The command in a process of its own, with real pipes; and its parts without one."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager

import trio

from tests.examples.programs import PATIENCE, ROOT
from trio_wsendpoint.cli.output import Form, Output


async def command(*arguments, input=b"", env=(), **options):
    """Run the command to its end; return what `subprocess.run` would."""
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            [sys.executable, "-W", "error", "-m", "trio_wsendpoint", *map(str, arguments)],
            stdin=input,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env=environment(env),
            **options,
        )


def environment(changes=()):
    """This process's environment, without what a user's would change."""
    names = ("NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "TERM": "xterm", **dict(changes)}


@asynccontextmanager
async def running_command(*arguments, env=(), cwd=ROOT):
    """Run the command for the length of a block, with pipes for all three streams."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-m", "trio_wsendpoint", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment({"PYTHONPATH": str(ROOT), **dict(env)}),
    )
    try:
        with trio.fail_after(PATIENCE):
            yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)


async def read_until(stream, text, found=b""):
    """Return what `stream` gives until `text` is in it, or its end."""
    while text not in found:
        data = await stream.receive_some(65536)
        if not data:
            break
        found += data
    return found


class Memory:
    """An output in memory: `data` is what stdout would get, `notes` what stderr would."""

    def __init__(self, **form):
        self.data = b""
        self.notes: list[str] = []
        self.output = Output(self, self.notes.append, Form(**form))

    async def write(self, data):
        await trio.lowlevel.checkpoint()
        self.data += data
