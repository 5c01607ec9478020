"""`serve_in_memory`: a handler, served to clients in memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from trio_wsendpoint import ConnectionLost, HandshakeRefused, Heartbeat, Response, Timeouts
from trio_wsendpoint.testing import Faults, MemoryNetwork, serve_in_memory

#: The same function for calls that a type checker would refuse.
serve: Any = serve_in_memory


async def greet(connection):
    await connection.send(f"hello to {connection.request.target}")
    async for message in connection:
        await connection.send(message)


async def test_a_handler_and_two_clients(autojump_clock):
    async with (
        serve_in_memory(greet) as served,
        served.connect() as ana,
        served.connect("/chat?room=1", origin=None) as bob,
    ):
        assert await ana.receive() == "hello to /"
        assert await bob.receive() == "hello to /chat?room=1"
        assert len(served.server.connections) == 2
        await bob.send("x")
        assert await bob.receive() == "x"
    assert served.network.open_streams == ()
    assert served.network.open_listeners == ()


async def test_options_of_both_sides(autojump_clock):
    async def process_request(opening):
        return Response(401) if "Authorization" not in opening.request.headers else None

    async with serve_in_memory(greet, process_request=process_request) as served:
        with pytest.raises(HandshakeRefused, match="401"):
            async with served.connect():
                raise AssertionError
        async with served.connect(headers={"Authorization": "Bearer x"}) as connection:
            assert await connection.receive() == "hello to /"


async def test_on_a_network_with_faults(autojump_clock):
    network = MemoryNetwork(server=Faults.silent(after=300))
    options: Any = {"heartbeat": Heartbeat(interval=5, max_pings=1), "timeouts": Timeouts(close=1)}
    async with (
        serve_in_memory(greet, network=network, heartbeat=None) as served,
        served.connect(**options) as connection,
    ):
        with pytest.raises(ConnectionLost):  # noqa: PT012 - by which of the two is chance
            while True:
                await connection.send("x" * 50)
                await connection.receive()


async def test_a_run_is_the_same_bit_for_bit(autojump_clock):
    async def run():
        async with serve_in_memory(greet) as served, served.connect() as connection:
            return connection.id, served.server.connections[0].request.headers["Sec-WebSocket-Key"]

    assert await run() == await run()


async def test_an_error_at_the_beginning_leaves_nothing(autojump_clock):
    network = MemoryNetwork()
    with pytest.raises(TypeError, match="has no option 'max_size'"):
        async with serve(greet, network=network, max_size=1):
            raise AssertionError
    with trio.CancelScope() as scope:
        scope.cancel()
        async with serve_in_memory(greet, network=network):
            await trio.sleep_forever()
    assert network.open_listeners == ()


def test_it_listens_by_itself():
    with pytest.raises(ValueError, match="a listener of its own"):
        serve_in_memory(greet, listeners=[])
