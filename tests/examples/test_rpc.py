"""The calls of the RPC example: over sockets as programs, and in memory."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import trio

from tests.examples.programs import EXAMPLES, example
from trio_wsendpoint.testing import connection_pair


@pytest.fixture
def rpc(monkeypatch):
    spec = importlib.util.spec_from_file_location("rpc_example", EXAMPLES / "rpc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rpc_example", module)
    spec.loader.exec_module(module)
    return module


async def test_the_programs_call_each_other():
    async with example("rpc.py", "0") as server:
        async with example("rpc.py", await server.read_url()) as client:
            assert await client.wait() == 0, client.output
        assert sorted(client.output.splitlines()) == [
            "add 1 2 = 3",
            "greet = hello, Ada",
        ]
        await server.stop()


async def test_many_calls_in_both_directions_at_the_same_time(rpc, autojump_clock):
    running = [0]

    async def slow(number):
        running[0] += 1
        await trio.sleep(100 - number)  # so that the answers come in another order
        return number

    async with connection_pair() as pair, trio.open_nursery() as nursery:
        peers = [rpc.Peer(connection, slow=slow) for connection in pair]
        for peer in peers:
            nursery.start_soon(peer.run)
        answers = []

        async def call(peer, number):
            assert await peer.call("slow", number) == number
            answers.append(number)

        async with trio.open_nursery() as calls:
            for number in range(16):
                for peer in peers:
                    calls.start_soon(call, peer, number)
        assert running == [32]
        assert answers == sorted([*range(16)] * 2, reverse=True)
        nursery.cancel_scope.cancel()


async def test_a_call_that_fails(rpc, autojump_clock):
    async def divide(a, b):
        return a / b

    async with connection_pair() as pair, trio.open_nursery() as nursery:
        peer, other = rpc.Peer(pair.client), rpc.Peer(pair.server, divide=divide)
        nursery.start_soon(peer.run)
        nursery.start_soon(other.run)
        for method, params, says in (
            ("divide", (1, 0), "ZeroDivisionError"),
            ("divide", (1,), "TypeError"),
            ("multiply", (1, 0), "KeyError: 'multiply'"),
        ):
            with pytest.raises(RuntimeError, match=says):
                await peer.call(method, *params)
        assert await peer.call("divide", 1, 2) == 0.5
        nursery.cancel_scope.cancel()


async def test_one_call_too_many(rpc, autojump_clock):
    async with connection_pair() as pair, trio.open_nursery() as nursery:
        peers = [rpc.Peer(connection, sleep=trio.sleep) for connection in pair]
        for peer in peers:
            nursery.start_soon(peer.run)
        for _ in range(16):
            nursery.start_soon(peers[0].call, "sleep", 1000)
        await trio.sleep(1)
        with pytest.raises(RuntimeError, match="too many calls"):
            await peers[0].call("sleep", 1000)
        nursery.cancel_scope.cancel()


async def test_a_call_that_is_cancelled(rpc, autojump_clock):
    async with connection_pair() as pair, trio.open_nursery() as nursery:
        peers = [rpc.Peer(connection, sleep=trio.sleep) for connection in pair]
        for peer in peers:
            nursery.start_soon(peer.run)
        with trio.move_on_after(1) as scope:
            await peers[0].call("sleep", 5)
        assert scope.cancelled_caught
        await trio.sleep(10)  # its answer comes, and is ignored
        assert await peers[0].call("sleep", 0) is None
        nursery.cancel_scope.cancel()


async def test_a_call_whose_connection_ends(rpc, autojump_clock):
    async with connection_pair() as pair, trio.open_nursery() as nursery:
        peer = rpc.Peer(pair.client)
        nursery.start_soon(peer.run)

        async def close_later():
            await pair.server.receive()
            await pair.server.aclose()

        nursery.start_soon(close_later)
        with pytest.raises(trio.EndOfChannel):
            await peer.call("sleep", 0)
        nursery.cancel_scope.cancel()
