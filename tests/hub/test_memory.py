"""The backplane in memory: what any must do, and the faults that it can be told to have."""

from __future__ import annotations

import math

import pytest

from tests.hub.backplane_conformance import (
    KEPT,
    Conformance,
    follow,
    messages_of,
    publish,
    reason_of,
    running,
)
from trio_wsendpoint.hub import (
    BackplaneDown,
    Gap,
    History,
    MemoryBackplane,
    MemoryServer,
    PublishUnsure,
)


class MemoryLab:
    def __init__(self) -> None:
        self.servers = {
            True: MemoryServer(history=History(entries=KEPT)),
            False: MemoryServer(),
        }

    def make(self, *, history: bool) -> MemoryBackplane:
        return MemoryBackplane(self.servers[history])

    async def stop(self) -> None:
        for server in self.servers.values():
            server.stop()

    async def start(self) -> None:
        for server in self.servers.values():
            server.start()

    async def wipe(self) -> None:
        for server in self.servers.values():
            server.wipe()


class TestMemory(Conformance):
    @pytest.fixture
    def lab(self) -> MemoryLab:
        return MemoryLab()


async def test_one_way_is_lost_and_the_other_is_not() -> None:
    server = MemoryServer(history=History(entries=2))
    one, other = MemoryBackplane(server), MemoryBackplane(server)
    async with running(one) as ear, running(other):
        await follow(one, ear, "t")
        one.disconnect()
        await publish(other, "t", "1", "2")
        one.reconnect()
        assert ear.messages == ["1", "2"]
        assert not ear.all("gap")
        one.disconnect()
        await publish(other, "t", "3", "4", "5")
        one.reconnect()
        assert ear.all("gap") == [("gap", "t", "trimmed", 1)]
        assert ear.messages == ["1", "2", "4", "5"]


async def test_a_frozen_server_executes_what_it_was_sent(autojump_clock: object) -> None:
    one = MemoryBackplane()
    async with running(one) as ear:
        await follow(one, ear, "t")
        one.server.freeze()
        with pytest.raises(PublishUnsure, match="has not answered for 2"):
            await publish(one, "t", "late")
        with pytest.raises(BackplaneDown):
            await one.read("t", last=1)
        assert ear.messages == []
        one.server.thaw()
        assert ear.messages == ["late"]


async def test_repeats_and_losses_show_in_the_numbers() -> None:
    one = MemoryBackplane()
    async with running(one) as ear:
        await follow(one, ear, "t")
        one.server.repeats = True
        await publish(one, "t", "1")
        one.server.repeats = False
        one.server.drops = 2
        await publish(one, "t", "2", "3", "4")
        assert [told[1].number for told in ear.all("entry")] == [1, 1, 4]


async def test_a_lost_tail_is_a_gap_to_a_reader() -> None:
    one = MemoryBackplane(history=History())
    async with running(one):
        first = await publish(one, "t", "1")
        await publish(one, "t", "2", "3")
        one.server.lose("t", 1)
        reading = await one.read("t", after=first)
        assert messages_of(reading) == ["2"]
        assert reading.gap == Gap("t", "trimmed", 1)


async def test_a_topic_that_is_forgotten_begins_anew() -> None:
    server = MemoryServer(history=History(), topics=2)
    one = MemoryBackplane(server)
    async with running(one) as ear:
        await follow(one, ear, "a")
        place = await publish(one, "a", "1")
        await publish(one, "b", "1")
        await publish(one, "c", "1")
        assert ear.all("gap") == [("gap", "a", "restarted", None)]
        reading = await one.read("a", after=place)
        assert reason_of(reading) == "restarted"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"entries": 0}, ValueError, "History.entries must be more than 0, not 0"),
        ({"bytes": 1.5}, TypeError, "History.bytes must be an int, not 1.5"),
        ({"age": math.nan}, ValueError, "History.age must be more than 0, not nan"),
        ({"age": "1"}, TypeError, "History.age must be seconds, not '1'"),
        ({"entries": True}, TypeError, "History.entries must be an int, not True"),
    ],
)
def test_a_history_that_makes_no_sense(options: dict[str, object], error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        History(**options)  # type: ignore[arg-type]


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="topics must be at least 1"):
        MemoryServer(topics=0)
    with pytest.raises(ValueError, match="the server has the history"):
        MemoryBackplane(MemoryServer(), history=History())
