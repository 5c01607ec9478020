"""examples/presence.py: two workers, a Redis, and a worker that is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

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


async def until_here(connection: Connection, names: list[str]) -> None:
    """Wait for a message whose list is `names`."""
    while json.loads(await connection.receive())["here"] != names:
        pass


async def worker_of(connection: Connection) -> int:
    """Return which worker has said the first message."""
    return int(json.loads(await connection.receive())["worker"])


async def until_two_serve(nursery: trio.Nursery, url: str) -> None:
    """Wait until two workers have answered: while one of them starts, the other gets all."""
    workers = {await worker_of(await connect_when_ready(nursery, url))}
    while len(workers) < 2:
        async with connect_endpoint(url) as connection:
            workers.add(await worker_of(connection))
        await trio.sleep(0.01)


async def connect_to_both(nursery: trio.Nursery, url: str) -> dict[str, tuple[Connection, int]]:
    """Return some clients by name, each with its worker; each worker has one or more."""
    clients: dict[str, tuple[Connection, int]] = {}
    while len(clients) < 4 or len({worker for _, worker in clients.values()}) < 2:
        name = f"client {len(clients):03}"
        connection = await connect_when_ready(nursery, url + name.replace(" ", "%20"))
        clients[name] = connection, await worker_of(connection)
    return clients


async def test_the_list_survives_a_killed_worker(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS", redis.url)
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        port = listener.socket.getsockname()[1]
    async with running(EXAMPLES / NAME, str(port)) as program:
        with trio.fail_after(PATIENCE):
            url = f"ws://localhost:{port}/?name="
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as probes:
                    await until_two_serve(probes, url + "probe")
                    probes.cancel_scope.cancel()
                clients = await connect_to_both(nursery, url)
                for connection, _ in clients.values():
                    await until_here(connection, sorted(clients))
                lost, killed = clients["client 000"]
                os.kill(killed, signal.SIGKILL)
                await lost.wait_closed()
                left = {name: one for name, (one, worker) in clients.items() if worker != killed}
                # The others are told, when the last word of the killed worker is old.
                for connection in left.values():
                    await until_here(connection, sorted(left))
                back = await connect_when_ready(nursery, url + "z")
                await until_here(back, [*sorted(left), "z"])
                nursery.cancel_scope.cancel()
        await program.stop()
