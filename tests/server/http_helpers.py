"""A link over a stream in memory, with a raw client at the other end."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import pytest
import trio

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.http import HttpDate
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.testing import memory_stream_pair

#: For tests of both forms of streams: `nonblocking` is True or False.
both_forms = pytest.mark.parametrize("nonblocking", [True, False], ids=["nonblocking", "plain"])

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LOGGER = logging.getLogger("trio_wsendpoint")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def post(body=b"", *lines, target="/"):
    """A POST with its Content-Length."""
    head = [f"POST {target} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def answer(body=b"", *lines, status=b"200 OK"):
    """What we write, for an answer without a date."""
    head = [b"HTTP/1.1 " + status, *lines]
    return b"\r\n".join([*head, b"", b""]) + body


class Client:
    """The raw client of a link."""

    def __init__(self, stream):
        self.stream = stream
        self.came = b""
        self.link = None

    async def send(self, data):
        await self.stream.send_all(data)

    async def read_until(self, end):
        """What comes, through `end`; the rest waits."""
        while end not in self.came:
            more = await self.stream.receive_some(65536)
            assert more, self.came
            self.came += more
        found, end, self.came = self.came.partition(end)
        return found + end

    async def read_all(self):
        """All that comes until the end."""
        while more := await self.stream.receive_some(65536):
            self.came += more
        came, self.came = self.came, b""
        return came


@asynccontextmanager
async def link_and_client(
    nonblocking=True, *, with_nursery=True, with_heartbeat=None, pair=None, **options
):
    """A link, and its client; both streams are closed at the end."""
    client, server = pair or memory_stream_pair(nonblocking=nonblocking)
    async with trio.open_nursery() as nursery:
        # With a heartbeat it keeps the deadlines, and else a cancel scope does.
        if with_heartbeat or (with_heartbeat is None and nonblocking and with_nursery):
            options.setdefault("heartbeat", HeartbeatTask(nursery))
        link = HttpLink(server, nursery=nursery if with_nursery else None, **options)
        try:
            yield link, Client(client)
        finally:
            with trio.CancelScope(shield=True):
                await link.aclose()
                await client.aclose()


async def serve(link, answer_one):
    """Give each request to `answer_one(exchange)`, until the link is over."""
    while (head := await link.next_request()) is not None:
        await answer_one(Exchange(link, head))


def fixed_date():
    return HttpDate(lambda: 0.0)


PEER = Peer(address="192.0.2.1", port=4711)


@asynccontextmanager
async def http_client(
    handler,
    nonblocking=True,
    *,
    failures=None,
    with_nursery=True,
    with_heartbeat=True,
    **options,
):
    """The client of a link whose requests `handler` answers; what it failed with is appended."""

    async def answer_one(exchange):
        found = await answer_request(HttpRequest(exchange, peer=PEER), handler, logger=LOGGER)
        if failures is not None:
            failures.append(found)

    async with (
        link_and_client(
            nonblocking, with_nursery=with_nursery, with_heartbeat=with_heartbeat, **options
        ) as (link, client),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve, link, answer_one)
        client.link = link
        yield client
        await client.stream.aclose()


def statuses(data):
    """The status of each answer in `data`."""
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
