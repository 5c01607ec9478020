"""The rest of a large message, which is read straight to its place, and sent from it."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from trio_wsendpoint import BinaryFrame, ConnectionLost, Limits
from trio_wsendpoint.session.intake import READ_SIZE
from trio_wsendpoint.testing import Faults, MemoryNetwork, connection_pair
from trio_wsendpoint.transport import NonBlockingStream, SocketTransport


def socket_pair() -> tuple[SocketTransport, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return SocketTransport(trio.SocketStream(trio.socket.from_stdlib_socket(ours))), theirs


async def test_a_socket_takes_parts_and_fills_a_room() -> None:
    transport, theirs = socket_pair()
    with theirs:
        assert transport.send_parts_nowait((b"head", memoryview(b"and body")[4:])) == 8
        assert theirs.recv(100) == b"headbody"
        room = bytearray(10)
        with memoryview(room) as view:
            assert transport.receive_into_nowait(view[2:6]) is None
            theirs.send(b"abcdefg")
            assert transport.receive_into_nowait(view[2:6]) == 4
            assert transport.receive_into_nowait(view) == 3
        assert room == b"efgbcd\0\0\0\0"
        parts = (bytes(10), bytes(1 << 20))
        taken = 0
        while sent := transport.send_parts_nowait(parts):
            taken += sent
        assert taken > 0
        theirs.close()
        with pytest.raises(trio.BrokenResourceError):
            transport.send_parts_nowait(parts)
    await transport.aclose()
    for call in (
        lambda: transport.send_parts_nowait(parts),
        lambda: transport.receive_into_nowait(memoryview(bytearray(1))),
    ):
        with pytest.raises(trio.ClosedResourceError):
            call()


async def test_a_socket_that_ends_or_breaks_fills_no_room() -> None:
    with memoryview(bytearray(10)) as room:
        transport, theirs = socket_pair()
        theirs.close()
        assert transport.receive_into_nowait(room) == 0
        await transport.aclose()

        transport, theirs = socket_pair()
        transport.send_nowait(b"never read")
        theirs.close()  # which resets it
        with pytest.raises(trio.BrokenResourceError):
            transport.receive_into_nowait(room)
        await transport.aclose()


async def test_other_streams_join_parts_and_fill_a_room() -> None:
    left, right = MemoryNetwork().pair()
    assert isinstance(left, NonBlockingStream)
    assert isinstance(right, NonBlockingStream)
    with memoryview(bytearray(5)) as room:
        assert right.receive_into_nowait(room) is None
        assert left.send_parts_nowait((b"he", memoryview(b"ad"), b"and body")) == 12
        await trio.testing.wait_all_tasks_blocked()
        assert right.receive_into_nowait(room) == 5
        assert bytes(room) == b"heada"
    await left.aclose()
    await right.aclose()


LARGE: list[str | bytes] = [
    bytes(range(256)) * 4096,
    "größe " * 200_000,
    b"",
    bytes(1 << 20),
    "a" * 300_000,
]


@pytest.mark.parametrize("capacity", [5000, 70_000, 3_000_000])
@pytest.mark.parametrize("chop", [None, 5003, 100_000])
@pytest.mark.parametrize("nonblocking", [True, False])
async def test_large_messages_both_ways(capacity: int, chop: int | None, nonblocking: bool) -> None:
    limits = Limits(message_size=1 << 21)
    faults = Faults(chop=chop)
    network = MemoryNetwork(
        capacity=capacity, nonblocking=nonblocking, client=faults, server=faults
    )
    streams = network.pair()
    async with connection_pair(
        streams=streams, client={"limits": limits}, server={"limits": limits}
    ) as (client, server):

        async def echo() -> None:
            async for message in server:
                await server.send(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            for message in LARGE:
                await client.send(message)
                assert await client.receive() == message
            assert server.statistics().bytes_received == client.statistics().bytes_sent
            assert server.statistics().payload_received == client.statistics().payload_sent
            await client.aclose()


@pytest.mark.parametrize("ends", [False, True])
async def test_a_large_message_that_stops_where_the_room_ends(ends: bool) -> None:
    """And then goes on, or never does."""
    payload = bytes(range(256)) * 2000
    wire = BinaryFrame(payload, mask=b"abcd").to_bytes()
    client_stream, server_stream = MemoryNetwork().pair()
    async with connection_pair(streams=(client_stream, server_stream)) as (_, server):

        async def send() -> None:
            place = 0
            # The first 64 KiB, which make room for three times as many and a little, and that.
            for stop in (65536, 65536 + 3 * 65522 + (65522 >> 4)):
                await client_stream.send_all(wire[place:stop])
                await trio.testing.wait_all_tasks_blocked()
                place = stop
            assert server.statistics().bytes_received == place
            if ends:
                await client_stream.send_eof()
            else:
                await client_stream.send_all(wire[place:])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            if ends:
                with pytest.raises(ConnectionLost):
                    await server.receive()
            else:
                assert await server.receive() == payload


@pytest.mark.parametrize("rest", ["here", "late", "ended", "broken"])
async def test_a_message_a_little_larger_than_a_read(rest: str) -> None:
    payload = (bytes(range(256)) * 300)[: READ_SIZE + 256]
    wire = BinaryFrame(payload, mask=b"abcd").to_bytes()
    client_stream, server_stream = MemoryNetwork(capacity=READ_SIZE).pair()
    assert isinstance(server_stream, NonBlockingStream)
    receive_nowait = server_stream.receive_nowait
    asked: list[int] = []

    def receive(max_bytes: int) -> bytes | None:
        asked.append(max_bytes)
        if rest == "broken" and max_bytes < READ_SIZE:
            raise trio.BrokenResourceError("gone")
        return receive_nowait(max_bytes)

    server_stream.receive_nowait = receive  # type: ignore[method-assign]
    async with connection_pair(streams=(client_stream, server_stream)) as (_, server):

        async def send() -> None:
            await client_stream.send_all(wire if rest == "here" else wire[:READ_SIZE])
            if rest == "ended":
                await client_stream.send_eof()
            await trio.testing.wait_all_tasks_blocked()
            if rest == "late":
                await client_stream.send_all(wire[READ_SIZE:])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            if rest in {"ended", "broken"}:
                with pytest.raises(ConnectionLost):
                    await server.receive()
            else:
                assert await server.receive() == payload
                assert server.statistics().bytes_received == len(wire)
        assert len(wire) - READ_SIZE in asked
