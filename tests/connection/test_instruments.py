"""Instruments: what they are told, that silence costs nothing, and that they disturb nobody."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import connected, loud_records, may_lose, served, settle
from trio_wsendpoint import (
    BinaryFrame,
    CloseCause,
    Connection,
    ConnectionEnded,
    ConnectionLost,
    Deflate,
    Frame,
    HandshakeError,
    HandshakeRefused,
    HandshakeTimeout,
    Instrument,
    Opening,
    Peer,
    PingFrame,
    PongFrame,
    Response,
    TextFrame,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.connection.instruments import HOOKS
from trio_wsendpoint.testing import connection_pair, memory_stream_pair

MEMORY = Peer(address=None, transport="stream")


class Recorder(Instrument):
    """Notes everything."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.connections: set[Connection] = set()

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [one for one in self.heard if one[0] in kinds]

    def connection_opened(self, connection: Connection) -> None:
        assert connection.is_open
        self.connections.add(connection)
        self.heard.append(("opened",))

    def connection_closed(self, connection: Connection, statistics: Any) -> None:
        assert statistics == connection.statistics()
        self.connections.add(connection)
        self.heard.append(("closed", statistics.close_cause, statistics.close_code))

    def handshake_refused(self, error: HandshakeError, peer: Peer | None) -> None:
        self.heard.append(("refused", type(error).__name__, peer))

    def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
        self.connections.add(connection)
        self.heard.append(("frame sent", frame.type, size))

    def frame_received(self, connection: Connection, frame: Frame, size: int) -> None:
        self.connections.add(connection)
        self.heard.append(("frame received", frame.type, size))

    def message_sent(self, connection: Connection, type: str, size: int) -> None:
        self.connections.add(connection)
        self.heard.append(("message sent", type, size))

    def message_received(self, connection: Connection, type: str, size: int) -> None:
        self.connections.add(connection)
        self.heard.append(("message received", type, size))

    def round_trip(self, connection: Connection, seconds: float) -> None:
        self.connections.add(connection)
        self.heard.append(("round trip", seconds))

    def handler_ended(
        self, connection: Connection, seconds: float, error: Exception | None
    ) -> None:
        self.heard.append(("handler", seconds, type(error)))


def test_the_recorder_listens_to_everything() -> None:
    assert set(HOOKS) <= set(vars(Recorder))


async def test_a_conversation() -> None:
    recorder = Recorder()
    payload = b""
    async with served(instruments=[recorder]) as (connection, peer):
        await peer.send(TextFrame("abc"), PingFrame(b"?"))
        assert await connection.receive() == "abc"
        await settle()
        await connection.send(b"12345")
        async with connection.send_stream("text") as stream:
            await stream.send("grü")
            await stream.send("ße")
        await settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.ping)
            while (frame := await peer.next_frame()) is not None and frame.type != "ping":
                pass
            await trio.sleep(2)
            assert frame is not None
            payload = frame.payload
            await peer.send(PongFrame(payload))
        assert recorder.heard[0] == ("opened",)
        assert recorder.of("message received", "message sent", "round trip") == [
            ("message received", "text", 3),
            ("message sent", "binary", 5),
            ("message sent", "text", 7),
            ("round trip", 2.0),
        ]
        assert recorder.of("frame received") == [
            ("frame received", "text", 3),
            ("frame received", "ping", 1),
            ("frame received", "pong", len(payload)),
        ]
        assert [one[1] for one in recorder.of("frame sent")] == [
            "pong",
            "binary",
            "text",
            "continuation",
            "continuation",
            "ping",
        ]
        assert recorder.of("closed") == []
    assert recorder.heard[-1] == ("closed", CloseCause.LOST, 1006)
    assert recorder.connections == {connection}


