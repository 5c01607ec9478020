"""An application that is served in memory, and raw clients of it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio

from tests.server.http_helpers import Client
from trio_wsendpoint.asgi import serve_asgi
from trio_wsendpoint.testing import MemoryNetwork

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"done"}
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Served:
    """A server in memory; `client` is a raw connection to it."""

    def __init__(self, server, network, client):
        self.server = server
        self.network = network
        self.client = client

    async def another(self):
        return Client(await self.network.connect())

    def connect(self, path="/", **options):
        return self.network.connect_endpoint(f"ws://server{path}", **options)


@asynccontextmanager
async def served(app, *, network=None, **options):
    """Serve `app`, which has no lifespan unless `options` say otherwise."""
    network = network or MemoryNetwork()
    options.setdefault("lifespan", "off")
    async with serve_asgi(app, listeners=[network.listen()], **options) as server:
        client = Client(await network.connect())
        try:
            yield Served(server, network, client)
        finally:
            await trio.aclose_forcefully(client.stream)


async def ask(app, request=CLOSING, **options):
    """What `app` answers to `request`, until the connection ends."""
    async with served(app, **options) as here:
        await here.client.send(request)
        return await here.client.read_all()


def sending(*events):
    """An application that sends `events`, and returns."""

    async def app(scope, receive, send):
        for event in events:
            await send(event)

    return app


def body(data=b"", **more):
    return {"type": "http.response.body", "body": data, **more}


def start(status=200, *headers):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}
