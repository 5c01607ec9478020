"""`statistics()`, `state`, `is_open`, `repr`, and the other attributes."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import trio
import trio.testing

from tests.connection.helpers import half_pair, loses, served, settle
from trio_wsendpoint import (
    BinaryFrame,
    CloseCause,
    CloseFrame,
    ConnectionStatistics,
    ContinuationFrame,
    Deflate,
    Limits,
    PingFrame,
    PongFrame,
    ServerEndpoint,
    State,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.testing import connection_pair


async def test_what_is_counted() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs), limits=Limits(send_buffer=10)) as (connection, peer):
        fresh = connection.statistics()
        assert fresh == ConnectionStatistics(opened=trio.current_time())
        assert {type(value) for value in dataclasses.astuple(fresh)} <= {int, float, type(None)}
        assert not any(dataclasses.astuple(fresh))
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
        assert [client.endpoint.state, server.endpoint.state] == [State.OPEN, State.OPEN]
        assert [client.is_open, server.is_open] == [True, True]
        assert repr(client).endswith(" / open>")
        await client.aclose()
        assert f"{client.endpoint.state}" == f"{State.CLOSED}"
        assert not client.is_open
        await server.wait_closed()
        assert f"{server.endpoint.state}" == f"{State.CLOSED}"
        assert repr(server).endswith(" / closed>")


async def test_state_between() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer), trio.open_nursery() as nursery:
        ours.room = 0
        await connection.send("stuck")
        await settle()
        await peer.send(CloseFrame(1000))
        await settle()
        assert f"{connection.endpoint.state}" == f"{State.CLOSE_RECEIVED}"
        ours.room = None
        await settle()
        assert f"{connection.endpoint.state}" == f"{State.CLOSED}"
        nursery.start_soon(connection.aclose)
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        await settle()
        assert f"{connection.endpoint.state}" == f"{State.CLOSE_SENT}"
        nursery.start_soon(peer.answer_close)


async def test_what_opened_it() -> None:
    class Own(ServerEndpoint):
        pass

    async with served(endpoint_class=Own) as (connection, _):
        assert connection.request.path == "/chat"
        assert connection.response.status == 101
        assert connection.subprotocol is None
        assert type(connection.endpoint) is Own
        assert repr(connection).endswith(" /chat open>")
    async with connection_pair(
        handshake=True,
        client={"subprotocols": ["a", "b"], "headers": {"X-Mine": "1"}},
        server={"subprotocols": ["b"]},
        url="ws://example.test/%1b?x",
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == "b"
        assert server.request.headers["x-mine"] == "1"
        assert repr(server).endswith(" /%1b open>")


async def test_the_logger_is_the_connection_s_own(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("trio_wsendpoint.test")
    async with connection_pair(server={"logger": logger}) as (client, server):
        server.logger.info("hello %s", "there")
        client.logger.info("and here")
    assert [(record.name, record.getMessage()) for record in caplog.records[:2]] == [
        ("trio_wsendpoint.test", f"[stream: #{server.id}] hello there"),
        ("trio_wsendpoint", f"[stream: #{client.id}] and here"),
    ]
    adapter = logging.LoggerAdapter(logger, {})
    async with connection_pair(server={"logger": adapter}) as (_, other):
        other.logger.info("adapted")
    assert caplog.records[2].getMessage() == f"[stream: #{other.id}] adapted"


async def test_frames_and_payload() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("ab", fin=False), ContinuationFrame(b"c"), PingFrame(b"x"))
        assert await connection.receive() == "abc"
        await connection.send("grüße")
        await settle()
        now = connection.statistics()
        assert (now.frames_received, now.control_frames_received, now.pings_received) == (3, 1, 1)
        assert (now.frames_sent, now.control_frames_sent, now.pongs_sent) == (2, 1, 1)
        assert (now.payload_received, now.wire_payload_received) == (3, 3)
        assert (now.payload_sent, now.wire_payload_sent) == (7, 7)
        assert (now.compression_ratio_sent, now.compression_ratio_received) == (None, None)


async def test_compression() -> None:
    async with connection_pair(
        handshake=True, client={"deflate": Deflate()}, server={"deflate": Deflate()}
    ) as (client, server):
        await client.send("abc" * 1000)
        await client.send("abc" * 1000, compress=False)
        await server.receive()
        await server.receive()
        ours, theirs = client.statistics(), server.statistics()
        assert ours.payload_sent == theirs.payload_received == 6000
        assert ours.plain_sent == theirs.plain_received == 3000
        assert ours.compressed_sent == theirs.compressed_received < 100
        assert ours.wire_payload_sent == 3000 + ours.compressed_sent == theirs.wire_payload_received
        assert ours.compression_ratio_sent == 3000 / ours.compressed_sent
        assert theirs.compression_ratio_received == ours.compression_ratio_sent
        assert theirs.compression_ratio_sent is None


async def test_age() -> None:
    await trio.sleep(5)
    async with connection_pair() as (client, server):
        await trio.sleep(2)
        now = client.statistics()
        assert (now.opened, now.age, now.close_code, now.close_cause) == (5, 2, None, None)
        await client.aclose()
        await server.wait_closed()
        await trio.sleep(3)
        assert server.statistics().age == 2
        ended = client.statistics()
        assert (ended.close_code, ended.close_cause) == (1000, CloseCause.LOCAL)
        assert server.statistics().close_cause is CloseCause.PEER


async def test_the_cause_of_a_peer_that_takes_nothing() -> None:
    ours, theirs = half_pair()
    async with loses(), served((ours, theirs), timeouts=Timeouts(write=3)) as (connection, _):
        ours.room = 0
        await connection.send("stuck")
        await connection.wait_closed()
        ended = connection.statistics()
        assert (ended.close_code, ended.close_cause) == (1006, CloseCause.TIMEOUT)
        assert ended.age == 3


async def test_the_cause_of_a_stream_that_breaks() -> None:
    ours, theirs = half_pair()
    async with loses(), served((ours, theirs)) as (connection, _):
        ours.send_error = trio.BrokenResourceError("on purpose")
        await connection.send("lost")
        await connection.wait_closed()
        assert connection.statistics().close_cause is CloseCause.LOST


async def test_no_code_before_it_is_known() -> None:
    async with served() as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        await settle()
        now = connection.statistics()
        assert (now.close_code, now.close_cause) == (None, CloseCause.LOCAL)
        await peer.answer_close()
        await settle()
        assert connection.statistics().close_code == 1000
