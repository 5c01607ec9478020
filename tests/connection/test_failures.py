"""Callbacks that raise, and our own bugs: one connection's failure is its own."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    AWAY,
    Clock,
    away,
    both_forms,
    connected,
    connection_pair,
    half_pair,
    is_non_blocking,
    loud_records,
    served,
    settle,
)
from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    CloseFrame,
    ConnectionClosed,
    ConnectionEnded,
    ConnectionLost,
    ControlFrame,
    DataFrame,
    Heartbeat,
    Limits,
    PingFrame,
    PongFrame,
    ServerEndpoint,
    TextFrame,
    Timeouts,
)

pytestmark = both_forms


class CallbackError(Exception):
    """What a callback raises."""


def fails(*args: object) -> Any:
    raise CallbackError("of mine")


class Raising(ServerEndpoint):
    """Raises in whatever it is asked for."""

    def on_ping(self, frame: PingFrame) -> None:
        raise CallbackError("of mine")

    def on_pong(self, frame: PongFrame) -> None:
        raise CallbackError("of mine")

    def on_close(self, frame: CloseFrame) -> None:
        raise CallbackError("of mine")


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({"on_data_frame": fails}, TextFrame("x")),
        ({"before_send_frame": fails}, PingFrame(b"x")),
        ({"endpoint_class": Raising}, PingFrame(b"x")),
        ({"endpoint_class": Raising}, PongFrame(b"x")),
        ({"on_data_frame": lambda frame: "no frame"}, TextFrame("x")),
        ({"on_data_frame": lambda frame: BinaryFrame(b"other")}, TextFrame("x")),
    ],
)
@pytest.mark.parametrize("closes", [True, False])
async def test_a_callback_that_raises(
    options: dict[str, Any],
    frame: TextFrame | PingFrame | PongFrame,
    closes: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connection_pair() as (other, _), served(**options) as (connection, peer):
        clock = Clock()
        async with trio.open_nursery() as nursery:
            if closes:
                nursery.start_soon(answer, peer)
            await peer.send(frame)
            with pytest.raises(ConnectionLost) as caught:
                await connection.receive()
            error = caught.value
            assert error.__cause__ is not None
            assert str(error).startswith(f"internal error: {error.__cause__!r}; ")
            assert "we closed with 1011 (INTERNAL_ERROR)" in str(error)
            with pytest.raises(ConnectionLost):
                await connection.send("x")
            with pytest.raises(ConnectionLost):
                await connection.ping()
            if not closes:
                frames = await peer.rest()
                assert frames[-1] == ("close", b"\x03\xf3")
                assert {kind for kind, _ in frames[:-1]} <= {"pong"}
            await connection.wait_closed()
        assert clock.now <= (0 if closes else Timeouts().close)
        assert other.is_open
        assert await other.ping() <= (AWAY if is_non_blocking() else 0)
    records = loud_records(caplog)
    assert [record.getMessage() for record in records] == [
        f"[stream: #{connection.id}] the connection fails with an internal error"
    ]
    assert records[0].levelname == "ERROR"
    assert records[0].exc_info is not None
    assert records[0].exc_info[1] is error.__cause__


async def answer(peer) -> None:
    while True:
        frame = await peer.next_frame()
        if isinstance(frame, CloseFrame):
            assert frame.code == 1011
            await peer.send(CloseFrame(frame.code))
            await peer.end_sending()
            return


async def test_on_close_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async with served(endpoint_class=Raising) as (connection, peer):
        await peer.send(CloseFrame(1000))
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert type(caught.value.__cause__) is CallbackError
        assert await peer.expect_close() == (1011, "")  # the peer is answered all the same
    assert len(loud_records(caplog)) == 1


async def test_before_send_frame_that_raises_for_our_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected(before_send_frame=fails) as (connection, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            assert await peer.answer_close() == (1000, "")
        await connection.wait_closed()
    assert len(loud_records(caplog)) == 1


async def test_before_send_frame_sees_every_control_frame_once() -> None:
    seen: list[str] = []
    ours, theirs = half_pair()

    def see(frame: ControlFrame) -> None:
        seen.append(frame.type)

    async with (
        served((ours, theirs), before_send_frame=see, heartbeat=Heartbeat(interval=4)) as (
            connection,
            peer,
        ),
        trio.open_nursery() as nursery,
    ):
        await connection.send("data")
        await peer.send(PingFrame(b"x"))
        await away()
        assert seen == ["pong"]
        await trio.sleep(4)
        await settle()
        assert seen == ["pong", "ping"]
        nursery.start_soon(connection.aclose)
        await settle()
        assert seen == ["pong", "ping", "close"]
        await peer.end_sending()


async def test_on_data_frame_may_change_what_arrives() -> None:
    def shout(frame: DataFrame) -> DataFrame | None:
        if frame.type == "text":
            return TextFrame(frame.payload.upper().decode(), fin=frame.fin)
        return None

    async with served(on_data_frame=shout) as (connection, peer):
        await peer.send(TextFrame("quiet"), BinaryFrame(b"left alone"))
        assert await connection.receive() == "QUIET"
        assert await connection.receive() == b"left alone"


@pytest.mark.parametrize("call", ["close", "send", "ping"])
async def test_a_callback_may_use_the_endpoint(call: str) -> None:
    class Own(ServerEndpoint):
        def on_ping(self, frame: PingFrame) -> None:
            super().on_ping(frame)
            if call == "close":
                self.close(4000, "no pings")
            elif call == "send":
                self.send_message("a message")
            else:
                self.ping()

    async with served(endpoint_class=Own) as (connection, peer):
        await peer.send(PingFrame(b"?"))
        assert await peer.next_frame() == PongFrame(b"?")
        if call == "close":
            assert await peer.expect_close() == (4000, "no pings")
            with pytest.raises(ConnectionLost):
                await connection.receive()
        elif call == "send":
            assert await peer.next_frame() == TextFrame("a message")
        else:
            frame = await peer.next_frame()
            assert frame is not None
            assert frame.type == "ping"


@pytest.mark.parametrize("where", ["on_data_frame", "before_send_frame"])
async def test_an_interrupt_in_a_callback_is_not_swallowed(where: str) -> None:
    interrupts = [KeyboardInterrupt()]

    def interrupt(frame: object) -> Any:
        if interrupts:
            raise interrupts.pop()

    options: dict[str, Any] = {where: interrupt}
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - raised in a task beside the block
        async with served(**options) as (connection, peer):
            await peer.send(TextFrame("x"), PingFrame(b"x"))
            await connection.receive()
            await trio.sleep_forever()


async def test_interrupts_in_every_callback_do_not_keep_the_connection_from_its_end() -> None:
    def interrupt(frame: object) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(BaseException) as caught:  # noqa: PT011, PT012 - one of them, or more
        async with served(before_send_frame=interrupt) as (connection, peer):
            await peer.send(TextFrame("x"), PingFrame(b"x"))
            await connection.receive()
            await trio.sleep_forever()
    found = caught.value
    assert isinstance(found, (KeyboardInterrupt, BaseExceptionGroup))
    if isinstance(found, BaseExceptionGroup):
        assert found.split(KeyboardInterrupt)[1] is None
    assert connection._tasks.session.ended_at < float("inf")


async def test_what_came_before_can_still_be_read() -> None:
    async with served(endpoint_class=Raising) as (connection, peer):
        await peer.send(TextFrame("a"), TextFrame("b"), PingFrame(b"x"), TextFrame("never"))
        await settle()
        assert [await connection.receive(), await connection.receive()] == ["a", "b"]
        with pytest.raises(ConnectionLost):
            await connection.receive()


@pytest.mark.parametrize("way", ["read", "write"])
async def test_a_stream_that_raises_what_no_stream_should(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = half_pair()
    options = {"timeouts": Timeouts(close=3)}
    async with served((ours, theirs), **options) as (connection, _):
        await settle()
        clock = Clock()
        error = RuntimeError("no stream should")
        if way == "read":
            ours.fail(error)
        else:
            ours.send_error = error
            await connection.send("x")
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.__cause__ is error
        await connection.wait_closed()
        assert clock.now <= 3
    assert len(loud_records(caplog)) == 1


async def test_a_peer_that_sends_more_than_it_may() -> None:
    limits = Limits(control_rate=5, message_rate=3)
    async with served(limits=limits) as (connection, peer):
        await peer.send(*(TextFrame(str(number)) for number in range(3)))
        for number in range(3):
            assert await connection.receive() == str(number)
        await trio.sleep(1)
        await peer.send(*(TextFrame(str(number)) for number in range(4)))
        for number in range(3):
            assert await connection.receive() == str(number)
        with pytest.raises(ConnectionLost, match="more than 3 messages in a second"):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1013
    async with served(limits=limits) as (connection, peer):
        await peer.send(*(PongFrame() for _ in range(5)))
        await trio.sleep(1)
        await peer.send(*(PongFrame() for _ in range(6)))
        with pytest.raises(ConnectionLost, match="more than 5 control frames in a second"):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1008


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_callback_that_sees_the_close_is_told_of_it(
    side: str, autojump_clock: object
) -> None:
    told: list[Exception] = []

    base: type[Any] = ClientEndpoint if side == "client" else ServerEndpoint

    class Answering(base):  # type: ignore[misc]
        def on_close(self, frame: CloseFrame) -> None:
            try:
                (pair.client if side == "client" else pair.server).send_nowait("too late")
            except ConnectionClosed as error:
                told.append(error)

    options: dict[str, Any] = {side: {"endpoint_class": Answering}}
    async with connection_pair(**options) as pair:
        one, other = (pair.client, pair.server) if side == "client" else (pair.server, pair.client)
        await other.aclose(1001, "bye")
        with pytest.raises(ConnectionEnded):
            await one.receive()
    assert [type(error) for error in told] == [ConnectionLost]
