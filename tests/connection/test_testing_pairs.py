"""`trio_wsendpoint.testing`: what users' own tests are made of."""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    CloseFrame,
    ConnectionEnded,
    HandshakeError,
    HandshakeRefused,
    Heartbeat,
    Limits,
    Response,
)
from trio_wsendpoint.testing import (
    ConnectionPair,
    EndpointPair,
    Faults,
    MemoryNetwork,
    connection_pair,
    endpoint_pair,
    seeded_bytes,
)


def test_seeded_bytes() -> None:
    one, two, other = seeded_bytes(1), seeded_bytes(1), seeded_bytes(2)
    first = [one(16), one(4)]
    assert first == [two(16), two(4)]
    assert first[0] != other(16)
    assert [len(piece) for piece in first] == [16, 4]
    assert first[0] != one(16)


@pytest.mark.parametrize("handshake", [False, True])
async def test_a_pair(handshake: bool) -> None:
    async with connection_pair(handshake=handshake) as pair:
        assert isinstance(pair, ConnectionPair)
        client, server = pair
        assert (pair.client, pair.server) == (client, server)
        assert client.endpoint.masks
        assert not server.endpoint.masks
        await client.send("there")
        assert await server.receive() == "there"
        await server.send(b"back")
        assert await client.receive() == b"back"
        assert client.response.status == server.response.status == 101
        assert client.request.headers["host"] == server.request.headers["host"] == "example.test"
    assert not client.is_open
    assert not server.is_open
    await client.wait_closed()
    await server.wait_closed()


async def test_options_reach_their_side() -> None:
    async with connection_pair(
        client={"limits": Limits(receive_buffer=1), "heartbeat": None},
        server={"limits": Limits(message_size=3), "heartbeat": Heartbeat(interval=1)},
    ) as (client, server):
        await client.send("four")
        with pytest.raises(trio.BrokenResourceError):
            await server.receive()
    with pytest.raises(TypeError, match="limits must be Limits"):
        connection_pair(client={"limits": 5})  # type: ignore[arg-type]


async def test_a_url_and_headers_with_a_handshake() -> None:
    async with connection_pair(
        handshake=True,
        url="ws://other.test:81/path?query",
        client={
            "headers": {"X-One": "1"},
            "subprotocols": ["chat"],
            "origin": "http://other.test:81",
        },
        server={"headers": {"X-Two": "2"}, "subprotocols": ["chat"]},
    ) as (client, server):
        assert server.request.target == "/path?query"
        assert server.request.headers["host"] == "other.test:81"
        assert server.request.headers["x-one"] == "1"
        assert client.response.headers["x-two"] == "2"
        assert client.subprotocol == "chat"


async def test_a_handshake_that_is_refused() -> None:
    async def refuse(request: object) -> Response:
        return Response(403)

    with pytest.raises(HandshakeRefused, match="403"):
        async with connection_pair(handshake=True, server={"process_request": refuse}):
            pytest.fail("there is no connection")
    with pytest.raises(HandshakeRefused, match="403"):
        async with connection_pair(handshake=True, client={"origin": "http://elsewhere.test"}):
            pytest.fail("there is no connection")


async def test_a_handshake_that_is_cancelled() -> None:
    async def think(request: object) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        async with connection_pair(handshake=True, server={"process_request": think}):
            pytest.fail("there is no connection")
    assert scope.cancelled_caught


async def test_a_handshake_over_which_one_side_fails_alone() -> None:
    client, server = trio.testing.memory_stream_pair()

    class Raising(trio.abc.HalfCloseableStream):
        async def send_all(self, data: object) -> None:
            raise ZeroDivisionError

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return bytes(await client.receive_some(max_bytes))

        async def wait_send_all_might_not_block(self) -> None:
            pass

        async def send_eof(self) -> None:
            pass

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    with pytest.raises(ZeroDivisionError):
        async with connection_pair(handshake=True, streams=(Raising(), server)):
            pytest.fail("there is no connection")


async def test_a_handshake_that_fails_leaves_no_stream_open() -> None:
    for operation in range(1, 10):
        network = MemoryNetwork(client=Faults(fail_at_operation=operation))
        with contextlib.suppress(HandshakeError):
            async with connection_pair(handshake=True, streams=network.pair()):
                pass
        assert network.open_streams == ()


async def test_over_lockstep_streams() -> None:
    async with (
        connection_pair(handshake=True, streams=trio.testing.lockstep_stream_pair()) as (
            client,
            server,
        ),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send, "x" * 1000)
        assert await server.receive() == "x" * 1000
        nursery.start_soon(server.aclose)
        with pytest.raises(ConnectionEnded):
            await client.receive()


