"""A message that a stream has twice, because its publisher had no answer: readers see the first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.hub.backplane_conformance import follow, messages_of, publish, running
from tests.hub.helpers import take
from tests.hub.redis.servers import RedisServer, needs_redis
from trio_wsendpoint.hub import History, Position, Publication, open_hub
from trio_wsendpoint.hub.redis import RedisBackplane
from trio_wsendpoint.hub.redis.wire import Names, Sent, to_fields

pytestmark = needs_redis

ORIGIN = "0-0"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes") as one:
        yield one


class Publisher:
    """One that has no answers: it stores messages where, and as often as, a test says."""

    def __init__(self, server: RedisServer, name: str = "silent") -> None:
        self._server = server
        self._name = name

    def store(self, text: str, number: int, floor: str | None = None) -> str:
        """Store a message, sent again if it has a floor; return its id."""
        sent = Sent(Publication("t", text), self._name, number, floor)
        stored = self._server.command("XADD", Names("wsendpoint").key("t"), "*", *to_fields(sent))
        return str(stored)


def make(server: RedisServer) -> RedisBackplane:
    return RedisBackplane(server.url, history=History())


async def test_a_client_that_comes_back_between_the_two_gets_one(server: RedisServer) -> None:
    silent = Publisher(server)
    async with open_hub(backplane=make(server)) as hub:
        floor = (await hub.publish("t", "before")).position
        assert floor is not None
        silent.store("first", 1)
        between = (await hub.publish("t", "between")).position
        silent.store("first", 1, floor.id)
        async with hub.subscribe("t", after=between) as news:
            await hub.publish("t", "behind")
            assert await take(news, 1) == ["behind"]
        async with hub.subscribe("t", after=floor) as news:
            assert await take(news, 3) == ["first", "between", "behind"]
        async with hub.subscribe("t", last=9) as news:
            assert await take(news, 4) == ["before", "first", "between", "behind"]


async def test_one_who_listens_since_between_the_two_gets_none(server: RedisServer) -> None:
    silent = Publisher(server)
    silent.store("first", 1)
    async with open_hub(backplane=make(server)) as hub:
        between = (await hub.publish("t", "between")).position
        async with hub.subscribe("t", after=between) as news:
            silent.store("first", 1, ORIGIN)
            await hub.publish("t", "behind")
            assert await take(news, 1) == ["behind"]
            silent.store("first", 1, ORIGIN)
            await hub.publish("t", "later")
            assert await take(news, 1) == ["later"]


async def test_what_was_sent_again_and_is_the_first_comes(server: RedisServer) -> None:
    silent = Publisher(server)
    async with running(one := make(server)) as ear:
        place = await follow(one, ear, "t")
        silent.store("first", 1, ORIGIN)
        silent.store("second", 2, ORIGIN)
        silent.store("first", 1, ORIGIN)
        await publish(one, "t", "behind")
        await ear.until(lambda: "behind" in ear.messages)
        told = [entry.publication.message for _, entry in ear.all("entry")]
        assert told == ["first", "second", "behind"]
        assert messages_of(await one.read("t", after=place)) == told


async def test_the_first_is_found_however_much_is_between(server: RedisServer) -> None:
    silent, other = Publisher(server), Publisher(server, "other")
    numbers = count(1)
    first = silent.store("first", 1)
    for _ in range(250):
        other.store("between", next(numbers))
    place = other.store("the last before", next(numbers))
    silent.store("first", 1, ORIGIN)
    silent.store("second", 2, first)
    async with running(one := make(server)):
        end = (await one.read("t", last=0)).end
        assert end is not None
        reading = await one.read("t", after=Position("t", end.epoch, place))
        assert messages_of(reading) == ["second"]
        assert reading.end == end


async def test_another_publisher_with_the_same_number_is_no_repeat(server: RedisServer) -> None:
    Publisher(server).store("of one", 1)
    Publisher(server, "other").store("of the other", 1, ORIGIN)
    async with running(one := make(server)):
        assert messages_of(await one.read("t", last=9)) == ["of one", "of the other"]
