"""examples/shared_chat.py: two processes, a Redis, and clients that come, go, and come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from tests.examples.programs import EXAMPLES, PATIENCE, running
from tests.hub.redis.servers import RedisServer, needs_redis
from trio_wsendpoint import Connection, connect_endpoint

NAME = "shared_chat.py"
pytestmark = needs_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


async def until(connection: Connection, condition: Callable[[Any], object]) -> Any:
    """Return the first message that fits."""
    with trio.fail_after(PATIENCE):
        while not condition(message := json.loads(await connection.receive())):
            pass
        return message


async def say(connection: Connection, text: str) -> None:
    """Say something, and wait until it has come round."""
    await connection.send(text)
    await until(connection, lambda message: message.get("text") == text)


async def test_two_processes_are_one_room(redis):
    async with (
        running(EXAMPLES / NAME, "0", redis.url) as one,
        running(EXAMPLES / NAME, "0", redis.url) as other,
    ):
        here, there = await one.read_url(), await other.read_url()
        async with connect_endpoint(f"{here}?name=ann") as ann:
            await until(ann, lambda message: message.get("here") == ["ann"])
            async with connect_endpoint(f"{there}?name=bob") as bob:
                await until(ann, lambda message: message.get("here") == ["ann", "bob"])
                await bob.send("hello")
                heard = await until(ann, lambda message: message.get("text") == "hello")
                assert heard["who"] == "bob"
            await until(ann, lambda message: message.get("here") == ["ann"])
            for text in "123":
                await say(ann, text)
            # bob comes back with his place, to the other process
            async with connect_endpoint(f"{here}?name=bob&after={heard['place']}") as bob:
                found = [
                    (await until(bob, lambda message: "here" not in message)).get("text")
                    for _ in range(3)
                ]
                assert found == ["1", "2", "3"]
            async with connect_endpoint(f"{there}?name=eve") as eve:
                assert (await until(eve, lambda message: "text" in message))["text"] == "hello"
        await one.stop()
        await other.stop()


async def test_a_process_that_was_killed_is_forgotten(redis):
    async with (
        running(EXAMPLES / NAME, "0", redis.url) as one,
        running(EXAMPLES / NAME, "0", redis.url) as other,
        connect_endpoint(f"{await one.read_url()}?name=ann") as ann,
        connect_endpoint(f"{await other.read_url()}?name=bob") as bob,
    ):
        await until(ann, lambda message: message.get("here") == ["ann", "bob"])
        other.kill()
        await bob.wait_closed()
        await until(ann, lambda message: message.get("here") == ["ann"])
        await one.stop()


async def test_a_redis_that_was_killed_is_told(redis):
    async with running(EXAMPLES / NAME, "0", redis.url) as one:
        async with connect_endpoint(f"{await one.read_url()}?name=ann") as ann:
            for text in "abc":
                await say(ann, text)
            await trio.to_thread.run_sync(redis.kill)
            await trio.to_thread.run_sync(redis.start)
            await ann.send("2")
            heard = await until(ann, lambda message: {"text", "unsaid"} & {*message})
            assert heard.get("text", heard.get("unsaid")) == "2"
        await one.stop()
