"""How an end is told: which exception, with which facts, in every call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    Peer,
    connected,
    half_pair,
    loud_records,
    served,
    settle,
)
from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    Heartbeat,
    InvalidPayload,
    Limits,
    MessageTooBig,
    PolicyViolation,
    ProtocolError,
    ServerEndpoint,
    State,
    TextFrame,
    Timeouts,
    UnexpectedEOF,
    WebSocketError,
)


async def receive(connection: Connection) -> object:
    return await connection.receive()


async def receive_message(connection: Connection) -> object:
    return await connection.receive_message()


async def receive_nowait(connection: Connection) -> object:
    return connection.receive_nowait()


async def send(connection: Connection) -> object:
    await connection.send("x")
    return None


async def send_nowait(connection: Connection) -> object:
    connection.send_nowait("x")
    return None


async def ping(connection: Connection) -> object:
    return await connection.ping()


RECEIVING = [receive, receive_message, receive_nowait]
SENDING = [send, send_nowait, ping]
Call = Callable[[Connection], Awaitable[object]]


async def raised(call: Call, connection: Connection) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as caught:
        await call(connection)
    assert "\n" not in str(caught.value)
    return caught.value


def test_each_is_trio_s_own_exception_too() -> None:
    assert issubclass(ConnectionEnded, trio.EndOfChannel)
    assert issubclass(ConnectionLost, trio.BrokenResourceError)
    assert issubclass(ConnectionClosedLocally, trio.ClosedResourceError)
    for one in (ConnectionEnded, ConnectionLost, ConnectionClosedLocally):
        assert issubclass(one, ConnectionClosed)
        assert issubclass(one, WebSocketError)


@pytest.mark.parametrize(
    ("frame", "kind", "code", "text"),
    [
        (CloseFrame(1000), ConnectionEnded, 1000, "the peer closed with 1000 (SUCCESS)"),
        (
            CloseFrame(1001, "bye"),
            ConnectionEnded,
            1001,
            "the peer closed with 1001 (ENDPOINT_UNAVAILABLE) 'bye'",
        ),
        (CloseFrame(None), ConnectionEnded, 1005, "the peer closed with no code"),
        (CloseFrame(4000, "no"), ConnectionLost, 4000, "the peer closed with 4000 'no'"),
        (CloseFrame(1011), ConnectionLost, 1011, "the peer closed with 1011 (INTERNAL_ERROR)"),
    ],
)
async def test_the_peer_closes(
    frame: CloseFrame,
    kind: type[ConnectionClosed],
    code: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reason = frame.reason
    async with served() as (connection, peer):
        await peer.send(TextFrame("before"), frame)
        assert await connection.receive() == "before"
        for call in RECEIVING:
            if call is receive_nowait:
                await settle()
            error = await raised(call, connection)
            assert type(error) is kind
            assert (error.code, error.reason) == (code, reason)
            assert error.received is not None
            assert (error.received.code, error.received.reason) == (frame.code, reason)
            assert error.sent is not None
            assert (error.sent.code, error.sent.reason) == (frame.code, reason)
            assert error.__cause__ is None
            assert str(error) == text + "; we confirmed it"
        for call in SENDING:
            error = await raised(call, connection)
            assert type(error) is ConnectionLost
            assert (error.code, error.reason, error.__cause__) == (code, reason, None)
            assert str(error).startswith(text)
        assert await peer.expect_close() == (frame.code, reason)
        assert not connection.is_open
    assert loud_records(caplog) == []


@pytest.mark.parametrize("opened", [served, connected])
async def test_the_peer_s_bytes_end(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as (connection, peer):
        await peer.send(TextFrame("before"))
        await peer.stream.aclose()
        assert await connection.receive() == "before"
        for call in RECEIVING + SENDING:
            error = await raised(call, connection)
            assert type(error) is ConnectionLost
            assert (error.code, error.reason) == (1006, "")
            assert (error.sent, error.received) == (None, None)
            assert type(error.__cause__) is UnexpectedEOF
            assert str(error) == "the bytes ended without a close frame"
        assert connection.endpoint.state is State.FAILED
    assert loud_records(caplog) == []


async def test_the_peer_s_bytes_end_inside_a_frame() -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("whole"))
        await peer.stream.send_all(peer.to_bytes(TextFrame("cut off"))[:-3])
        await peer.stream.aclose()
        assert await connection.receive() == "whole"
        error = await raised(receive, connection)
        assert str(error) == "the bytes ended inside a frame, 3 bytes before its end"
        assert error.code == 1006


async def test_reading_breaks_inside_a_frame(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        await peer.send(TextFrame("whole"))
        await peer.stream.send_all(peer.to_bytes(TextFrame("cut off"))[:-3])
        await settle()
        broken = trio.BrokenResourceError("socket connection broken")
        broken.__cause__ = ConnectionResetError(104, "Connection reset by peer")
        ours.fail(broken)
        assert await connection.receive() == "whole"
        for call in RECEIVING + SENDING:
            error = await raised(call, connection)
            assert type(error) is ConnectionLost
            assert error.code == 1006
            assert type(error.__cause__) is UnexpectedEOF
            assert error.__cause__.__cause__ is broken
            assert str(error) == f"the connection was lost: {broken.__cause__!r}"
    assert loud_records(caplog) == []


async def test_reading_breaks_for_no_known_cause() -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, _):
        await settle()
        ours.fail(trio.ClosedResourceError("pulled away"))
        error = await raised(receive, connection)
        assert str(error) == "the connection was lost: ClosedResourceError('pulled away')"


@pytest.mark.parametrize("error_text", ["socket connection broken", ""])
async def test_writing_breaks(error_text: str, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = half_pair()
    async with served((ours, theirs)) as (connection, peer):
        await peer.send(TextFrame("before"))
        await settle()
        broken = ours.send_error = trio.BrokenResourceError(error_text)
        await connection.send("this fails")
        await settle()
        for call in SENDING:
            error = await raised(call, connection)
            assert type(error) is ConnectionLost
            assert error.__cause__ is broken
            assert error.code == 1006
            text = str(error)
            assert "open" not in text
            assert text == f"the connection was lost: {broken!r}"
        assert not connection.is_open
        # What the peer has sent can still be read, and how it ended be told.
        assert await connection.receive() == "before"
        await peer.send(TextFrame("after"), CloseFrame(1011))
        assert await connection.receive() == "after"
        error = await raised(receive, connection)
        assert type(error) is ConnectionLost
        assert error.code == 1011
    assert loud_records(caplog) == []


async def test_we_close(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (connection, peer):
        await peer.send(TextFrame("discarded"))
        await settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose, 4001, "why")
            assert await peer.answer_close() == (4001, "why")
        for call in RECEIVING + SENDING:
            error = await raised(call, connection)
            assert type(error) is ConnectionClosedLocally
            assert (error.code, error.reason) == (4001, "why")
            assert error.sent is not None
            assert (error.sent.code, error.sent.reason) == (4001, "why")
            assert error.__cause__ is None
            assert str(error) == "we closed with 4001 'why'; the peer confirmed it"
    assert loud_records(caplog) == []


@pytest.mark.parametrize(
    ("data", "kind", "code", "text"),
    [
        (b"\x83\x80abcd", ProtocolError, 1002, "unknown opcode 3"),
        (b"\x81\x82\x00\x00\x00\x00\xff\xff", InvalidPayload, 1007, "UTF-8"),
        (b"\x82\xfe\x03\xe9\x00\x00\x00\x00", MessageTooBig, 1009, "1001 bytes"),
        (b"\x01\x80abcd" + b"\x00\x80abcd" * 9, PolicyViolation, 1008, "in 5 frames"),
        (b"\x81\x00", ProtocolError, 1002, "an unmasked frame from a client"),
    ],
)
async def test_the_peer_violates_the_protocol(
    data: bytes,
    kind: type[Exception],
    code: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(limits=Limits(message_size=1000, fragments=4)) as (connection, peer):
        await peer.send(TextFrame("before"))
        await peer.stream.send_all(data)
        assert await connection.receive() == "before"
        for call in [receive, *SENDING, receive_message, receive_nowait]:
            error = await raised(call, connection)
            assert type(error) is ConnectionLost
            assert type(error.__cause__) is kind
            # No Close frame came: RFC 6455 section 7.1.5.
            assert (error.code, error.reason, error.received) == (1006, "", None)
            assert error.sent is not None
            assert error.sent.code == code
            assert text in str(error)
            assert re.search(rf"; we closed with {code} \(\w+\)$", str(error))
        sent_code, reason = await peer.expect_close()
        assert sent_code == code
        assert text in reason
    assert loud_records(caplog) == []


async def test_a_peer_that_wakes_up_when_we_have_given_it_up_has_not_closed_in_order() -> None:
    async with served(heartbeat=Heartbeat(interval=1, max_pings=1)) as (connection, peer):
        error = await raised(receive, connection)
        assert type(error) is ConnectionLost
        assert "Unanswered ping(s): 1" in str(error)
        await peer.send(CloseFrame(1000))
        await settle()
        error = await raised(receive, connection)
        assert type(error) is ConnectionLost


async def test_what_an_endpoint_of_ours_answers_does_not_unmake_an_orderly_close() -> None:
    class Own(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            self.close(4000, "so long")

    async with served(endpoint_class=Own) as (connection, peer):
        await peer.send(CloseFrame(1000))
        error = await raised(receive, connection)
        assert type(error) is ConnectionEnded
        assert await peer.expect_close() == (4000, "so long")


async def test_nothing_of_the_peer_s_is_told_unescaped(caplog: pytest.LogCaptureFixture) -> None:
    reason = "a\r\nb\x1b[31mc\u202e\x00"
    async with served() as (connection, peer):
        await peer.send(CloseFrame(4000, reason))
        error = await raised(receive, connection)
        assert error.reason == reason
        assert str(error).isprintable()
        assert repr(connection).isprintable()
    for record in caplog.records:
        assert record.getMessage().isprintable()


async def end_by_close(peer: Peer, connection: Connection) -> None:
    await peer.send(CloseFrame(1000))


async def end_by_eof(peer: Peer, connection: Connection) -> None:
    await peer.stream.aclose()


async def end_by_violation(peer: Peer, connection: Connection) -> None:
    await peer.stream.send_all(b"\xff\xff")


async def end_by_us(peer: Peer, connection: Connection) -> None:
    await connection.aclose()


@pytest.mark.parametrize(
    ("end", "kinds"),
    [
        (end_by_close, (ConnectionEnded, ConnectionLost)),
        (end_by_eof, (ConnectionLost, ConnectionLost)),
        (end_by_violation, (ConnectionLost, ConnectionLost)),
        (end_by_us, (ConnectionClosedLocally, ConnectionClosedLocally)),
    ],
)
async def test_every_waiter_is_woken_at_once(end: Any, kinds: tuple[type, type]) -> None:
    ours, theirs = half_pair()
    woken: dict[str, tuple[type, float]] = {}
    async with served((ours, theirs), limits=Limits(send_buffer=1)) as (connection, peer):
        ours.room = 0

        async def wait(name: str, call: Call) -> None:
            try:
                await call(connection)
            except ConnectionClosed as error:
                woken[name] = (type(error), trio.current_time())
            else:
                woken[name] = (type(None), trio.current_time())

        await connection.send("stuck")
        await settle()
        await connection.send("queued")
        async with trio.open_nursery() as nursery:
            for name, call in {
                "receive": receive,
                "send": send,
                "send 2": send,
                "ping": ping,
                "wait_closed": Connection.wait_closed,
            }.items():
                nursery.start_soon(wait, name, call)
            await settle()
            assert woken == {}
            start = trio.current_time()
            nursery.start_soon(end, peer, connection)
            await settle()
            assert woken["receive"] == (kinds[0], start)
            assert woken["send"] == woken["send 2"] == (kinds[1], start)
            ours.room = None
        closed = woken["wait_closed"][1]
        assert woken["wait_closed"] == (type(None), closed)
        assert woken["ping"] == (kinds[1], closed)
        assert closed - start <= Timeouts().close


async def test_the_text_says_what_the_state_was_in_words() -> None:
    async with served() as (connection, peer):
        await peer.send(CloseFrame(4000, "a reason"))
        error = await raised(receive, connection)
        assert str(error) == "the peer closed with 4000 'a reason'; we confirmed it"
        await connection.wait_closed()
        assert str(await raised(receive, connection)) == str(error)
