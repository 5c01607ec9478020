"""`serve_endpoint`, `run_endpoint`: where they listen, how they begin and how they end."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    ConnectionEnded,
    ConnectionLost,
    InvalidCloseCode,
    Timeouts,
    connect_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.server.listening import urls_of

from .helpers import (
    MemoryListener,
    echo,
    has_ipv6,
    hold,
    loud,
    only_error,
    open_raw,
    read_all,
    read_response,
    request,
    serve_memory,
    settled,
    task_count,
)

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


async def check_echo(url, **options):
    async with connect_endpoint(url, **options) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


# ---- where it listens --------------------------------------------------------------------------


async def test_a_port_of_the_systems_choice_on_this_machine_only():
    async with serve_endpoint(echo, 0) as server:
        assert 0 < server.port < 65536
        assert all(url.endswith(f":{server.port}/") for url in server.urls)
        for listener in server.listeners:
            assert isinstance(listener, trio.SocketListener)
            assert listener.socket.getsockname()[0] in {"127.0.0.1", "::1"}
        await check_echo(f"ws://localhost:{server.port}/")
        for url in server.urls:
            await check_echo(url)


async def test_ipv4():
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        assert server.urls == (f"ws://127.0.0.1:{server.port}/",)
        await check_echo(server.urls[0])


@needs_ipv6
async def test_ipv6():
    async with serve_endpoint(echo, 0, host="::1") as server:
        assert server.urls == (f"ws://[::1]:{server.port}/",)
        await check_echo(server.urls[0])


async def test_every_address_has_the_same_port():
    async with serve_endpoint(echo, 0, host=None) as server:
        assert {url.rpartition(":")[2] for url in server.urls} == {f"{server.port}/"}
        assert server.urls == (f"ws://localhost:{server.port}/",)
        await check_echo(f"ws://127.0.0.1:{server.port}/")
        if has_ipv6():
            assert len(server.listeners) == 2
            await check_echo(f"ws://[::1]:{server.port}/")


@needs_ipv6
async def test_a_free_port_that_is_taken_on_the_other_address_meanwhile(monkeypatch):
    open_listeners, calls = trio.open_tcp_listeners, []

    async def open_tcp_listeners(port, **options):
        calls.append(port)
        if len(calls) == 2:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return await open_listeners(port, **options)

    monkeypatch.setattr(trio, "open_tcp_listeners", open_tcp_listeners)
    async with serve_endpoint(echo, 0, host=None) as server:
        assert calls == [0, calls[1], 0, server.port]


async def test_no_free_port_at_all_is_an_error_in_the_end(monkeypatch):
    calls = []

    async def open_tcp_listeners(port, **options):
        calls.append(port)
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(trio, "open_tcp_listeners", open_tcp_listeners)
    with pytest.raises(OSError, match="cannot listen on port 0 of every address"):
        async with serve_endpoint(echo, 0, host=None):
            raise AssertionError
    assert calls == [0] * 10


async def test_a_busy_port():
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its text is checked below
            async with serve_endpoint(echo, server.port, host="127.0.0.1"):
                raise AssertionError
        assert caught.value.errno == errno.EADDRINUSE
        assert f"port {server.port} of 127.0.0.1" in str(caught.value)
        assert "Address already in use" in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(OSError, match=f"port {server.port} of 127.0.0.1"):
            await run_endpoint(echo, server.port, host="127.0.0.1")


async def test_a_host_that_does_not_exist():
    with pytest.raises(OSError, match=r"cannot listen on port 80 of no-such-host.invalid"):
        async with serve_endpoint(echo, 80, host="no-such-host.invalid"):
            raise AssertionError


async def test_a_port_that_cannot_be():
    bad: Any
    for bad in ("8765", 1.5):
        with pytest.raises(TypeError, match="port"):
            async with serve_endpoint(echo, bad):
                raise AssertionError


@pytest.mark.parametrize("number", [-1, 65536])
async def test_a_port_out_of_range(number):
    with pytest.raises(ValueError, match=f"a port is 0 to 65535, not {number}"):
        serve_endpoint(echo, number)


async def test_a_handler_that_is_none():
    with pytest.raises(TypeError, match="handler must be an async function"):
        serve_endpoint(None, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("listeners", [None, [MemoryListener()]])
async def test_either_a_port_or_listeners(listeners):
    port = None if listeners is None else 80
    with pytest.raises(TypeError, match="takes a port, or listen="):
        serve_endpoint(echo, port, listeners=listeners)


async def test_a_listener_in_memory():
    async with serve_memory() as served:
        assert served.server.urls == ()
        with pytest.raises(ValueError, match="does not listen on a TCP port"):
            _ = served.server.port
        await check_echo("ws://example.test/", stream=served.connect())
    assert served.listener.is_closed


async def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "socket")
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(path)
    listening.listen()
    async with serve_endpoint(echo, listeners=[trio.SocketListener(listening)]) as server:
        assert server.urls == ()
        with pytest.raises(ValueError, match="TCP port"):
            _ = server.port
        await check_echo("ws://example.test/", stream=await trio.open_unix_socket(path))


async def test_several_listeners():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    memory = MemoryListener()
    async with serve_endpoint(echo, listeners=[memory, *listeners]) as server:
        assert server.listeners == (memory, *listeners)
        await check_echo(server.urls[0])
        await check_echo("ws://example.test/", stream=memory.connect())


async def test_tls(server_context, client_context):
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        assert server.urls == (f"wss://127.0.0.1:{server.port}/",)
        await check_echo(server.urls[0], ssl_context=client_context)
        # Plain HTTP to a TLS port is told what to do instead.
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            await stream.send_all(request())
            response = await read_response(stream)
            assert (response.status, b"use wss://" in response.body) == (400, True)
        await check_echo(server.urls[0], ssl_context=client_context)


async def test_tls_beside_plain(server_context, client_context):
    plain = await trio.open_tcp_listeners(0, host="127.0.0.1")
    secure = [
        trio.SSLListener(listener, server_context, https_compatible=True)
        for listener in await trio.open_tcp_listeners(0, host="127.0.0.1")
    ]
    async with serve_endpoint(echo, listeners=[*secure, *plain]) as server:
        first, second = server.urls
        assert first.startswith("wss://")
        assert second.startswith("ws://")
        await check_echo(first, ssl_context=client_context)
        await check_echo(second)


# ---- what it tells -----------------------------------------------------------------------------


async def test_connections_and_statistics(autojump_clock):
    released = trio.Event()

    async def handler(connection):
        if connection.request.path == "/fail":
            raise RuntimeError("on purpose")
        await released.wait()

    async with serve_memory(handler) as served:
        server = served.server
        half = served.connect()
        await half.send_all(b"GET /")
        first = await served.connect_raw(request("/1"))
        second = await served.connect_raw(request("/2"))
        third = await served.connect_raw(request("/fail"))
        await read_all(third)
        await third.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert [one.request.path for one in server.connections] == ["/1", "/2"]
        assert isinstance(server.connections, tuple)
        now = server.statistics()
        assert (now.connections, now.opening) == (2, 1)
        assert (now.accepted, now.opened, now.failed) == (4, 3, 1)
        released.set()
        await read_all(first)
        await first.aclose()
        await second.aclose()
        await half.aclose()
        await trio.testing.wait_all_tasks_blocked()
        now = server.statistics()
        assert (now.connections, now.opening, now.accepted, now.opened) == (0, 0, 4, 3)
        with pytest.raises(AttributeError):
            now.opened = 9


# ---- leaving the block -------------------------------------------------------------------------


async def test_leaving_the_block_tells_every_peer_1001(autojump_clock):
    async with trio.open_nursery() as nursery:
        ended = []

        async def client(stream):
            async with connect_endpoint("ws://example.test/", stream=stream) as connection:
                with pytest.raises(ConnectionEnded) as caught:
                    await connection.receive()
                ended.append((caught.value.code, caught.value.reason))

        async with serve_memory() as served:
            for _ in range(3):
                nursery.start_soon(client, served.connect())
            await trio.testing.wait_all_tasks_blocked()
            assert len(served.server.connections) == 3
        assert served.server.connections == ()
        assert served.listener.is_closed
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [(1001, "")] * 3
        assert trio.current_time() < 0.1


async def test_handlers_may_finish_within_the_grace(autojump_clock):
    finished = []

    async def handler(connection):
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        await trio.sleep(3)
        finished.append(trio.current_time())

    async with serve_memory(handler) as served:
        stream = await served.connect_raw()
    assert finished == [3]
    assert await read_all(stream) == b"\x88\x02\x03\xe9"


async def test_a_handler_that_never_returns_is_cancelled_after_the_grace(autojump_clock):
    cancelled = []

    async def handler(connection):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    async with serve_memory(handler, timeouts=Timeouts(grace=7)) as served:
        await served.connect_raw()
        start = trio.current_time()
    assert cancelled == [start + 7]
    assert trio.current_time() == start + 7


async def test_cancelling_the_block_is_graceful(autojump_clock):
    finished = []

    async def handler(connection):
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        await trio.sleep(2)
        finished.append(trio.current_time())

    with trio.move_on_after(5) as scope:
        async with serve_memory(handler) as served:
            stream = await served.connect_raw()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert finished == [7]
    assert await read_all(stream) == b"\x88\x02\x03\xe9"


async def test_an_error_in_the_block_comes_out_as_itself(autojump_clock):
    error = RuntimeError("on purpose")
    with pytest.raises(RuntimeError) as caught:  # noqa: PT012
        async with serve_memory(hold) as served:
            stream = await served.connect_raw()
            raise error
    assert caught.value is error
    assert await read_all(stream) == b"\x88\x02\x03\xe9"
    assert served.listener.is_closed


async def test_leaving_at_once():
    before = task_count()
    async with serve_endpoint(echo, 0, host="127.0.0.1"):
        pass
    assert task_count() == before


async def test_cancelled_before_it_listens():
    with trio.CancelScope() as scope:
        scope.cancel()
        async with serve_endpoint(echo, 0, host="127.0.0.1"):
            raise AssertionError
    assert scope.cancelled_caught


# ---- run_endpoint ------------------------------------------------------------------------------


async def test_run_endpoint():
    async with trio.open_nursery() as nursery:
        server = await nursery.start(run_endpoint, echo, 0)
        await check_echo(server.urls[0])
        nursery.cancel_scope.cancel()
    assert server.connections == ()


async def test_run_endpoint_over_listeners_with_options(autojump_clock):
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:

        async def run(*, task_status):
            await run_endpoint(
                hold, listeners=[listener], subprotocols=["chat"], task_status=task_status
            )

        await nursery.start(run)
        stream = listener.connect()
        await open_raw(stream, request(Sec_WebSocket_Protocol="chat"))
        nursery.cancel_scope.cancel()
    assert await read_all(stream) == b"\x88\x02\x03\xe9"
    assert listener.is_closed


async def test_run_endpoint_returns_when_the_server_is_closed(autojump_clock):
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:

        async def run(*, task_status):
            await run_endpoint(hold, listeners=[listener], task_status=task_status)

        server = await nursery.start(run)
        await server.aclose()
        await server.wait_closed()


async def test_listeners_that_somebody_else_closes_end_the_server():
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:

        async def run(*, task_status):
            await run_endpoint(hold, listeners=[listener], task_status=task_status)

        await nursery.start(run)
        listener.disappear()


# ---- aclose ------------------------------------------------------------------------------------


async def test_aclose_with_a_code_and_a_reason(autojump_clock):
    async with serve_memory(hold) as served:
        stream = served.connect()
        async with connect_endpoint("ws://example.test/", stream=stream) as client:
            await served.server.aclose(1012, "restart")
            with pytest.raises(ConnectionLost) as caught:
                await client.receive()
            assert (caught.value.code, caught.value.reason) == (1012, "restart")
        assert served.listener.is_closed
        assert served.server.statistics().connections == 0
        await served.server.wait_closed()


async def test_aclose_refuses_what_must_not_be_sent_before_it_does_anything(autojump_clock):
    async with serve_memory() as served:
        for code, reason in ((1005, ""), (999, ""), (1000, "x" * 124)):
            with pytest.raises(InvalidCloseCode):
                await served.server.aclose(code, reason)
        with pytest.raises((TypeError, ValueError)):
            await served.server.aclose(grace=float("nan"))
        assert not served.listener.is_closed
        await check_echo("ws://example.test/", stream=served.connect())


async def test_aclose_without_grace(autojump_clock):
    cancelled = []

    async def handler(connection):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    async with serve_memory(handler) as served:
        stream = await served.connect_raw()
        await trio.sleep(1)
        await served.server.aclose(4000, "now", grace=0)
        assert trio.current_time() == 1
        assert cancelled == [1]
        # What takes no waiting is done all the same.
        assert await read_all(stream) == b"\x88\x05\x0f\xa0now"


async def test_aclose_again_waits_for_the_end(autojump_clock):
    async def handler(connection):
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        await trio.sleep(4)

    ends = []

    async with serve_memory(handler) as served, trio.open_nursery() as nursery:
        stream = await served.connect_raw()

        async def close(code, delay):
            await trio.sleep(delay)
            await served.server.aclose(code)
            ends.append(trio.current_time())

        for number, code in enumerate((4000, 4001, 4002)):
            nursery.start_soon(close, code, number)
        await trio.sleep(3.5)
        assert ends == []
        assert await read_all(stream) == b"\x88\x02\x0f\xa0"
        await trio.sleep_until(10)
        # The handler had `Timeouts.goodbye`, and the peer never answers: `Timeouts.close`.
        assert ends == [6, 6, 6]
        await served.server.aclose()


async def test_a_second_aclose_may_be_less_patient(autojump_clock):
    async def handler(connection):
        await trio.sleep_forever()

    async with serve_memory(handler) as served, trio.open_nursery() as nursery:
        await served.connect_raw()
        nursery.start_soon(served.server.aclose)
        await trio.sleep(1)
        await served.server.aclose(grace=2)
        assert trio.current_time() == 3
        # nor does a later, more patient one prolong it
        await served.server.aclose(grace=100)
        assert trio.current_time() == 3


async def test_aclose_that_is_cancelled_cancels_the_handlers(autojump_clock):
    cancelled = []

    async def handler(connection):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    async with serve_memory(handler) as served:
        await served.connect_raw()
        with trio.move_on_after(2) as scope:
            await served.server.aclose()
        assert scope.cancelled_caught
        assert cancelled == [2]
        assert trio.current_time() == 2
        await served.server.wait_closed()


async def test_aclose_from_inside_a_handler(autojump_clock):
    """It could wait for itself for ever."""
    finished: list[str] = []

    async def handler(connection):
        if connection.request.path == "/stop":
            await served.server.aclose(1012)
            finished.append("stopper")
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        finished.append(connection.request.path)

    with trio.fail_after(60):
        async with serve_memory(handler) as served:
            other = await served.connect_raw(request("/other"))
            stopper = await served.connect_raw(request("/stop"))
            await served.server.wait_closed()
            # Nobody waited for the grace to end, only for peers that never answer a Close frame.
            assert trio.current_time() == 5
    assert sorted(finished) == ["/other", "/stop", "stopper"]
    assert await read_all(other) == b"\x88\x02\x03\xf4"
    assert await read_all(stopper) == b"\x88\x02\x03\xf4"


async def test_aclose_from_a_task_of_a_handler(autojump_clock):
    async def handler(connection):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            await trio.sleep_forever()

    with trio.fail_after(60):
        async with serve_memory(handler) as served:
            await served.connect_raw()
            await served.server.wait_closed()
    assert trio.current_time() == 10


async def test_connections_that_open_while_it_closes_are_closed_too(autojump_clock):
    """The 101 has left when the server is told to stop."""
    ended = []

    async def handler(connection):
        try:
            await connection.receive()
        except ConnectionClosed as error:
            ended.append((trio.current_time(), str(error)))

    def make_pair():
        client, server = trio.testing.memory_stream_pair()
        carry = server.send_stream.send_all_hook

        async def hook():
            server.send_stream.send_all_hook = carry
            await carry()  # type: ignore[misc]
            nursery.start_soon(served.server.aclose, 4000)
            for _ in range(5):
                await trio.lowlevel.cancel_shielded_checkpoint()

        server.send_stream.send_all_hook = hook
        return client, server

    async with (
        serve_memory(handler, make_pair=make_pair) as served,
        trio.open_nursery() as nursery,
    ):
        stream = served.connect()
        rest = await open_raw(stream)
        assert rest + await read_all(stream) == b"\x88\x02\x0f\xa0"
    assert [when for when, _ in ended] == [0]


async def test_a_listener_that_does_not_close_well(autojump_clock, caplog):
    class Stubborn(MemoryListener):
        async def aclose(self):
            raise OSError("on purpose")

    first, second = Stubborn(), MemoryListener()
    with trio.fail_after(60):
        async with serve_endpoint(hold, listeners=[first, second]):
            stream = first.connect()
            await open_raw(stream)
    assert second.is_closed
    assert await read_all(stream) == b"\x88\x02\x03\xe9"
    assert "on purpose" in str(only_error(caplog).exc_info)


# ---- accept() that fails -----------------------------------------------------------------------


async def test_out_of_files_backs_off_and_logs_once_a_second(autojump_clock, caplog):
    listener = MemoryListener()
    # Two at a time: what waits is to be dropped, and that fails too.
    listener.errors = [OSError(errno.EMFILE, "Too many open files") for _ in range(70)]
    async with serve_endpoint(echo, listeners=[listener]):
        await check_echo("ws://example.test/", stream=listener.connect())
        assert trio.current_time() == pytest.approx(3.5)
    assert listener.accepts <= 73
    assert 3 <= len(loud(caplog)) <= 4
    assert all("Too many open files" in record.getMessage() for record in loud(caplog))


async def test_any_other_error_of_accept_comes_out_as_itself(autojump_clock, caplog):
    listener, error = MemoryListener(), OSError(errno.EINVAL, "Invalid argument")
    other = MemoryListener()
    with pytest.raises(OSError, match="Invalid argument") as caught:  # noqa: PT012
        async with serve_endpoint(hold, listeners=[other, listener]):
            stream = other.connect()
            await open_raw(stream)
            listener.errors.append(error)
            listener.connect()  # wakes accept, and the next call fails
            await trio.sleep_forever()
    assert caught.value is error
    assert other.is_closed
    assert await read_all(stream) == b"\x88\x02\x03\xe9"


async def test_an_error_of_accept_while_the_block_raises(autojump_clock):
    listener = MemoryListener()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with serve_endpoint(hold, listeners=[listener]):
            listener.errors.append(OSError(errno.EINVAL, "Invalid argument"))
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("on purpose")
    assert sorted(type(one).__name__ for one in caught.value.exceptions) == [
        "OSError",
        "RuntimeError",
    ]


async def test_out_of_files_drops_what_waits(autojump_clock, caplog):
    listener = MemoryListener()
    listener.errors = [OSError(errno.ENFILE, "File table overflow")]
    dropped, served = listener.connect(), listener.connect()
    async with serve_endpoint(echo, listeners=[listener]):
        assert await read_all(dropped) == b""
        await check_echo("ws://example.test/", stream=served)
    assert len(loud(caplog)) == 1


# ---- peers that go -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        request()[:-1],
        request(),
        request() + b"\x81",
        request() + b"\x81\x85\x01\x02\x03\x04he",
        b"POST / HTTP/1.1\r\n",
        request(without=["Upgrade"]),
    ],
)
async def test_a_client_that_goes_leaves_nothing(sent, caplog):
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        for is_rude in (False, True):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            if sent:
                await stream.send_all(sent)
            if is_rude:  # a reset instead of an end
                stream.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0" + b"\0" * 4
                )
            await stream.aclose()
        with trio.fail_after(60):
            while server.statistics().accepted < 2 or task_count() > before:
                await trio.sleep(0.001)
        assert server.statistics().failed == 0
        await check_echo(server.urls[0])
    assert loud(caplog) == []


async def test_a_tls_client_that_goes_leaves_nothing(server_context, caplog):
    async with serve_memory(ssl_context=server_context) as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        for sent in (b"", b"\x16\x03\x01\x02\x00\x01", b"\x16" * 3000):
            stream = served.connect()
            if sent:
                await stream.send_all(sent)
            await stream.aclose()
        await settled(before)
        assert served.server.statistics().accepted == 3
    assert loud(caplog) == []


# ---- many --------------------------------------------------------------------------------------


async def test_fifty_connections_of_which_one_misbehaves():
    async def client(url, number):
        async with connect_endpoint(url) as connection:
            for turn in range(10):
                await connection.send(f"{number}.{turn}")
                assert await connection.receive() == f"{number}.{turn}"

    async def misbehave(port):
        for data in (b"\x00" * 100, request() + b"\xff" * 100, request() + b"\x81\x7f"):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(data)

    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(client, server.urls[0], number)
            nursery.start_soon(misbehave, server.port)
        with trio.fail_after(60):
            while server.connections:
                await trio.sleep(0.001)
        assert server.statistics().failed == 0


class LinkLocalSocket(trio.socket.SocketType):
    """Listens on an address that is good on one interface only."""

    type = trio.socket.SOCK_STREAM

    def __init__(self):
        pass

    def getsockopt(self, *args):
        return 1

    def setsockopt(self, *args):
        pass

    def getsockname(self):
        return "fe80::1%eth0", 8765, 0, 2


def test_the_url_of_an_address_with_a_zone_is_one_that_a_client_takes():
    [url] = urls_of([trio.SocketListener(LinkLocalSocket())])
    assert url == "ws://[fe80::1%25eth0]:8765/"
    assert WebSocketURL.parse(url).host == "fe80::1%eth0"
