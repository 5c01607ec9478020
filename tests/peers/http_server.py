"""A server of plain HTTP over loopback."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from functools import partial

import trio

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest

__all__ = ["serve_http"]

PEER = Peer(address="127.0.0.1", port=1)
LOGGER = logging.getLogger("trio_wsendpoint")


@asynccontextmanager
async def serve_http(handler, **options):
    """Answer requests by `handler`; return the port."""
    async with trio.open_nursery() as nursery:

        async def serve(stream):
            link = HttpLink(stream, nursery=nursery, **options)
            while (head := await link.next_request()) is not None:
                await answer_request(
                    HttpRequest(Exchange(link, head), peer=PEER), handler, logger=LOGGER
                )

        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
