"""TLS over memory streams: no socket, and everything else as it is in the world."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tests.connection.helpers import Clock, HalfStream, loud_records, settle
from trio_wsendpoint import (
    Connection,
    ConnectionEnded,
    ConnectionLost,
    Limits,
    TLSFailed,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.testing import connection_pair

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("example.test")


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.create_default_context()
    AUTHORITY.configure_trust(client)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CERTIFICATE.configure_cert(server)
    return client, server


@asynccontextmanager
async def encrypted(**options: Any) -> AsyncIterator[tuple[Connection, Connection]]:
    client, server = contexts()
    ours, theirs = trio.testing.memory_stream_pair()
    pair = connection_pair(
        handshake=True,
        url="wss://example.test/",
        streams=(
            trio.SSLStream(ours, client, server_hostname="example.test", https_compatible=True),
            trio.SSLStream(theirs, server, server_side=True, https_compatible=True),
        ),
        **options,
    )
    async with pair as (one, two):
        yield one, two


async def test_messages_both_ways(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(message_size=1 << 22)
    async with encrypted(server={"limits": limits}) as (client, server):
        await client.send("over TLS")
        assert await server.receive() == "over TLS"
        await client.send(bytes(1 << 22))
        await server.send("and back")
        assert await client.receive() == "and back"
        assert await server.receive() == bytes(1 << 22)
        assert await client.ping() == 0
    assert loud_records(caplog) == []


@pytest.mark.parametrize("side", [0, 1])
async def test_closing(side: int, caplog: pytest.LogCaptureFixture) -> None:
    async with encrypted() as pair:
        clock = Clock()
        await pair[side].send("last words")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair[side].aclose, 1001, "bye")
            assert await pair[1 - side].receive() == "last words"
            with pytest.raises(ConnectionEnded) as caught:
                await pair[1 - side].receive()
            assert (caught.value.code, caught.value.reason) == (1001, "bye")
            await pair[1 - side].wait_closed()
        assert clock.now == 0
    assert loud_records(caplog) == []


async def test_both_talk_at_once() -> None:
    async with encrypted() as (client, server):

        async def talk(connection: Connection) -> None:
            for number in range(100):
                await connection.send(f"{number}" * 1000)
                assert await connection.receive() == f"{number}" * 1000

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, client)
            nursery.start_soon(talk, server)


@asynccontextmanager
async def connected_over(
    ours: trio.abc.Stream, theirs: trio.abc.Stream
) -> AsyncIterator[tuple[Connection, Connection]]:
    client, server = contexts()
    opened: list[Connection] = []
    over = trio.Event()

    async def serve() -> None:
        stream = trio.SSLStream(theirs, server, server_side=True, https_compatible=True)
        async with accept_endpoint(stream) as connection:
            opened.append(connection)
            await over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with connect_endpoint(
            "wss://example.test/", stream=ours, ssl_context=client
        ) as connection:
            await settle()
            yield connection, opened[0]
            over.set()


async def test_a_client_over_a_given_stream() -> None:
    async with connected_over(*trio.testing.memory_stream_pair()) as (client, server):
        await server.send("hello")
        assert await client.receive() == "hello"


async def test_a_missing_close_notify_is_a_lost_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with connected_over(HalfStream(ours), theirs) as (client, server):
        await server.send("hello")
        await settle()
        await theirs.send_stream.aclose()
        assert await client.receive() == "hello"
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert caught.value.code == 1006
        with pytest.raises(ConnectionLost):
            await server.receive()
    assert loud_records(caplog) == []


async def test_a_cancelled_owner_still_tells_the_peer() -> None:
    clock = Clock()
    client, server = contexts()
    ours, theirs = trio.testing.memory_stream_pair()
    told: list[int] = []

    async def serve() -> None:
        stream = trio.SSLStream(theirs, server, server_side=True, https_compatible=True)
        async with accept_endpoint(stream) as connection:
            with pytest.raises(ConnectionEnded) as caught:
                await connection.receive()
            told.append(caught.value.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with trio.CancelScope() as scope:
            async with connect_endpoint("wss://example.test/", stream=ours, ssl_context=client):
                await settle()
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert told == [1001]
    assert clock.now == 0


async def test_a_certificate_that_is_not_trusted() -> None:
    _, server = contexts()
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        stream = trio.SSLStream(theirs, server, server_side=True, https_compatible=True)
        with pytest.raises(TLSFailed):
            async with accept_endpoint(stream):
                pytest.fail("there is no connection")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(TLSFailed, match="certificate"):
            async with connect_endpoint(
                "wss://example.test/", stream=ours, ssl_context=ssl.create_default_context()
            ):
                pytest.fail("there is no connection")
