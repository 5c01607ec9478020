"""What cases 2.10 and 2.11 want, without the suite: a pong for each of ten pings sent at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.connection.helpers import HalfStream, Peer, half_pair, served, settle
from trio_wsendpoint import Connection, PingFrame, PongFrame, TextFrame

PINGS = [f"payload-{n}".encode() for n in range(10)]


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[HalfStream, Peer]]:
    async def echo(connection: Connection) -> None:
        async for message in connection:
            await connection.send(message)

    ours, theirs = half_pair()
    async with (
        served((ours, theirs), heartbeat=None) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(echo, connection)
        yield ours, peer
        nursery.cancel_scope.cancel()


# Trio shuffles the tasks that are ready, so that one round would prove little.
@pytest.mark.parametrize("_round", range(20))
@pytest.mark.parametrize("chop", [None, 1])
async def test_each_of_ten_pings_at_once_is_answered(_round: int, chop: int | None):
    async with echoing() as (stream, peer):
        stream.chop = chop
        await peer.send(*(PingFrame(payload) for payload in PINGS))
        answers = [await peer.next_frame() for _ in PINGS]
        assert answers == [PongFrame(payload) for payload in PINGS]


async def test_a_peer_that_does_not_read_is_owed_the_latest_pong_and_owes_nothing():
    async with echoing() as (stream, peer):
        await settle()
        stream.room = 0
        for payload in PINGS:  # the first pong blocks the stream
            await peer.send(PingFrame(payload))
            await settle()
        await peer.send(*(PingFrame(payload) for payload in PINGS), TextFrame("x"))
        await settle()
        stream.room = None
        answers = [await peer.next_frame() for _ in range(3)]
        assert answers == [PongFrame(PINGS[0]), PongFrame(PINGS[-1]), TextFrame("x")]


async def test_when_the_peer_reads_again_each_ping_is_answered_again():
    async with echoing() as (stream, peer):
        await settle()
        stream.room = 0
        await peer.send(*(PingFrame(payload) for payload in PINGS))
        await settle()
        stream.room = None
        assert await peer.next_frame() == PongFrame(PINGS[0])
        assert await peer.next_frame() == PongFrame(PINGS[-1])
        await peer.send(*(PingFrame(payload) for payload in PINGS))
        answers = [await peer.next_frame() for _ in PINGS]
        assert answers == [PongFrame(payload) for payload in PINGS]
