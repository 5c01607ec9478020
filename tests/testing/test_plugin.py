"""The fixtures, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trio_wsendpoint.testing import plugin

ROOT = Path(__file__).parents[2]

CONFTEST = 'pytest_plugins = ["trio_wsendpoint.testing.plugin"]\n'
TESTS = """
import trio
from trio_wsendpoint import connect_endpoint, serve_endpoint

seeds = []

async def test_connection(connection_pair, seeded_bytes):
    async with connection_pair(client={"random_bytes": seeded_bytes}) as (client, server):
        await client.send("x")
        assert await server.receive() == "x"

async def test_network(memory_network):
    async def greet(connection):
        await connection.send("welcome")
    async with serve_endpoint(greet, listeners=[memory_network.listen()]):
        stream = await memory_network.connect()
        async with connect_endpoint("ws://server/", stream=stream) as connection:
            assert await connection.receive() == "welcome"

def test_seed(seed, seeded_bytes):
    print("seed", seed, seeded_bytes(4).hex())

def test_other_seed(seed, seeded_bytes):
    print("seed", seed, seeded_bytes(4).hex())

async def test_server(serve_in_memory):
    async def greet(connection):
        await connection.send("welcome")
    async with serve_in_memory(greet) as served, served.connect("/x") as connection:
        assert await connection.receive() == "welcome"

async def test_leak(memory_network):
    memory_network.listen()
    await memory_network.connect()
"""


def run_pytest(tmp_path: Path) -> str:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    options: list[str | Path] = [
        "-q",
        "-rP",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]
    command = [sys.executable, "-m", "pytest", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return str(run.stdout)


def test_the_fixtures(tmp_path: Path) -> None:
    first, second = run_pytest(tmp_path), run_pytest(tmp_path)
    assert "6 passed, 1 error" in first
    assert "left open on the network: [<NonBlockingMemoryStream client>, " in first
    seeds = [line for line in first.splitlines() if line.startswith("seed ")]
    assert len(set(seeds)) == 2
    assert seeds == [line for line in second.splitlines() if line.startswith("seed ")]


def test_the_kit_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import trio_wsendpoint.testing"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# The same fixtures here, for this module alone.
connection_pair = plugin.connection_pair
memory_network = plugin.memory_network
seed = plugin.seed
seeded_bytes = plugin.seeded_bytes


async def test_fixtures_together(memory_network, connection_pair, seed, seeded_bytes) -> None:
    streams = memory_network.pair()
    async with connection_pair(
        streams=streams, handshake=True, client={"random_bytes": seeded_bytes}
    ) as (client, server):
        await client.send(str(seed))
        assert await server.receive() == str(seed)
