"""Handlers: what they are given, what they may raise, and whom that concerns."""

from __future__ import annotations

import functools
import logging

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    ConnectionLost,
    ServerEndpoint,
    TextFrame,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.transport import AcceptedSocket

from .helpers import (
    MASK,
    MemoryListener,
    echo,
    hold,
    loud,
    only_error,
    open_raw,
    read_all,
    receive_exactly,
    request,
    serve_memory,
)

URL = "ws://example.test/"


async def close_of(served, url=URL):
    """Connect and return the code that the connection ends with."""
    async with connect_endpoint(url, stream=served.connect()) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
    return caught.value.code


# ---- what goes wrong ---------------------------------------------------------------------------


async def test_a_handler_that_returns_closes_with_1000(autojump_clock, caplog):
    async def handler(connection):
        await connection.send("bye")

    async with (
        serve_memory(handler) as served,
        connect_endpoint(URL, stream=served.connect()) as client,
    ):
        assert [message async for message in client] == ["bye"]
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert caught.value.code == 1000
    assert loud(caplog) == []


async def test_a_handler_that_raises(autojump_clock, caplog):
    error = RuntimeError("on purpose")

    async def handler(connection):
        if connection.request.path == "/fail":
            raise error
        await echo(connection)

    async with (
        serve_memory(handler) as served,
        connect_endpoint(URL, stream=served.connect()) as bystander,
    ):
        assert await close_of(served, URL + "fail") == 1011
        await trio.testing.wait_all_tasks_blocked()
        record = only_error(caplog)
        assert record.name == "trio_wsendpoint"
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is error
        assert record.exc_info[2] is not None
        assert served.server.statistics().failed == 1
        # The server lives, and so do the others.
        await bystander.send("still here")
        assert await bystander.receive() == "still here"
        assert await close_of(served, URL + "fail") == 1011
        await trio.testing.wait_all_tasks_blocked()
        assert len(loud(caplog)) == 2


async def test_the_log_names_the_peer(caplog):
    async def handler(connection):
        raise RuntimeError("on purpose")

    async with serve_endpoint(handler, 0, host="127.0.0.1") as server:  # noqa: SIM117
        async with connect_endpoint(server.urls[0]) as client:
            with pytest.raises(ConnectionLost):
                await client.receive()
    assert "[127.0.0.1:" in only_error(caplog).getMessage()


async def test_a_handler_may_let_the_end_of_its_connection_pass(autojump_clock, caplog):
    caplog.set_level(logging.DEBUG)

    async def plain(connection):
        while True:
            await connection.receive()

    async def grouped(connection):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plain, connection)
            nursery.start_soon(connection.send, "hello")

    async def twice(connection):
        async def wait_and_send():
            await connection.wait_closed()
            await connection.send("too late")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(plain, connection)
            nursery.start_soon(wait_and_send)

    for handler in (plain, grouped, twice):
        caplog.clear()
        async with serve_memory(handler) as served:
            async with connect_endpoint(URL, stream=served.connect()):
                await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            assert served.server.statistics().failed == 0
        assert loud(caplog) == []
        (said,) = [record for record in caplog.records if "handler" in record.getMessage()]
        assert said.levelno == logging.DEBUG


async def test_a_group_with_anything_else_is_a_failure(autojump_clock, caplog):
    async def handler(connection):
        try:
            await connection.receive()
        except ConnectionClosed as error:
            raise ExceptionGroup("both", [error, ValueError("on purpose")]) from None

    async with serve_memory(handler) as served:
        async with connect_endpoint(URL, stream=served.connect()):
            pass
        await trio.testing.wait_all_tasks_blocked()
        assert served.server.statistics().failed == 1
    assert isinstance(only_error(caplog).exc_info[1], ExceptionGroup)


async def test_a_handler_that_turns_out_not_to_be_async(autojump_clock, caplog):
    @functools.wraps(echo)
    def handler(connection):
        return "done"

    async with serve_memory(handler) as served:
        assert await close_of(served) == 1011
    error = only_error(caplog).exc_info[1]
    assert isinstance(error, TypeError)
    assert "the handler must be an async function" in str(error)
    assert str(error).endswith(" returned str")


