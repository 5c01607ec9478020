"""What the shorter way of a message must not change."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from trio_wsendpoint.testing import MemoryNetwork, connection_pair
from trio_wsendpoint.transport import SocketTransport


async def test_a_close_waits_for_the_answer_since_the_message_was_taken() -> None:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    client_stream, server_stream = MemoryNetwork().pair()
    async with connection_pair(streams=(client_stream, server_stream)) as (client, server):
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await server.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            client.endpoint.send_message("one")
            client.endpoint.send_message("two")
            client.endpoint.close()
            client._tasks.settle()  # all three in one write
        assert received == ["one"]
        clock.jump(5)  # the app computes, and lets nobody run
        assert await server.receive() == "two"
        await trio.sleep(0.5)  # within Timeouts.answer
        await server.send("the answer")
        assert server.is_open


async def test_a_socket_that_was_closed_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        transport = SocketTransport(stream)
        await stream.aclose()
        for wait in (transport.wait_readable, transport.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await wait()
