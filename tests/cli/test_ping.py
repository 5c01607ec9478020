"""`ping`: what it tells and when it fails, with a clock that jumps; and one in a process."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Memory, command
from trio_wsendpoint import Heartbeat, serve_endpoint
from trio_wsendpoint.cli.connect import with_output
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.cli.outcome import CheckFailed, Status, first_error
from trio_wsendpoint.cli.ping import Pinging, ping, summary
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.testing import MemoryNetwork


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def plan_over(network):
    plan = Plan.of(Target(url="ws://server/", proxy="none"))
    plan.options["open_stream"] = network.open_stream
    return plan


async def run(pinging, *, handler=echo, **form):
    network, memory = MemoryNetwork(), Memory(**form)
    async with serve_endpoint(handler, listeners=[network.listen()], heartbeat=None):

        async def program():
            return await ping(plan_over(network), memory.output, Stop(), pinging)

        return await with_output(memory.output, program), memory


async def test_three_pings(autojump_clock):
    outcome, memory = await run(Pinging(count=3))
    assert outcome.status == Status.DONE
    lines = memory.data.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == ["pong 1", "pong 2", "pong 3"]
    assert lines[3].startswith("3 pings, 3 pongs, 0 % lost; min 0.00  avg 0.00  p50 0.00")


async def test_a_pong_that_is_missing_fails(autojump_clock):
    from trio_wsendpoint import ServerEndpoint

    class Mute(ServerEndpoint):
        def on_ping(self, frame):
            """Say nothing."""

    network, memory = MemoryNetwork(), Memory()
    async with serve_endpoint(echo, listeners=[network.listen()], endpoint_class=Mute):
        with pytest.raises(ExceptionGroup) as caught:
            await with_output(
                memory.output,
                lambda: ping(plan_over(network), memory.output, Stop(), Pinging(count=2)),
            )
    assert isinstance(first_error(caught.value), CheckFailed)
    assert b"pong 1: none within 5 s" in memory.data
    assert b"2 pings, 0 pongs, 100 % lost" in memory.data


async def test_a_server_that_closes(autojump_clock):
    async def leave(connection):
        await connection.aclose(4000, "enough")

    outcome, _memory = await run(Pinging(count=3), handler=leave)
    assert outcome.status == Status.CLOSED


def test_the_summary():
    assert summary([0.001, None, 0.003, 0.002]) == (
        "4 pings, 3 pongs, 25 % lost; min 1.00  avg 2.00  p50 2.00  p90 3.00  p99 3.00  max 3.00 ms"
    )
    assert summary([]) == "0 pings, 0 pongs, 0 % lost"


async def test_in_a_process():
    async with serve_endpoint(echo, 0, heartbeat=Heartbeat()) as server:
        done = await command("ping", "-c", "2", "-i", "0.01", f":{server.port}/")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"pong ") == 2
        done = await command("ping", "-c", "1", "--fail-above", "0", f":{server.port}/")
        assert done.returncode == 12
        assert b"is above 0.0 ms" in done.stderr
