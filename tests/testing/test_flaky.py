"""`Flaky`, and the faults that have names."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from trio_wsendpoint import Backoff, reconnecting_endpoint
from trio_wsendpoint.testing import Faults, Flaky, MemoryNetwork, serve_in_memory


def kind_of(faults):
    if faults is None:
        return "refused"
    given = [
        name for name in ("reset_at", "tear_at", "stall_at") if getattr(faults, name) is not None
    ]
    return given[0] if given else "fine"


def test_its_parts():
    flaky = Flaky(seed=1, refuses=0.1, resets=0.2, vanishes=0.3, stalls=0.3)
    seen = Counter(kind_of(flaky.draw()) for _ in range(10_000))
    expected = {"refused": 0.1, "reset_at": 0.2, "tear_at": 0.3, "stall_at": 0.3, "fine": 0.1}
    assert {name: round(count / 10_000, 1) for name, count in seen.items()} == expected


def test_where_it_strikes():
    flaky = Flaky(seed=1, refuses=0, resets=1, within=3)
    drawn = [flaky.draw() for _ in range(100)]
    assert {faults and faults.reset_at for faults in drawn} == {0, 1, 2, 3}


def test_the_same_seed_is_the_same_and_another_is_not():
    def draw(seed):
        flaky = Flaky(seed=seed)
        return [flaky.draw() for _ in range(20)]

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"refuses": -0.1}, r"Flaky\.refuses must be 0 to 1, not -0\.1"),
        ({"stalls": 1.1}, r"Flaky\.stalls must be 0 to 1, not 1\.1"),
        ({"resets": float("nan")}, r"Flaky\.resets must be 0 to 1, not nan"),
        ({"resets": 0.5, "stalls": 0.5}, "more than 1 together"),
        ({"within": -1}, r"Flaky\.within must be at least 0"),
    ],
)
def test_parts_that_are_none(options, says):
    with pytest.raises(ValueError, match=says):
        Flaky(seed=1, **options)


def test_faults_by_name():
    assert Faults.silent() == Faults(stall_at=0)
    assert Faults.silent(after=7) == Faults(stall_at=7)
    assert Faults.resets(after=7) == Faults(reset_at=7)
    assert Faults.vanishes(after=7) == Faults(tear_at=7)
    assert Faults.trickles() == Faults(chop=1, slow=0.1)
    assert Faults.trickles(bytes=5, seconds=2) == Faults(chop=5, slow=2)
    with pytest.raises(ValueError, match="reset_at must be at least 0"):
        Faults.resets(after=-1)


async def test_a_client_that_stays_connected_to_a_flaky_server(autojump_clock):
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    network = MemoryNetwork(server=Flaky(seed=3, refuses=0.3, resets=0.4))
    async with (
        serve_in_memory(echo, network=network),
        reconnecting_endpoint(
            "ws://server/", open_stream=network.open_stream, backoff=Backoff()
        ) as channel,
    ):
        for _ in range(200):
            await channel.send("hello")
            with trio.move_on_after(5):
                assert await channel.receive() == "hello"
        decisions = channel.statistics().decisions
    assert decisions["unreachable"] > 0
    assert decisions["close-lost"] > 0


async def test_a_refusal(autojump_clock):
    network = MemoryNetwork(server=Flaky(seed=1, refuses=1, resets=0))
    async with network.listen():
        with pytest.raises(ConnectionRefusedError):
            await network.connect()
        with pytest.raises(ConnectionRefusedError):
            network.pair()
        assert (await network.connect(server=Faults())).side == "client"
    network.reset()
