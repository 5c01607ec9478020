"""examples/presence.py: two workers, a Redis, and a worker that is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.examples.programs import EXAMPLES, PATIENCE, running
from tests.hub.redis.servers import RedisServer, needs_redis
from trio_wsendpoint import Connection, connect_endpoint

NAME = "presence.py"
pytestmark = needs_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def connect_when_ready(nursery: trio.Nursery, url: str) -> Connection:
    """Connect, and stay connected until the nursery is cancelled."""

    async def hold(task_status: trio.TaskStatus[Connection]) -> None:
        while True:
            try:
                async with connect_endpoint(url) as connection:
                    task_status.started(connection)
                    await trio.sleep_forever()
            except OSError:  # no worker listens yet
                await trio.sleep(0.1)

    connection: Connection = await nursery.start(hold)
    return connection


async def until_here(connection: Connection, names: list[str]) -> dict[str, Any]:
    """Return the first message whose list is `names`."""
    while (message := json.loads(await connection.receive()))["here"] != names:
        pass
    found: dict[str, Any] = message
    return found


async def test_the_list_survives_a_killed_worker(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS", redis.url)
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        port = listener.socket.getsockname()[1]
    async with running(EXAMPLES / NAME, str(port)) as program:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                url = f"ws://localhost:{port}/?name="
                clients = [await connect_when_ready(nursery, url + name) for name in "abcdef"]
                workers = [
                    (await until_here(client, sorted("abcdef")))["worker"] for client in clients
                ]
                killed = workers[0]
                left = [
                    name for name, worker in zip("abcdef", workers, strict=True) if worker != killed
                ]
                os.kill(killed, signal.SIGKILL)
                await clients[0].wait_closed()
                if left:  # the others are told, when the last word of the killed worker is old
                    await until_here(clients["abcdef".index(left[0])], left)
                back = await connect_when_ready(nursery, url + "z")
                await until_here(back, [*left, "z"])
                nursery.cancel_scope.cancel()
        await program.stop()