async def test_both_sides_of_a_compressed_one() -> None:
    ours, theirs = Recorder(), Recorder()
    async with connection_pair(
        handshake=True,
        client={"deflate": Deflate(), "instruments": [ours]},
        server={"deflate": Deflate(), "instruments": [theirs]},
    ) as (client, server):
        await client.send("a" * 10_000)
        assert await server.receive() == "a" * 10_000
        await client.aclose(1000)
        with pytest.raises(ConnectionEnded):
            await server.receive()
        await server.wait_closed()
        assert theirs.of("closed") == [("closed", CloseCause.PEER, 1000)]
        now, then = client.statistics(), server.statistics()
    assert ours.of("message sent") == [("message sent", "text", 10_000)]
    assert theirs.of("message received") == [("message received", "text", 10_000)]
    [sent], [came] = ours.of("frame sent")[:1], theirs.of("frame received")[:1]
    assert sent[2] == came[2] < 100
    assert ours.of("closed") == [("closed", CloseCause.LOCAL, 1000)]
    ratio = now.compression_ratio_sent
    assert ratio is not None
    assert ratio > 100
    assert then.compression_ratio_received == ratio
    assert (then.compression_ratio_sent, now.compression_ratio_received) == (None, None)


async def test_the_client_side() -> None:
    recorder = Recorder()
    async with connected(instruments=[recorder]) as (connection, peer):
        await peer.send(BinaryFrame(b"x"))
        await connection.receive()
    assert recorder.heard[:3] == [
        ("opened",),
        ("frame received", "binary", 1),
        ("message received", "binary", 1),
    ]
    assert recorder.heard[-1][0] == "closed"


async def test_a_connection_that_is_cancelled_is_closed_too() -> None:
    recorder = Recorder()
    with trio.CancelScope() as scope:
        async with served(instruments=[recorder]):
            scope.cancel()
            await trio.sleep_forever()
    assert [one[0] for one in recorder.of("opened", "closed")] == ["opened", "closed"]


# ---- silence -----------------------------------------------------------------------------------


def listeners_of(connection: Connection) -> dict[str, Any]:
    """Return whatever somebody listens with."""
    endpoint, tasks = connection.endpoint, connection._tasks
    found = {
        "frame_sent": endpoint._sender.frame_listener,
        "message_sent": endpoint._sender.message_listener,
        "frame_received": endpoint._receiver.frame_listener,
        "message_received": endpoint.incoming.message_listener,
        "round_trip": tasks.session.pings._listener,
        "connection_closed": tasks._end_listener,
    }
    return {name: one for name, one in found.items() if one is not None}


class OneHook(Instrument):
    def __init__(self) -> None:
        self.calls = 0

    def message_received(self, connection: Connection, type: str, size: int) -> None:
        self.calls += 1