async def test_keyboard_interrupt_in_a_handler_comes_out_as_itself(autojump_clock):
    async def handler(connection):
        if connection.request.path == "/interrupt":
            raise KeyboardInterrupt
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with serve_memory(handler) as served:
            other = await served.connect_raw()
            await served.connect_raw(request("/interrupt"))
            await trio.sleep_forever()
    assert served.listener.is_closed
    assert await read_all(other) == b"\x88\x02\x03\xe9"


async def test_a_handler_that_hangs_up_twice(autojump_clock, caplog):
    async def handler(connection):
        await connection.aclose(4321, "so")
        await connection.aclose()

    async with serve_memory(handler) as served:
        assert await close_of(served) == 4321
    assert loud(caplog) == []


# ---- what it is given --------------------------------------------------------------------------


async def test_the_request_is_there_before_the_handler_runs(autojump_clock):
    seen = []

    async def handler(connection):
        seen.append(connection.request)
        assert connection.response.status == 101

    async with serve_memory(handler, headers={"X-Served-By": "me"}) as served:
        async with connect_endpoint(
            "ws://example.test:81/chat%20room?who=me&why=?",
            stream=served.connect(),
            subprotocols=["a", "b"],
            headers=[("Cookie", "x=1"), ("X-Two", "1"), ("X-Two", "2")],
        ) as client:
            assert client.response.headers["X-Served-By"] == "me"
            assert client.subprotocol is None
        (got,) = seen
        assert (got.method, got.http_version) == ("GET", "1.1")
        assert (got.path, got.query.raw) == ("/chat room", "who=me&why=?")
        assert got.target == "/chat%20room?who=me&why=?"
        assert got.host == "example.test:81"
        assert got.subprotocols == ("a", "b")
        assert got.headers["cookie"] == "x=1"
        assert got.headers.get_all("x-two") == ("1", "2")
        assert got.origin is None


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [([], None), (["c"], None), (["c", "b", "a"], "b"), (["a", "b"], "a"), (["A"], None)],
)
async def test_the_subprotocol_that_is_agreed(offered, agreed, autojump_clock):
    agreements = []

    async def handler(connection):
        agreements.append(connection.subprotocol)

    async with (
        serve_memory(handler, subprotocols=["a", "b"]) as served,
        connect_endpoint(URL, stream=served.connect(), subprotocols=offered) as client,
    ):
        agreements.append(client.subprotocol)
    assert agreements == [agreed, agreed]


async def test_a_logger_of_ones_own(autojump_clock, caplog):
    class Prefix(logging.LoggerAdapter[logging.Logger]):
        def process(self, msg, kwargs):
            return f"tenant 7: {msg}", kwargs

    async def handler(connection):
        connection.logger.warning("100%% of %s", "it")
        connection.logger.warning("100%")
        raise RuntimeError("on purpose")

    logger = Prefix(logging.getLogger("mine"), {})
    async with serve_memory(handler, logger=logger) as served:
        assert await close_of(served) == 1011
    texts = [record.getMessage() for record in loud(caplog)]
    assert all(record.name == "mine" for record in loud(caplog))
    assert all(text.startswith("tenant 7: [") for text in texts), texts
    assert texts[0].endswith("100% of it")
    assert texts[1].endswith("100%")


async def test_a_peer_whose_address_has_a_zone(caplog, monkeypatch):
    """`fe80::1%eth0` stands before the message, where logging would take `%e` for a format."""

    async def handler(connection):
        connection.logger.warning("hello %s", "there")

    name = ("fe80::1%eth0", 5, 0, 2)
    monkeypatch.setattr(AcceptedSocket, "names", lambda _: (name, None))
    async with (
        serve_endpoint(handler, 0, host="127.0.0.1") as server,
        connect_endpoint(server.urls[0]) as client,
    ):
        assert [message async for message in client] == []
    text = only_error(caplog).getMessage()
    assert text.startswith("[[fe80::1")
    assert text.endswith("]:5 #1] hello there")


async def test_the_name_of_a_peer(caplog, tmp_path):
    async def handler(connection):
        connection.logger.warning("hello")

    path = str(tmp_path / "socket")
    unix = trio.socket.socket(trio.socket.AF_UNIX)
    await unix.bind(path)
    unix.listen()
    memory = MemoryListener()
    async with serve_endpoint(handler, listeners=[trio.SocketListener(unix), memory]):
        for stream in (await trio.open_unix_socket(path), memory.connect()):
            async with connect_endpoint(URL, stream=stream) as client:
                assert [message async for message in client] == []
    assert [record.getMessage() for record in loud(caplog)] == [
        "[unix: #1] hello",
        "[stream: #2] hello",
    ]