async def test_a_run_is_the_same_bit_for_bit() -> None:
    async def run() -> bytes:
        sent = bytearray()
        ours, theirs = trio.testing.memory_stream_pair()

        async def record() -> None:
            data = ours.send_stream.get_data_nowait()
            sent.extend(data)
            theirs.receive_stream.put_data(data)

        ours.send_stream.send_all_hook = record
        async with connection_pair(
            handshake=True,
            streams=(ours, theirs),
            client={"random_bytes": seeded_bytes(3), "heartbeat": Heartbeat(interval=4)},
        ) as (client, server):
            await client.send("x")
            assert await server.receive() == "x"
            await client.ping()
            await trio.sleep(10)
        return bytes(sent)

    assert await run() == await run()


async def test_an_error_of_the_block() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with connection_pair() as (client, server):
            raise ValueError("mine")
    assert server.endpoint.closing.sent == CloseFrame(1011)
    assert client.endpoint.closing.received == CloseFrame(1011)


# ---- what a handler finds ------------------------------------------------------------------------


@pytest.mark.parametrize("handshake", [False, True])
async def test_a_path_and_headers(handshake: bool) -> None:
    async with connection_pair(
        handshake=handshake,
        path="/chat?room=1",
        headers={"Cookie": "a=b"},
        state={"user": "ana"},
        client={"headers": [("X-Own", "1")]},
    ) as (client, server):
        assert server.state == {"user": "ana"}
        assert client.state != server.state
        for connection in (client, server):
            request = connection.request
            assert (request.path, request.query.raw) == ("/chat", "room=1")
            assert (request.headers["Cookie"], request.headers["X-Own"]) == ("a=b", "1")
            assert request.host == "example.test"
            assert "User-Agent" in request.headers


@pytest.mark.parametrize("handshake", [False, True])
async def test_the_path_of_the_url(handshake: bool) -> None:
    async with connection_pair(handshake=handshake, url="ws://a.test:81/x?y") as (_, server):
        assert (server.request.target, server.request.host) == ("/x?y", "a.test:81")
    async with connection_pair(handshake=handshake, url="ws://a.test/x", path="/") as (_, server):
        assert (server.request.target, server.request.host) == ("/", "a.test")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"path": "chat"}, ValueError, "path begins with a /, unlike 'chat'"),
        ({"path": "@elsewhere.test/"}, ValueError, "path begins with a /"),
        ({"path": "/a b"}, HandshakeError, "percent-encode"),
        ({"headers": {"A\nB": "x"}}, ValueError, "header name"),
        ({"url": "http://a.test/"}, HandshakeError, "use ws://"),
        ({"client": {"proxy": True}}, ValueError, "connected already: leave out proxy="),
        ({"client": {"redirects": 5}}, ValueError, "connected already: leave out redirects="),
    ],
)
def test_what_makes_no_pair(options, error, says) -> None:
    with pytest.raises(error, match=says):
        connection_pair(**options)


# ---- endpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_two_endpoints_on_a_wire(chunk: int | None) -> None:
    pair = endpoint_pair(client={"random_bytes": seeded_bytes(1)})
    assert isinstance(pair, EndpointPair)
    pair.client.send_message("hello")
    pair.server.send_message(b"\x00" * 10)
    assert pair.transfer(chunk=chunk) == (2 + 4 + 5) + (2 + 10)
    message = pair.server.get_next_message()
    assert message is not None
    assert message.payload == "hello"
    message = pair.client.get_next_message()
    assert message is not None
    assert message.payload == b"\x00" * 10
    assert pair.transfer() == 0


def test_options_of_endpoints() -> None:
    pair = endpoint_pair(server={"max_pings": 0}, client={"limits": Limits(message_size=1)})
    assert pair.server.max_pings == 0
    pair.server.check_heartbeat()
    assert pair.server.is_closed()
    pair.transfer()
    assert pair.client.get_next_message() is None
    assert pair.client.is_closed()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"client": {"max_size": 1}}, r"connection_pair\(client=\.\.\.\) has no option 'max_size'"),
        ({"server": {"orgins": "any"}}, r"connection_pair\(server=.* is it 'origins'\?"),
    ],
)
def test_an_unknown_option_is_told_with_its_side(options, says):
    with pytest.raises(TypeError, match=says):
        connection_pair(**options)
