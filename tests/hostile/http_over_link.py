"""`tests.http.wire.served`, but over the server's link: streams, tasks, deadlines and all."""

from __future__ import annotations

import logging
from functools import cached_property

import trio
import trio.testing

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.testing import memory_stream_pair

__all__ = ["ServedOverLink"]

PEER = Peer(address="192.0.2.1", port=4711)
LOGGER = logging.getLogger("trio_wsendpoint")


class ServedOverLink:
    """What a handler that echoes each body has done, once the server waits.

    It is done when it is looked at, and again after more has been given.
    """

    nonblocking = True

    def __init__(self, data, *, pieces=None, **options):
        size = pieces or max(len(data), 1)
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]
        self._has_ended = False
        self._options = {name: value for name, value in options.items() if value is not None}

    def receive(self, data):
        self._pieces.append(data)
        self.__dict__.pop("_done", None)

    def end(self):
        self._has_ended = True
        self.__dict__.pop("_done", None)

    @cached_property
    def _done(self):
        return trio.run(self._talk, clock=trio.testing.MockClock())

    async def _talk(self):
        client, server = memory_stream_pair(nonblocking=self.nonblocking, capacity=1 << 20)
        done = Done()
        async with trio.open_nursery() as nursery:
            done.link = HttpLink(server, nursery=nursery, **self._options)
            nursery.start_soon(done.serve)
            nursery.start_soon(done.read, client)
            for piece in self._pieces:
                await client.send_all(piece)
                if len(self._pieces) < 300:
                    await trio.testing.wait_all_tasks_blocked()
            if self._has_ended:
                await client.send_eof()
            await trio.testing.wait_all_tasks_blocked()
            done.phase = done.link.http.phase
            nursery.cancel_scope.cancel()
        await done.link.aclose()
        await client.aclose()
        return done

    @property
    def heads(self):
        return self._done.heads

    @property
    def bodies(self):
        return self._done.bodies

    @property
    def written(self):
        return self._done.written

    @property
    def http(self):
        return self._done

    @property
    def statuses(self):
        return [int(line[:3]) for line in self.written.split(b"HTTP/1.1 ")[1:]]

    @property
    def closes(self):
        head = self.written.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")[0]
        assert (b"Connection: close" in head) == self._done.is_ended
        return self._done.is_ended


class Done:
    """What came of it; `is_ended`: the client has read the end, `phase` is the link's then."""

    def __init__(self):
        self.link: HttpLink
        self.heads = []
        self.bodies = []
        self.written = b""
        self.is_ended = False
        self.phase = None

    async def serve(self):
        while (head := await self.link.next_request()) is not None:
            self.heads.append(head)
            await answer_request(
                HttpRequest(Exchange(self.link, head), peer=PEER), self.echo, logger=LOGGER
            )

    async def echo(self, request):
        body = await request.read()
        self.bodies.append(body)
        return Response(200, body=body)

    async def read(self, client):
        while data := await client.receive_some(65536):
            self.written += data
        self.is_ended = True
