"""What a connection holds for compression, and when it lets go of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.streams.helpers import served, settle
from trio_wsendpoint import Connection, Deflate, Heartbeat
from trio_wsendpoint.extensions import PerMessageDeflate
from trio_wsendpoint.testing import connection_pair

TEXT = '{"id": 1, "name": "Ann"}' * 40
HEARTBEATS = [Heartbeat(), None, Heartbeat(interval=3600), Heartbeat(interval=1)]


def holds(connection: Connection) -> tuple[bool, bool]:
    """Tell whether there is a compressor, and an inflater."""
    extension = connection.endpoint.extension
    assert isinstance(extension, PerMessageDeflate)
    return (
        extension._deflater._compressor is not None,
        extension._inflater._stream is not None,
    )


@pytest.mark.parametrize("heartbeat", HEARTBEATS)
async def test_the_compressor_goes_after_60_idle_seconds(heartbeat: Heartbeat | None) -> None:
    options: Any = {"deflate": Deflate(), "heartbeat": heartbeat}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        await trio.sleep(100)
        for _ in range(3):
            await client.send(TEXT)
            assert await server.receive() == TEXT
            assert holds(client) == (True, False)
            assert holds(server) == (False, True)
            await trio.sleep(59)
            assert holds(client) == (True, False)
            await trio.sleep(17)  # it is looked for every quarter of a minute
            assert holds(client) == (False, False)
            assert holds(server) == (False, True)  # what the peer may refer to stays


@pytest.mark.parametrize("heartbeat", HEARTBEATS)
async def test_not_while_messages_pass(heartbeat: Heartbeat | None) -> None:
    options: Any = {"deflate": Deflate(), "heartbeat": heartbeat}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        for _ in range(10):
            await client.send(TEXT)
            assert await server.receive() == TEXT
            await trio.sleep(50)
            assert holds(client) == (True, False)


async def test_without_takeover_nothing_is_held_between_messages() -> None:
    options: Any = {"deflate": Deflate(context_takeover=False, peer_context_takeover=False)}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        for sender, receiver in [(client, server), (server, client)]:
            await sender.send(TEXT)
            assert await receiver.receive() == TEXT
            assert holds(sender) == holds(receiver) == (False, False)


async def test_half_a_message_keeps_its_compressor() -> None:
    async with served(True, heartbeat=None) as (connection, peer):
        async with connection.send_stream("text") as stream:
            await stream.send(TEXT)
            await trio.sleep(300)
            assert holds(connection)[0]
            await stream.send(TEXT)
        received = b"".join([(await peer.next_data())[1] for _ in range(3)])
        assert received.decode() == TEXT * 2


async def test_half_a_received_message_is_none_the_worse() -> None:
    async with served(True, heartbeat=None) as (connection, peer):
        first, last = peer.fragments("text", TEXT.encode(), TEXT.encode())
        await peer.send(first)
        await trio.sleep(300)
        await peer.send(last)
        assert await connection.receive() == TEXT * 2


@pytest.mark.parametrize("engine", ["zlib", "isal"])
async def test_messages_after_a_release_are_right(engine: Any) -> None:
    options: Any = {"deflate": Deflate(threshold=0, engine=engine)}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        for number in range(4):
            for sender, receiver in [(client, server), (server, client)]:
                for text in [TEXT, "", TEXT, str(number)]:
                    await sender.send(text)
                    assert await receiver.receive() == text
            await trio.sleep(200)
            await settle()
            assert not holds(client)[0]
            assert not holds(server)[0]