async def test_a_peer_that_has_gone_before_it_was_named(caplog, monkeypatch):
    def names(_):
        raise OSError(107, "Transport endpoint is not connected")

    async def handler(connection):
        connection.logger.warning("hello")

    monkeypatch.setattr(AcceptedSocket, "names", names)
    async with (
        serve_endpoint(handler, 0, host="127.0.0.1") as server,
        connect_endpoint(server.urls[0]) as client,
    ):
        assert [message async for message in client] == []
    assert only_error(caplog).getMessage() == "[unknown #1] hello"


async def test_an_endpoint_class(autojump_clock):
    class Counting(ServerEndpoint):
        pings = 0

        def on_ping(self, frame):
            self.pings += 1
            super().on_ping(frame)

    counts = []

    async def handler(connection):
        await connection.receive()
        counts.append(connection.endpoint.pings)

    async with (
        serve_memory(handler, endpoint_class=Counting) as served,
        connect_endpoint(URL, stream=served.connect()) as client,
    ):
        await client.ping()
        await client.ping()
        await client.send("done")
        await client.wait_closed()
    assert counts == [2]


async def test_an_endpoint_that_cannot_be_made(autojump_clock, caplog):
    class Broken(ServerEndpoint):
        def __init__(self, **options):
            raise RuntimeError("on purpose")

    async with serve_memory(endpoint_class=Broken) as served:
        stream = served.connect()
        await stream.send_all(request())
        # Not a 101 first, and then nothing.
        assert (await read_all(stream)).startswith(b"HTTP/1.1 500 ")
    assert str(only_error(caplog).exc_info[1]) == "on purpose"


# ---- frames behind the request -----------------------------------------------------------------


async def test_pipelined_frames_are_answered_after_the_101(autojump_clock):
    order: list[object] = []

    async def process_request(opening):
        order.append("asked")
        await trio.sleep(1)
        order.append("agreed")

    def on_data_frame(frame):
        order.append(bytes(frame.payload))

    frames = b"".join(TextFrame(text, mask=MASK).to_bytes() for text in ("one", "two"))
    ping = b"\x89\x80\x01\x02\x03\x04"
    async with serve_memory(process_request=process_request, on_data_frame=on_data_frame) as served:
        stream = served.connect()
        rest = await open_raw(stream, request() + ping + frames)
        assert await receive_exactly(stream, 12, rest) == b"\x8a\x00\x81\x03one\x81\x03two"
    assert order == ["asked", "agreed", b"one", b"two"]


async def test_a_second_request_behind_the_first_is_no_frame(autojump_clock):
    async with serve_memory() as served:
        stream = served.connect()
        rest = await open_raw(stream, request() + request())
        answer = rest + await read_all(stream)
        assert answer[:1] + answer[2:4] == b"\x88\x03\xea"


@pytest.mark.parametrize("handler", [echo, hold])
async def test_a_stream_that_can_only_be_closed_whole(handler, autojump_clock):
    """Nothing may assume a half-closeable stream, let alone a socket."""

    class Plain(trio.abc.Stream):
        def __init__(self, inner):
            self._inner = inner

        async def send_all(self, data):
            await self._inner.send_all(data)

        async def wait_send_all_might_not_block(self):
            await self._inner.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes=None):
            return await self._inner.receive_some(max_bytes)

        async def aclose(self):
            await self._inner.aclose()

    listener = MemoryListener()
    async with serve_endpoint(handler, listeners=[listener]):
        client, server = trio.testing.memory_stream_pair()
        listener.offer(Plain(server))
        async with connect_endpoint(URL, stream=Plain(client)) as connection:
            if handler is echo:
                await connection.send("hello")
                assert await connection.receive() == "hello"
        client, server = trio.testing.memory_stream_pair()
        listener.offer(Plain(server))
        assert trio.current_time() < 0.1
        # Its end cannot be told without closing, and the client may be sending still: it is
        # given the time to read why and close.
        await client.send_all(b"GET / HTTP/2.0\r\n\r\n")
        assert (await read_all(client)).startswith(b"HTTP/1.1 505 ")
    assert trio.current_time() < 2.1
