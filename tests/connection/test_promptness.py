"""Pings and closes are prompt while large messages flow both ways, and messages never mix.

The wire takes a virtual millisecond for 16 KiB.  The messages are of 8 MiB: that is half a second
on the wire, and a test with 64 MiB would only take longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from tests.connection.helpers import Clock, Form, Streams, both_forms, connection_pair, may_lose
from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    ConnectionLost,
    Heartbeat,
    Limits,
    Timeouts,
)
from trio_wsendpoint.testing import Faults, MemoryNetwork

pytestmark = both_forms

KIB = 1024
LARGE = 8 * KIB * KIB
#: What the wire carries in a virtual second.
RATE = 16 * KIB / 0.001
#: Bytes that may be on the wire each way.
CAPACITY = 64 * KIB
#: Bytes that the writer joins into one write, that the reader reads, and that wait to be sent.
CHUNK = 64 * KIB


def wire(form: Form) -> Streams:
    """Return two ends of a slow connection."""
    slow = Faults(slow=0.001, chop=16 * KIB)
    nonblocking = form == "non-blocking"
    network = MemoryNetwork(capacity=CAPACITY, nonblocking=nonblocking, client=slow, server=slow)
    return network.pair()


def passing(fragment: int) -> float:
    """Return how long a control frame takes to the peer at most, behind what has begun to leave.

    That is: what the writer has joined, one fragment with it; what the wire holds; one read.
    """
    return (CHUNK + fragment + CAPACITY + CHUNK) / RATE


def options(fragment: int, **others: object) -> dict[str, dict[str, object]]:
    """Return options for either side."""
    limits = Limits(message_size=LARGE, fragment_size=fragment)
    made = {"limits": limits, "heartbeat": None, **others}
    return {"client": made, "server": made}


async def send_for_ever(connection: Connection) -> None:
    while True:
        await connection.send(b"x" * LARGE)


async def stream_for_ever(connection: Connection) -> None:
    while True:
        async with connection.send_stream("binary") as stream:
            for _ in range(LARGE // (100 * KIB)):
                await stream.send(b"x" * 100 * KIB)


async def until_closed(call: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(ConnectionClosed):
        await call()


async def receive_for_ever(connection: Connection) -> None:
    while True:
        assert len(await connection.receive()) > LARGE - 100 * KIB


@pytest.mark.parametrize("send", [send_for_ever, stream_for_ever])
@pytest.mark.parametrize("fragment", [64 * KIB, 256 * KIB])
async def test_a_ping_is_prompt(
    form: Form, fragment: int, send: Callable[[Connection], Awaitable[None]]
) -> None:
    async with (
        may_lose(),  # what is queued when all stop to read
        connection_pair(streams=wire(form), **options(fragment)) as pair,
        trio.open_nursery() as nursery,
    ):
        for one in pair:
            nursery.start_soon(send, one)
            nursery.start_soon(receive_for_ever, one)
        waits = []
        for _ in range(20):
            await trio.sleep(0.037)
            for one in pair:
                clock = Clock()
                assert await one.ping() <= clock.now + 1e-9
                waits.append(clock.now)
        assert 0 < max(waits) <= 2.1 * passing(fragment) < LARGE / RATE / 3
        assert all(one.statistics().messages_received >= 1 for one in pair)
        nursery.cancel_scope.cancel()


async def test_without_fragments_a_ping_waits_for_the_whole_message(form: Form) -> None:
    """So what is shown above is not shown by the wire."""
    async with (
        connection_pair(streams=wire(form), **options(2 * LARGE)) as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_for_ever, client)
        nursery.start_soon(receive_for_ever, server)
        await trio.sleep(0.01)
        clock = Clock()
        await client.ping()
        assert clock.now > LARGE / RATE / 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fragment", [64 * KIB, 256 * KIB])
async def test_a_close_is_prompt_while_messages_are_streamed(form: Form, fragment: int) -> None:
    """What has been queued leaves before it: of a stream that is `Limits.send_buffer`."""
    async with connection_pair(streams=wire(form), **options(fragment)) as pair:
        async with trio.open_nursery() as nursery:
            for one in pair:
                nursery.start_soon(until_closed, partial(stream_for_ever, one))
                nursery.start_soon(until_closed, partial(receive_for_ever, one))
            await trio.sleep(0.3)
            clock = Clock()
            await pair.client.aclose()
            queued = Limits().send_buffer + 100 * KIB  # the chunk that went over the mark
            assert 0 < clock.now <= 2 * (queued / RATE + passing(fragment)) < LARGE / RATE
        assert pair.server.endpoint.closing.is_over


@pytest.mark.parametrize("senders", [1, 5])
async def test_a_close_waits_for_the_message_that_was_sent_and_no_other(
    form: Form, senders: int
) -> None:
    """One message each way may have been committed; those in line have not been."""
    fragment = 256 * KIB
    async with connection_pair(streams=wire(form), **options(fragment)) as pair:
        async with trio.open_nursery() as nursery:
            for one in pair:
                for _ in range(senders):
                    nursery.start_soon(until_closed, partial(send_for_ever, one))
                nursery.start_soon(until_closed, partial(receive_for_ever, one))
            await trio.sleep(0.3)
            clock = Clock()
            await pair.client.aclose()
            queued = LARGE + Limits().send_buffer
            assert 0 < clock.now <= 2 * (queued / RATE + passing(fragment))
        assert pair.server.endpoint.closing.is_over


async def test_a_close_takes_timeouts_drain_at_most(form: Form) -> None:
    """However large what was sent before it."""
    timeouts = Timeouts(drain=0.1)
    async with (
        may_lose(),
        connection_pair(streams=wire(form), **options(256 * KIB, timeouts=timeouts)) as pair,
        trio.open_nursery() as nursery,
    ):
        for one in pair:
            nursery.start_soon(until_closed, partial(send_for_ever, one))
            nursery.start_soon(until_closed, partial(receive_for_ever, one))
        await trio.sleep(0.05)
        clock = Clock()
        with pytest.raises(ConnectionLost, match=r"did not accept all within 0\.1 s"):
            await pair.client.aclose()
        assert clock.now == 0.1


@pytest.mark.parametrize("fragment", [256 * KIB, 2 * LARGE])
async def test_the_heartbeat_s_pings_are_prompt(form: Form, fragment: int) -> None:
    """A peer that only listens is not given up, unless a message holds the pings up."""
    beat = 2 * passing(256 * KIB)
    heartbeat = Heartbeat(interval=beat, max_pings=1)
    async with (
        connection_pair(streams=wire(form), **options(fragment, heartbeat=heartbeat)) as pair,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(until_closed, partial(receive_for_ever, pair.client))
        nursery.start_soon(until_closed, partial(receive_for_ever, pair.server))
        if fragment > LARGE:
            with pytest.raises(ConnectionLost, match="Unanswered ping"):
                await send_for_ever(pair.client)
        else:
            for _ in range(5):
                await pair.client.send(b"x" * LARGE)
            assert pair.client.statistics().pings_sent > 5
            assert pair.client.is_open
        nursery.cancel_scope.cancel()


async def test_messages_of_concurrent_senders_never_mix(form: Form) -> None:
    """Those of `send` and of `send_stream`, of all sizes, and pings between their fragments."""
    rounds, sizes = 3, (0, 1, 1000, 64 * KIB, 65 * KIB, 300 * KIB, 1024 * KIB)
    fragment = 16 * KIB

    async def send(connection: Connection, name: bytes, *, chunk: int = 0) -> None:
        for _ in range(rounds):
            for size in sizes:
                message = name * size
                if chunk:
                    async with connection.send_stream("binary") as stream:
                        for start in range(0, size, chunk):
                            await stream.send(message[start : start + chunk])
                else:
                    await connection.send(message)

    async def ping(connection: Connection) -> None:
        while True:
            await connection.ping()

    async with (
        connection_pair(streams=wire(form), **options(fragment)) as pair,
        trio.open_nursery() as nursery,
    ):
        senders = {b"a": 0, b"b": 0, b"c": 0, b"d": 1000, b"e": 90_000}
        received: dict[Connection, list[bytes]] = {one: [] for one in pair}
        for one in pair:
            nursery.start_soon(ping, one)
            for name, chunk in senders.items():
                nursery.start_soon(partial(send, one, name, chunk=chunk))

            async def receive(one: Connection = one) -> None:
                while len(received[one]) < rounds * len(sizes) * len(senders):
                    message = await one.receive()
                    assert isinstance(message, bytes)
                    received[one].append(message)

            nursery.start_soon(receive)
        while any(len(each) < rounds * len(sizes) * len(senders) for each in received.values()):
            await trio.sleep(0.1)
        for each in received.values():
            assert all(message == message[:1] * len(message) for message in each)
            assert sum(not message for message in each) == rounds * len(senders)
            for name in senders:
                mine = [len(message) for message in each if message[:1] == name]
                assert mine == [size for size in sizes if size] * rounds
        nursery.cancel_scope.cancel()
