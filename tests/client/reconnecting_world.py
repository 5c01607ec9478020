"""A server in memory that misbehaves on request, and channels that stay connected to it."""

from __future__ import annotations

import errno
import random
from contextlib import asynccontextmanager

import trio

from trio_wsendpoint import Backoff, Heartbeat, Response, reconnecting_endpoint, serve_endpoint
from trio_wsendpoint.testing import MemoryNetwork

URL = "ws://example.test/"


class World:
    """What a test does to the server: `up`, `answers`, `network`; and what it sees of the client.

    `handler` serves each connection; `answers` are taken one by one for the next openings, in
    place of 101; with `stalls` an opening gets no answer.  `openings` are the times of the tries.
    """

    def __init__(self, network=None):
        self.network = network or MemoryNetwork()
        self.up = True
        self.answers = []
        self.stalls = False
        self.openings = []
        self.requests = []
        self.received = []
        self.connections = []
        self.handler = self.echo

    async def open_stream(self, host, port):
        self.openings.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if not self.up:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "no listener")
        return await self.network.connect()

    async def serve(self, connection):
        self.connections.append(connection)
        await self.handler(connection)

    async def echo(self, connection):
        async for message in connection:
            self.received.append(message)
            await connection.send(message)

    async def drop(self, connection):
        await connection.aclose(1001)

    async def process_request(self, opening):
        request = opening.request
        self.requests.append(request)
        if self.stalls:
            await trio.sleep_forever()
        return self.answers.pop(0) if self.answers else None

    def refuse(self, status, *, times=1, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers += [Response(status, fields, "said no")] * times

    def channel(self, url=URL, **options):
        options.setdefault("backoff", Backoff(rng=random.Random(1)))
        options.setdefault("open_stream", self.open_stream)
        return reconnecting_endpoint(url, **options)


@asynccontextmanager
async def world(network=None, **options):
    made = World(network)
    listener = made.network.listen()
    # Pings of the server would keep a MockClock busy in the long runs.
    options.setdefault("heartbeat", Heartbeat(interval=3600))
    async with serve_endpoint(
        made.serve, listeners=[listener], process_request=made.process_request, **options
    ):
        yield made
    assert made.network.open_streams == ()


async def until(condition):
    """Wait, in small steps of virtual time, until `condition()`."""
    with trio.fail_after(3600):
        while not condition():
            await trio.sleep(0.05)
