"""Accepting where people run it: shared sockets, odd listeners."""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import Connection, connect_endpoint, serve_endpoint
from trio_wsendpoint.addressing import SocketAddress
from trio_wsendpoint.server import listening
from trio_wsendpoint.server.listening import accept_streams
from trio_wsendpoint.server.wrappers import TLSListener
from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.poller import Poller
from trio_wsendpoint.transport.tls import TLSTransport

from .helpers import MemoryListener, echo, has_ipv6, loud, open_raw, serve_memory

LOGGER = logging.getLogger("trio_wsendpoint")
HAS_IPV6 = has_ipv6()
needs_posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere Trio's own way is taken")


# ---- accepting never blocks ---------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_no_default_timeout_makes_a_socket_wait(family: str, tmp_path: Path) -> None:
    """Another process may have accepted the client that woke this one."""
    socket.setdefaulttimeout(30.0)
    try:
        if family == "tcp":
            shared = socket.create_server(("127.0.0.1", 0))
        else:
            shared = socket.socket(socket.AF_UNIX)
            shared.bind(f"{tmp_path}/socket")
            shared.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(shared))
        accepter = listening._Accepter(listener)
        assert accepter._socket is not None
        assert accepter._socket.gettimeout() == 0
        with pytest.raises(BlockingIOError):
            accepter._socket.accept()
        accepter.let_go()
        await listener.aclose()
        # The streams of both sides, as they are accepted and opened.
        async with (
            serve_endpoint(echo, 0, host="127.0.0.1") as server,
            connect_endpoint(server.urls[0]) as client,
        ):
            await client.send("hello")
            assert await client.receive() == "hello"
            for connection in (client, *server.connections):
                transport = connection.tasks.transport
                assert transport is not None
                assert transport.receive_nowait(1) is None  # at once
    finally:
        socket.setdefaulttimeout(None)


# ---- one stream's failure -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        ValueError,
        RuntimeError,
        functools.partial(ssl.SSLError, 1),
        functools.partial(ConnectionResetError, errno.ECONNRESET),
        TimeoutError,
        trio.BrokenResourceError,
    ],
    ids=str,
)
async def test_what_a_listener_raises_for_one_stream_ends_no_server(
    make: Callable[[str], Exception], autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory() as served:
        served.listener.errors.append(make("on purpose"))
        await served.connect_raw()  # wakes it, the next call fails, and the one after it works
        await served.connect_raw()
        assert served.server.statistics().opened == 2
    [record] = loud(caplog)
    assert "on purpose" in record.getMessage()
    assert "a stream could not be accepted" in record.getMessage()


async def test_a_listener_that_always_raises_is_asked_ten_times_a_second(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    listener.errors = [ValueError("on purpose") for _ in range(10_000)]
    async with serve_endpoint(echo, listeners=[listener]):
        await trio.sleep(10)
    assert 100 <= listener.accepts <= 130
    assert 10 <= len(loud(caplog)) <= 11


class RefusingContext(ssl.SSLContext):
    """A server's, which OpenSSL refuses for whatever reason when a stream is made of it."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        raise ssl.SSLError("on purpose")


async def test_a_tls_context_that_makes_no_stream_ends_no_server(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    inner = MemoryListener()
    other = MemoryListener()
    context = RefusingContext(ssl.PROTOCOL_TLS_SERVER)
    async with serve_endpoint(echo, listeners=[TLSListener(inner, context), other]):
        for _ in range(3):
            refused = inner.connect()
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
                while await refused.receive_some():
                    pass
                raise trio.BrokenResourceError  # closed in order: there was nothing to read
        await open_raw(other.connect())
    assert loud(caplog)


@needs_posix
async def test_tls_goes_over_the_accepted_socket_itself(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    (inner,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    taken: list[trio.abc.Stream] = []
    async with serve_endpoint(echo, listeners=[TLSListener(inner, server_context)]) as server:
        url = f"wss://localhost:{server.port}"
        async with connect_endpoint(url, ssl_context=client_context) as client:
            await client.send("a")
            assert await client.receive() == "a"
            taken.extend(connection.tasks.stream for connection in server.connections)
    (stream,) = taken
    assert isinstance(stream, TLSTransport)
    assert isinstance(stream.transport_stream, AcceptedSocket)


@needs_posix
async def test_a_tls_context_that_makes_no_stream_of_a_socket_closes_it() -> None:
    (inner,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    context = RefusingContext(ssl.PROTOCOL_TLS_SERVER)
    async with serve_endpoint(echo, listeners=[TLSListener(inner, context)]) as server:
        for _ in range(2):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as refused:
                assert await refused.receive_some() == b""


@needs_posix
async def test_a_socket_that_is_no_good_is_closed_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = AcceptedSocket
    seen: list[socket.socket] = []

    def first_fails(accepted: socket.socket, poller: Poller | None, names: Any) -> object:
        seen.append(accepted)
        if len(seen) == 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(accepted, poller, names)

    monkeypatch.setattr(listening, "AcceptedSocket", first_fails)
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as first:
            assert await first.receive_some() == b""
        async with connect_endpoint(server.urls[0]):
            pass
    assert seen[0].fileno() == -1
    assert len(loud(caplog)) == 1


@needs_posix
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", *(["::1", "::"] if HAS_IPV6 else [])])
async def test_both_ends_have_the_names_of_their_sockets(host: str) -> None:
    """Of a listener on one address, and on all of them: there each stream has another."""
    told: list[Connection] = []

    async def note(connection: Connection) -> None:
        told.append(connection)

    async with serve_endpoint(note, 0, host=host) as server:
        for address in ("127.0.0.2", "127.0.0.1") if host == "0.0.0.0" else (host,):
            url = f"ws://[{address}]" if ":" in address else f"ws://{address}"
            async with connect_endpoint(f"{url}:{server.port}") as client:
                await client.wait_closed()
            assert (told[-1].local, told[-1].peer.port) == (
                SocketAddress(str(client.peer.address), server.port),
                client.local.port if client.local else None,
            )
            assert told[-1].peer.address == (client.local.host if client.local else None)


async def test_a_stream_that_cannot_be_taken_is_closed(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    ours = [listener.connect() for _ in range(2)]
    taken: list[trio.abc.Stream] = []

    def take(stream: trio.abc.Stream) -> None:
        if not taken:
            taken.append(stream)
            raise ValueError("on purpose")
        scope.cancel()

    with trio.CancelScope() as scope:
        await accept_streams(listener, take, LOGGER)
    assert await ours[0].receive_some() == b""
    assert "a stream could not be served" in loud(caplog)[0].getMessage()
    await ours[1].aclose()


async def test_a_logger_that_raises_ends_no_listener(autojump_clock: object) -> None:
    class Broken(logging.Logger):
        def error(self, *args: object, **kwargs: object) -> None:
            raise ValueError("on purpose")

    listener = MemoryListener()
    listener.errors = [RuntimeError("odd"), OSError(errno.EMFILE, "Too many open files")]
    async with serve_endpoint(echo, listeners=[listener], logger=Broken("broken")):
        await trio.sleep(1)
        await open_raw(listener.connect())
