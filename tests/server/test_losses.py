"""What could not be sent to one client ends no server."""

from __future__ import annotations

import pytest
import trio

from tests.server.helpers import request
from trio_wsendpoint import Connection, serve_endpoint
from trio_wsendpoint.testing import MemoryNetwork


@pytest.mark.parametrize("nonblocking", [True, False])
async def test_a_server_that_closes(nonblocking: bool, autojump_clock: object) -> None:
    ended: list[BaseException] = []

    async def handler(connection: Connection) -> None:
        await connection.send(b"x" * 1_000_000)
        try:
            await trio.sleep_forever()
        except BaseException as error:
            ended.append(error)
            raise

    network = MemoryNetwork(nonblocking=nonblocking, capacity=1000)
    async with serve_endpoint(handler, listeners=[network.listen()]) as server:
        stream = await network.connect()
        await stream.send_all(request())
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 101")
        await trio.sleep(1)
        await trio.aclose_forcefully(stream)
        await trio.sleep(1)
        await server.aclose()
    assert [type(error) for error in ended] == [trio.Cancelled]
