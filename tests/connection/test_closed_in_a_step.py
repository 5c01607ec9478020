"""A callback that uses a connection whose endpoint has closed in the same step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.connection.helpers import both_forms, loud_records, served, settle
from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ConnectionClosed,
    ConnectionLost,
    ControlFrame,
    PingFrame,
    ServerEndpoint,
)

pytestmark = both_forms


class Caller:
    """Calls `send_nowait` before each Close frame, and raises `error` before a pong."""

    def __init__(self, error: Exception | None = None) -> None:
        self.connection: Connection | None = None
        self.error = error
        self.found: list[tuple[bool, Exception | None]] = []

    def __call__(self, frame: ControlFrame) -> None:
        if self.error is not None and frame.type == "pong":
            raise self.error
        if isinstance(frame, CloseFrame):
            self.call()

    def call(self) -> None:
        assert self.connection is not None
        try:
            self.connection.send_nowait("a last word")
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.found.append((self.connection.is_open, error))
        else:
            self.found.append((self.connection.is_open, None))


@pytest.mark.parametrize("how", ["a callback raises", "the peer closes", "we close"])
async def test_before_our_close_frame_leaves_the_connection_is_closed(how: str) -> None:
    caller = Caller(ValueError("of the user's") if how == "a callback raises" else None)
    async with served(before_send_frame=caller) as (connection, peer):
        caller.connection = connection
        if how == "a callback raises":
            await peer.send(PingFrame(b"x"))
        elif how == "the peer closes":
            await peer.send(CloseFrame(1000))
        else:
            connection.endpoint.close()
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        await settle()
        [(is_open, error)] = caller.found
        assert not is_open
        assert isinstance(error, ConnectionClosed)


async def test_in_on_close_the_connection_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller()

    class Last(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            caller.call()

    async with served(endpoint_class=Last) as (connection, peer):
        caller.connection = connection
        await peer.send(CloseFrame(1000))
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        assert await peer.expect_close() == (1000, "")
    [(is_open, error)] = caller.found
    assert not is_open
    assert isinstance(error, ConnectionClosed)
    assert loud_records(caplog) == []


USES: dict[str, Callable[[Connection], object]] = {
    "send": lambda connection: connection.send("x"),
    "ping": lambda connection: connection.ping(),
}


@pytest.mark.parametrize("name", USES)
async def test_an_endpoint_that_the_app_has_closed(name: str) -> None:
    async with served() as (connection, peer):
        connection.endpoint.close(1001)
        assert not connection.is_open
        with pytest.raises(ConnectionLost, match="we closed with 1001"):
            await USES[name](connection)  # type: ignore[misc]
        with pytest.raises(ConnectionLost):
            async with connection.send_stream("text"):
                raise AssertionError("it was entered")
        with pytest.raises(ConnectionLost):
            connection.send_nowait("x")
        await settle()
        assert (await peer.expect_close())[0] == 1001


async def test_a_stream_of_a_message_whose_endpoint_the_app_has_closed() -> None:
    async with served() as (connection, _):
        stream = await connection.send_stream("text").__aenter__()
        connection.endpoint.close()
        with pytest.raises(ConnectionLost):
            await stream.send("x")
        with pytest.raises(ConnectionLost):
            await stream.__aexit__(None, None, None)