@pytest.mark.parametrize(
    ("instruments", "expected"),
    [([], set()), ([Instrument()], set()), ([OneHook(), Instrument()], {"message_received"})],
)
async def test_where_nobody_listens_there_is_nothing(
    instruments: list[Instrument], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a hook that is not overridden was called")

    async with may_lose(), served(instruments=instruments) as (connection, peer):
        assert set(listeners_of(connection)) == expected
        # Whatever Instrument's own hooks do now, they are not called.
        for name in HOOKS:
            monkeypatch.setattr(Instrument, name, fail)
        await peer.send(TextFrame("abc"))
        await connection.receive()
        await connection.send("abc")
    if expected:
        assert isinstance(instruments[0], OneHook)
        assert instruments[0].calls == 1


async def test_a_hook_of_the_instance_counts_as_overridden() -> None:
    instrument, heard = Instrument(), list[Any]()
    instrument.connection_opened = heard.append  # type: ignore[assignment,method-assign]
    async with served(instruments=[instrument]) as (connection, _):
        assert heard == [connection]


# ---- those that fail ----------------------------------------------------------------------------


class Failing(Instrument):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def message_received(self, connection: Connection, type: str, size: int) -> None:
        self.calls.append("message")
        raise RuntimeError("on purpose")

    def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
        self.calls.append("frame")

    def connection_closed(self, connection: Connection, statistics: Any) -> None:
        self.calls.append("closed")


@pytest.mark.parametrize("nonblocking", [True, False])
async def test_one_that_raises_ends_its_connection_and_no_other(
    caplog: pytest.LogCaptureFixture, nonblocking: bool
) -> None:
    failing, recorder = Failing(), Recorder()
    options: Any = {"instruments": [failing, recorder]}
    async with (
        connection_pair(server=options) as (_, other),
        connection_pair(streams=memory_stream_pair(nonblocking=nonblocking), server=options) as (
            client,
            server,
        ),
    ):
        await client.send("two")
        assert await server.receive() == "two"  # what came is the app's
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert caught.value.code == 1011
        with pytest.raises(ConnectionLost) as caught:
            await server.receive()
        assert type(caught.value.__cause__) is RuntimeError
        assert other.is_open
    assert len(recorder.of("message received")) == 1
    [record] = loud_records(caplog)
    assert record.getMessage().endswith("the connection fails with an internal error")
    assert record.exc_info is not None


async def test_one_that_raises_when_it_is_told_of_the_beginning_or_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Opened(Instrument):
        def connection_opened(self, connection: Connection) -> None:
            raise RuntimeError("opened")

    class Closed(Instrument):
        def connection_closed(self, connection: Connection, statistics: Any) -> None:
            raise RuntimeError("closed")

    async with connection_pair(server={"instruments": [Opened()]}) as (client, _):
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert caught.value.code == 1011
    assert len(loud_records(caplog)) == 1
    caplog.clear()
    async with connection_pair(server={"instruments": [Closed()]}) as (client, server):
        await client.send("abc")
        assert await server.receive() == "abc"
    assert len(loud_records(caplog)) == 1


@pytest.mark.parametrize("what", [object(), Instrument, "x"])
def test_what_is_no_instrument(what: Any) -> None:
    with pytest.raises(TypeError, match="objects of subclasses of Instrument"):
        connect_endpoint("ws://example.test/", instruments=[what])


def test_one_that_is_async() -> None:
    class Waiting(Instrument):
        async def connection_opened(self, connection: Connection) -> None:  # type: ignore[override]
            pass

    with pytest.raises(TypeError, match=r"Waiting.connection_opened must not be async"):
        connect_endpoint("ws://example.test/", instruments=[Waiting()])


# ---- openings that fail --------------------------------------------------------------------------


async def test_a_request_that_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    class Unlucky(Instrument):
        def handshake_refused(self, error: HandshakeError, peer: Peer | None) -> None:
            raise RuntimeError("on purpose")

    async def no(_: Opening) -> Response:
        return Response(403)

    for data, name in ((b"nonsense\r\n\r\n", "BadRequest"), (b"", "HandshakeError")):
        recorder = Recorder()
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(data) if data else await theirs.send_eof()
        with pytest.raises(HandshakeError):
            async with accept_endpoint(ours, instruments=[Unlucky(), recorder, Instrument()]):
                raise AssertionError
        assert recorder.heard == [("refused", name, MEMORY)]
    assert len(loud_records(caplog)) == 2
    ours_heard, theirs_heard = Recorder(), Recorder()
    with pytest.raises(HandshakeRefused):
        async with connection_pair(
            handshake=True,
            client={"instruments": [ours_heard]},
            server={"instruments": [theirs_heard], "process_request": no},
        ):
            raise AssertionError
    assert ours_heard.heard == [("refused", "HandshakeRefused", MEMORY)]
    assert theirs_heard.heard == [("refused", "RequestAnswered", MEMORY)]


async def test_an_answer_that_never_comes() -> None:
    recorder = Recorder()
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(HandshakeTimeout):
        async with connect_endpoint("ws://example.test/", stream=ours, instruments=[recorder]):
            raise AssertionError
    assert recorder.heard == [("refused", "HandshakeTimeout", None)]
