"""Our client and our server, over a real loopback connection."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint import ConnectionClosed, connect_endpoint, serve_endpoint

pytestmark = pytest.mark.peer

CHUNK = 1024 * 1024
COUNT = 20


async def test_two_peers_that_each_send_20_mb_before_they_read():
    totals = []

    async def send_then_read(connection):
        # Both are sending, so neither reads: each must take what comes while it waits for room.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, connection)
            for number in range(COUNT):
                await connection.send(bytes([number]) * CHUNK)

    async def read(connection):
        total = 0
        for number in range(COUNT):
            message = await connection.receive()
            assert message[:1] == message[-1:] == bytes([number])
            total += len(message)
        totals.append(total)

    with trio.fail_after(60):
        async with (
            serve_endpoint(send_then_read, 0) as server,
            connect_endpoint(server.urls[0]) as client,
        ):
            await send_then_read(client)
            with pytest.raises(ConnectionClosed):
                await client.receive()
    assert totals == [COUNT * CHUNK] * 2


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537])
async def test_sizes_around_those_of_the_header(size):
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve_endpoint(echo, 0) as server, connect_endpoint(server.urls[0]) as client:
        for message in (bytes(size), "a" * size):
            await client.send(message)
            assert await client.receive() == message


async def test_both_close_at_once():
    async def handler(connection):
        await connection.receive()
        await connection.aclose(4001)

    with trio.fail_after(60):
        async with serve_endpoint(handler, 0) as server:
            for _ in range(50):
                async with connect_endpoint(server.urls[0]) as client:
                    await client.send("go")
                    await client.aclose(4002)
