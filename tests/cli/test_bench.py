"""`bench`: its figures agree with each other, under a clock that jumps."""

from __future__ import annotations

import json

import pytest
import trio

from tests.cli.helpers import command
from trio_wsendpoint import serve_endpoint
from trio_wsendpoint.cli.bench import Bench, Load
from trio_wsendpoint.cli.histogram import Histogram
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.testing import MemoryNetwork


async def after_10_ms(connection):
    async for message in connection:
        await trio.sleep(0.01)
        await connection.send(message)


async def run(handler, **load):
    network = MemoryNetwork()
    plan = Plan.of(Target(url="ws://server/", proxy="none", deflate=False))
    plan.options["open_stream"] = network.open_stream
    async with serve_endpoint(handler, listeners=[network.listen(backlog=100)]):
        return await Bench(plan, Load(**load)).run()


async def test_a_closed_loop(autojump_clock):
    result = await run(after_10_ms, connections=5, in_flight=1, seconds=2.0)
    assert result.opened == 5
    assert result.errors == []
    assert result.times.mean == pytest.approx(0.01, rel=0.01)
    assert result.rate == pytest.approx(500, rel=0.02)
    assert result.in_flight == pytest.approx(5, rel=0.02)
    assert result.is_consistent


async def test_a_queue_is_seen_in_the_times(autojump_clock):
    result = await run(after_10_ms, connections=1, in_flight=4, seconds=2.0)
    assert result.times.mean == pytest.approx(0.04, rel=0.02)
    assert result.is_consistent


async def test_with_a_rate_a_stall_counts(autojump_clock):
    """One second in which nothing is answered: half a second of mean wait for those due in it."""
    stalls = iter([1.0])

    async def stall_once(connection):
        async for message in connection:
            if trio.current_time() > 2.0:
                await trio.sleep(next(stalls, 0.0))
            await connection.send(message)

    result = await run(stall_once, connections=1, seconds=4.0, rate=100.0)
    assert result.times.most == pytest.approx(1.0, rel=0.03)
    assert result.times.percentile(90) > 0.5
    assert result.is_consistent


async def test_a_server_that_closes_is_an_error(autojump_clock):
    async def leave(connection):
        await connection.receive()
        await connection.aclose(1011, "no more")

    result = await run(leave, connections=2, seconds=1.0)
    assert len(result.errors) == 2
    assert result.closed == 2
    assert "error: " in result.lines()[-1]


async def test_it_ends_after_so_many_messages(autojump_clock):
    result = await run(after_10_ms, connections=1, seconds=60.0, messages=50, warmup=0.0)
    assert 50 <= result.times.count < 100


async def test_figures_that_disagree_are_told(autojump_clock):
    result = await run(after_10_ms, connections=5, seconds=1.0)
    result.waiting_area *= 2
    assert not result.is_consistent
    assert any("NOT consistent" in line for line in result.lines())


async def test_connections_are_opened_over_a_time(autojump_clock):
    result = await run(after_10_ms, connections=5, seconds=1.0, ramp=10.0)
    assert result.opened == 5
    assert result.opening_seconds == pytest.approx(8.0, abs=0.1)


def test_percentiles():
    histogram = Histogram()
    for number in range(1, 1001):
        histogram.add(number / 1000)
    assert histogram.percentile(50) == pytest.approx(0.5, rel=0.02)
    assert histogram.percentile(99) == pytest.approx(0.99, rel=0.02)
    assert (histogram.least, histogram.most) == (0.001, 1.0)
    assert histogram.percentile(100) == 1.0
    assert Histogram().percentile(50) == 0.0
    assert Histogram().bars() == []


async def test_in_a_process():
    async with serve_endpoint(after_10_ms, 0) as server:
        options = ["-c", "2", "-z", "0.2", "--warmup", "0", f":{server.port}/"]
        done = await command("bench", *options)
        assert done.returncode == 0, done.stderr
        assert b"opened 2 of 2" in done.stdout
        assert b"\x1b" not in done.stdout + done.stderr
        done = await command("bench", *options, "--output", "json")
        assert json.loads(done.stdout)["opened"] == 2
        done = await command("bench", *options, "--fail-above", "1")
        assert done.returncode == 12
