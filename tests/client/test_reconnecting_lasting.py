"""A channel that stays connected for long: outages, floods of drops, renewed connections."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio

from tests.client.reconnecting_world import until, world
from trio_wsendpoint import Backoff, GaveUp, Heartbeat, ReconnectState, Timeouts
from trio_wsendpoint.testing import Faults

HOUR = 3600.0
#: A heartbeat that does not keep the clock of a long test busy.
SLOW = Heartbeat(interval=HOUR)


def names_of_tasks():
    """Count the tasks of the library by name."""

    def below(task):
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield child
                yield from below(child)

    root = trio.lowlevel.current_root_task()
    assert root is not None
    return Counter(task.name for task in below(root) if task.name.startswith("trio_wsendpoint"))


async def test_a_day_of_outages(autojump_clock):
    chance = random.Random(1)
    async with world() as served, served.channel(heartbeat=SLOW) as channel:
        outages = 0
        while trio.current_time() < 24 * HOUR:
            await channel.send("here?")
            assert await channel.receive() == "here?"
            await trio.sleep(chance.uniform(0, 900))
            outages += 1
            served.up = False
            served.network.reset()
            await until(lambda: channel.state is ReconnectState.WAITING)
            await trio.sleep(chance.uniform(0, 900))
            served.up = True
        statistics = channel.statistics()
        assert statistics.connections == outages > 50
        # Between them, no more than one try in 22.5 s once it lasts.
        assert statistics.attempts < outages * 12 + statistics.away_for / 22.5


@pytest.mark.parametrize("seed", range(3))
async def test_a_server_that_accepts_and_drops_for_an_hour(seed, autojump_clock):
    async with world() as served:
        served.handler = served.drop
        backoff = Backoff(rng=random.Random(seed))
        async with served.channel(backoff=backoff, heartbeat=SLOW) as channel:
            with trio.move_on_after(HOUR):
                await channel.receive()
            assert 100 < len(served.openings) <= 150
            assert channel.statistics().connections == len(served.connections)


@pytest.mark.parametrize("how", ["refused", "hangs up"])
async def test_a_server_that_does_not_even_accept_for_an_hour(how, autojump_clock):
    async with world() as served:
        served.up = how != "refused"

        async def hang_up(host, port):
            stream = await served.open_stream(host, port)
            stream.reset()
            return stream

        async with served.channel(open_stream=hang_up, heartbeat=SLOW) as channel:
            with trio.move_on_after(HOUR):
                await channel.receive()
            assert 100 < len(served.openings) <= 150


async def test_a_server_that_is_slow_to_answer(autojump_clock):
    async with world(timeouts=Timeouts(open=HOUR)) as served:
        served.stalls = True
        options = {"heartbeat": SLOW, "timeouts": Timeouts(open=10)}
        async with served.channel(**options) as channel:
            await until(lambda: channel.attempts == 5)
            gaps = [b - a for a, b in zip(served.openings, served.openings[1:], strict=False)]
            assert all(10 <= gap <= 10 + 8 for gap in gaps)
            assert set(channel.statistics().decisions) == {"opening-timeout"}
            served.stalls = False
            await channel.send("at last")
            assert await channel.receive() == "at last"
            # Those that were given up are gone.
            await until(lambda: len(served.network.open_streams) == 2)


async def test_one_of_each_task_after_a_thousand_reconnects(autojump_clock):
    async with world() as served, served.channel() as channel:
        await channel.wait_connected()
        await channel.send("x")
        assert await channel.receive() == "x"
        before = names_of_tasks()
        for _ in range(1000):
            served.network.reset()
            await until(lambda: channel.state is not ReconnectState.CONNECTED)
            channel.reconnect_now()
            await channel.wait_connected()
        await trio.sleep(60)
        assert channel.attempts == 1001
        assert names_of_tasks() == before
        assert before["trio_wsendpoint keeper"] == before["trio_wsendpoint line"] == 1
        assert before["trio_wsendpoint heartbeat"] == 2  # the other one is the server's
        assert len(served.network.open_streams) == 2


async def test_a_peer_that_falls_silent(autojump_clock):
    async with world() as served:

        async def send_much(connection):
            await connection.send(bytes(5000))
            await connection.wait_closed()

        async def open_stream(host, port):
            faults = None if served.connections else Faults(stall_at=3000)  # in that message
            return await served.network.connect(server=faults)

        served.handler = send_much
        options = {"heartbeat": Heartbeat(interval=5, max_pings=1), "open_stream": open_stream}
        async with served.channel(**options) as channel:
            assert await channel.receive() == bytes(5000)
            assert len(served.connections) == 2
            assert channel.statistics().decisions["close-lost"] == 1
            # 10 s of silence, 5 s for a Close that the peer does not answer, and the wait.
            assert 10 < trio.current_time() <= 15 + 5
            served.network.reset()


# ---- max_age -------------------------------------------------------------------------------------


async def test_the_next_connection_is_opened_before_the_old_one_is_closed(autojump_clock):
    async with world() as served:
        overlaps = []
        attempts = []

        async def on_connect(connection, attempt):
            attempts.append(attempt)
            overlaps.append(sum(one.is_open for one in served.connections))

        options = {"max_age": 600, "on_connect": on_connect, "heartbeat": SLOW}
        async with served.channel(**options) as channel:
            await trio.sleep(HOUR)
            count = len(served.connections)
            assert 6 <= count <= 7
            assert channel.state is ReconnectState.CONNECTED
            codes = [one.statistics().close_code for one in served.connections]
            assert codes == [1000] * (count - 1) + [None]
            ages = [one.statistics().age for one in served.connections[:-1]]
            assert all(540 <= age <= 602 for age in ages)
            assert channel.statistics().away_for < 1
            assert channel.statistics().failures == 0
        assert overlaps[1:] == [2] * (count - 1)
        assert [attempt.renewing for attempt in attempts] == [False] + [True] * (count - 1)
        assert [attempt.gap for attempt in attempts[1:]] == [0.0] * (count - 1)


async def test_what_the_old_connection_sends_until_it_is_closed_is_received(autojump_clock):
    async with world() as served:

        async def count(connection):
            which = len(served.connections)
            number = 0
            while connection.is_open:
                await connection.send(f"{which} {number}")
                number += 1
                await trio.sleep(0.01)

        served.handler = count
        received = []
        async with served.channel(max_age=10, heartbeat=SLOW) as channel:
            with trio.move_on_after(35):
                async for message in channel:
                    received.append(tuple(map(int, str(message).split())))  # noqa: PERF401
        # In order, without a hole, and the old connection's before the new one's.
        assert {which for which, _ in received} == {1, 2, 3, 4}
        assert received == sorted(received)
        for each in (1, 2, 3):
            numbers = [number for which, number in received if which == each]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) >= 900


async def test_sends_go_over_to_the_next_connection(autojump_clock):
    async with world() as served, served.channel(max_age=10, heartbeat=SLOW) as channel:
        for number in range(300):
            await channel.send(f"{number}")
            assert await channel.receive() == f"{number}"
            await trio.sleep(0.1)
        assert len(served.connections) >= 3
        assert served.received == [f"{number}" for number in range(300)]


async def test_a_next_connection_that_fails_leaves_the_old_one(autojump_clock):
    async with world() as served, served.channel(max_age=100, heartbeat=SLOW) as channel:
        await channel.wait_connected()
        served.refuse(403, times=3)
        await trio.sleep(130)
        assert len(served.connections) == 2
        await channel.send("still here")
        assert await channel.receive() == "still here"
        assert channel.statistics().decisions["max-age"] == 3
        # If the old one ends meanwhile, the try that is under way decides.
        served.stalls = True
        await until(lambda: channel.state is ReconnectState.RENEWING)
        for stream in served.network.open_streams[:2]:
            stream.reset()
        await until(lambda: channel.state is ReconnectState.CONNECTING)
        served.stalls = False
        served.refuse(403)
        with pytest.raises(GaveUp, match="row 'http-refused'"):
            await channel.receive()
