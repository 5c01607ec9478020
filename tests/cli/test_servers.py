"""The command and servers that are not ours: `websockets`, aiohttp, and `ws` of Node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
import trio

from tests.cli.helpers import command
from tests.examples.programs import PATIENCE

WEBSOCKETS = """
import asyncio
from websockets.asyncio.server import serve

async def handler(connection):
    async for message in connection:
        if message == "leave":
            await connection.close(4401, "token expired")
            return
        await connection.send(message)

async def main():
    async with serve(handler, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""
AIOHTTP = """
import asyncio
from aiohttp import WSMsgType, web

async def handler(request):
    connection = web.WebSocketResponse()
    await connection.prepare(request)
    async for message in connection:
        if message.data == "leave":
            await connection.close(code=4401, message=b"token expired")
        elif message.type is WSMsgType.BINARY:
            await connection.send_bytes(message.data)
        else:
            await connection.send_str(message.data)
    return connection

async def main():
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""
NODE = """
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
server.on('listening', () => console.log(server.address().port));
server.on('connection', (connection) => {
  connection.on('message', (data, isBinary) => {
    if (data.toString() === 'leave') connection.close(4401, 'token expired');
    else connection.send(data, { binary: isBinary });
  });
});
"""


#: Where Debian's node-ws, and `npm install --global ws`, put it.
NODE_PATH = "/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules"


def has_node_ws():
    if shutil.which("node") is None:
        return False
    done = subprocess.run(["node", "-e", "require('ws')"], capture_output=True, env=with_node())
    return done.returncode == 0


def with_node():
    return {**os.environ, "NODE_PATH": NODE_PATH}


PROGRAMS = {
    "websockets": [sys.executable, "-c", WEBSOCKETS],
    "aiohttp": [sys.executable, "-c", AIOHTTP],
    "ws": ["node", "-e", NODE],
}


@asynccontextmanager
async def running(name):
    if name == "ws" and not has_node_ws():
        pytest.skip("Node's ws is not installed")
    if name != "ws":
        pytest.importorskip(name)
    process = await trio.lowlevel.open_process(
        PROGRAMS[name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=with_node(),
    )
    output = process.stdout
    assert output is not None
    try:
        with trio.fail_after(PATIENCE):
            found = b""
            while not found.endswith(b"\n"):
                found += await output.receive_some()
        yield f":{int(found)}/"
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        await trio.aclose_forcefully(output)


@pytest.mark.peer
@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_server_of_another_library(name):
    async with running(name) as url:
        done = await command("connect", url, "-n", "2", input="häé\nworld\n".encode())
        assert (done.returncode, done.stdout) == (0, "häé\nworld\n".encode()), done.stderr
        done = await command("connect", url, "-n", "1", "--binary", "hex", input=b"00ff\n")
        assert done.stdout == b"00ff\n"
        done = await command("connect", url, input=b"leave\n")
        assert done.returncode == 10
        assert b'the peer closed first: 4401 "token expired"' in done.stderr
        done = await command("ping", "-c", "2", "-i", "0.01", url)
        assert done.returncode == 0
        assert b"2 pings, 2 pongs" in done.stdout
        done = await command("doctor", url)
        assert done.returncode == 0, done.stdout
        done = await command("bench", url, "-z", "0.3", "-c", "2", "--warmup", "0")
        assert done.returncode == 0, done.stdout
