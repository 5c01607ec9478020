"""`statistics()`, `state`, `is_open`, `repr`, and the other attributes."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import trio
import trio.testing

from tests.connection.helpers import half_pair, served, settle
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionStatistics,
    Limits,
    PongFrame,
    ServerEndpoint,
    State,
    TextFrame,
)
from trio_wsendpoint.testing import connection_pair


async def test_what_is_counted() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(send_buffer=10)) as (connection, peer):
        fresh = connection.statistics()
        assert fresh == ConnectionStatistics(
            messages_sent=0,
            messages_received=0,
            bytes_sent=0,
            bytes_received=0,
            inbox_messages=0,
            inbox_bytes=0,
            write_queue_frames=0,
            write_queue_bytes=0,
            tasks_waiting_send=0,
            round_trip=None,
        )
        with pytest.raises(dataclasses.FrozenInstanceError):
            fresh.bytes_sent = 1  # type: ignore[misc]
        data = peer.to_bytes(TextFrame("abc"), BinaryFrame(b""))
        await peer.stream.send_all(data)
        await settle()
        now = connection.statistics()
        assert (now.bytes_received, now.inbox_messages, now.inbox_bytes) == (len(data), 2, 3 + 256)
        assert now.messages_received == 0
        await connection.receive()
        connection.receive_nowait()
        now = connection.statistics()
        assert (now.messages_received, now.inbox_messages, now.inbox_bytes) == (2, 0, 0)

        ours.room = 0
        await connection.send("x" * 20)
        await settle()
        connection.send_nowait("y" * 30)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, "z")
            await settle()
            now = connection.statistics()
            assert (now.messages_sent, now.bytes_sent) == (2, 0)
            assert (now.write_queue_frames, now.tasks_waiting_send) == (1, 1)
            assert 30 < now.write_queue_bytes <= 44
            ours.room = None
            await settle()
        now = connection.statistics()
        assert (now.messages_sent, now.bytes_sent) == (3, 22 + 32 + 3)
        assert (now.write_queue_frames, now.write_queue_bytes, now.tasks_waiting_send) == (0, 0, 0)


async def test_the_round_trip_is_that_of_the_last_ping() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        for seconds in (2.0, 1.0):
            nursery.start_soon(connection.ping)
            frame = await peer.next_frame()
            assert frame is not None
            await trio.sleep(seconds)
            await peer.send(PongFrame(frame.payload))
            await settle()
            assert connection.statistics().round_trip == seconds


async def test_states() -> None:
    async with connection_pair() as (client, server):
        assert [client.state, server.state] == [State.OPEN, State.OPEN]
        assert [client.is_open, server.is_open] == [True, True]
        assert repr(client) == "<Connection / open>"
        await client.aclose()
        assert f"{client.state}" == f"{State.CLOSED}"
        assert not client.is_open
        await server.wait_closed()
        assert f"{server.state}" == f"{State.CLOSED}"
        assert repr(server) == "<Connection / closed>"


async def test_state_between() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.room = 0
        await connection.send("stuck")
        await settle()
        await peer.send(CloseFrame(1000))
        await settle()
        assert f"{connection.state}" == f"{State.CLOSE_RECEIVED}"
        ours.room = None
        await settle()
        assert f"{connection.state}" == f"{State.CLOSED}"
        nursery.start_soon(connection.aclose)
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        await settle()
        assert f"{connection.state}" == f"{State.CLOSE_SENT}"
        nursery.start_soon(peer.answer_close)


async def test_what_opened_it() -> None:
    class Own(ServerEndpoint):
        pass

    async with served(endpoint_class=Own) as (connection, _):
        assert connection.request.path == "/chat"
        assert connection.response.status == 101
        assert connection.subprotocol is None
        assert type(connection.endpoint) is Own
        assert repr(connection) == "<Connection /chat open>"
    async with connection_pair(
        handshake=True,
        client={"subprotocols": ["a", "b"], "headers": {"X-Mine": "1"}},
        server={"subprotocols": ["b"]},
        url="ws://example.test/%1b?x",
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == "b"
        assert server.request.headers["x-mine"] == "1"
        assert repr(server) == "<Connection /%1b open>"


async def test_the_logger_is_the_connection_s_own(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("trio_wsendpoint.test")
    async with connection_pair(server={"logger": logger}) as (client, server):
        server.logger.info("hello %s", "there")
        client.logger.info("and here")
    assert [(record.name, record.getMessage()) for record in caplog.records[:2]] == [
        ("trio_wsendpoint.test", f"[StapledStream #{server.id}] hello there"),
        ("trio_wsendpoint", f"[StapledStream #{client.id}] and here"),
    ]
    adapter = logging.LoggerAdapter(logger, {})
    async with connection_pair(server={"logger": adapter}) as (_, other):
        other.logger.info("adapted")
    assert caplog.records[2].getMessage() == f"[StapledStream #{other.id}] adapted"
