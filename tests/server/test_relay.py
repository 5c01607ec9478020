"""The tasks in which an app answers the requests of one link."""

from __future__ import annotations

import trio

from tests.server.helpers import hold, loud, serve_memory
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.server.apps import HttpApp
from trio_wsendpoint.testing import memory_stream_pair

from .http_helpers import GET, Client


class App(HttpApp):
    """Answers, lets the link go, and does after it what `afterwards` does."""

    def __init__(self, nursery, afterwards):
        self._nursery = nursery
        self._afterwards = afterwards

    @property
    def nursery(self):
        return self._nursery

    def call_for(self, request):
        return Call(request, self._afterwards)

    async def __call__(self, request):
        raise NotImplementedError


class Call:
    """One call of an `App`."""

    def __init__(self, request, afterwards):
        self._request = request
        self._afterwards = afterwards

    async def serve(self, let_go):
        await self._request.exchange.respond(Response(200, body=b"answered"))
        let_go(None)
        await self._afterwards()

    def lose(self):
        pass


async def test_a_task_that_fails_after_its_answer_is_logged(autojump_clock, caplog):
    async def fail():
        await trio.sleep(1)
        raise LookupError("on purpose")

    async with (
        trio.open_nursery() as nursery,
        serve_memory(hold, make_pair=memory_stream_pair, http_handler=App(nursery, fail)) as served,
    ):
        client = Client(served.connect())
        for _ in range(2):
            await client.send(GET)
            assert b" 200 " in await client.read_until(b"answered")
        await trio.sleep(2)
        # Nor does it end the link, or become what that ends with.
        await client.send(GET)
        assert b" 200 " in await client.read_until(b"answered")
        await client.stream.aclose()
        await trio.sleep(2)
    assert [type(record.exc_info[1]) for record in loud(caplog)] == [LookupError] * 3
    assert "after its HTTP answer" in caplog.text
