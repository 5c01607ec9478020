"""Listening where people run it: names with several addresses, shared sockets, odd listeners."""

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

from trio_wsendpoint import connect_endpoint, serve_endpoint
from trio_wsendpoint.server import listening
from trio_wsendpoint.server.listening import accept_streams, addresses, open_tcp_listeners
from trio_wsendpoint.transport.listeners import TLSListener
from trio_wsendpoint.transport.streams import AcceptedSocket

from .helpers import MemoryListener, Resolver, echo, loud, open_raw, serve_memory

LOGGER = logging.getLogger("trio_wsendpoint")
#: An address that this machine does not have (RFC 3849, RFC 5737).
NOT_OURS = "2001:db8::1"
NOT_OURS_4 = "192.0.2.1"
needs_posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere Trio's own way is taken")


def resolve_to(*found: str) -> None:
    """Resolve every name to these, for this run of Trio."""
    trio.socket.set_custom_hostname_resolver(Resolver(*found))


async def close_all(listeners: list[trio.SocketListener]) -> None:
    for listener in listeners:
        await listener.aclose()


async def hosts_of(host: str | None, port: int = 0) -> list[str]:
    listeners = await open_tcp_listeners(port, host, None, LOGGER)
    try:
        found = addresses(listeners)
        assert len({number for _, number in found}) == 1
        return [address for address, _ in found]
    finally:
        await close_all(listeners)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


# ---- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chosen", [False, True])
@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "::ffff:127.0.0.1"],
        ["::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1"],
    ],
)
async def test_an_address_that_a_name_has_twice_is_bound_once(
    found: list[str], is_chosen: bool
) -> None:
    resolve_to(*found)
    assert await hosts_of("localhost", free_port() if is_chosen else 0) == ["127.0.0.1"]


@pytest.mark.parametrize("is_chosen", [False, True])
@pytest.mark.parametrize("found", [[NOT_OURS, "127.0.0.1"], ["127.0.0.1", NOT_OURS_4, NOT_OURS]])
@pytest.mark.parametrize(
    ("host", "level"), [("localhost", "INFO"), ("www.example.test", "WARNING")]
)
async def test_an_address_that_the_machine_lacks_is_passed_over(
    host: str,
    level: str,
    found: list[str],
    is_chosen: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    resolve_to(*found)
    assert await hosts_of(host, free_port() if is_chosen else 0) == ["127.0.0.1"]
    missing = [address for address in found if address != "127.0.0.1"]
    assert len(caplog.records) == len(missing)
    for record, address in zip(caplog.records, missing, strict=True):
        assert record.levelname == level
        assert f"({address}): " in record.getMessage()


@pytest.mark.parametrize(("host", "found"), [("localhost", "127.0.0.1"), (None, "0.0.0.0")])
async def test_a_family_that_the_system_lacks_is_passed_over(
    host: str | None, found: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    real = trio.socket.socket

    def no_ipv6(family: int, *args: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args)

    monkeypatch.setattr(trio.socket, "socket", no_ipv6)
    resolve_to("::1", "127.0.0.1")
    assert await hosts_of(host) == [found]
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_when_no_address_is_ours_the_error_names_one() -> None:
    resolve_to(NOT_OURS, NOT_OURS_4)
    with pytest.raises(OSError, match="cannot listen on port 8765 of localhost") as caught:
        await open_tcp_listeners(8765, "localhost", None, LOGGER)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert f"localhost ({NOT_OURS}): " in str(caught.value)


async def test_an_address_that_is_taken_is_an_error_that_names_it() -> None:
    """Half of a name is not enough where another program has the other half."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        resolve_to("127.0.0.1", "127.0.0.2")
        with pytest.raises(OSError, match=r"of localhost \(127\.0\.0\.2\): ") as caught:
            await open_tcp_listeners(port, "localhost", None, LOGGER)
        assert caught.value.errno == errno.EADDRINUSE
        # What had been opened by then is closed again.
        socket.create_server(("127.0.0.1", port)).close()


async def test_a_free_port_that_is_taken_on_another_address_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    real, asked = trio.open_tcp_listeners, []

    async def opening(port: int, *, host: str, backlog: int | None) -> list[trio.SocketListener]:
        asked.append((port, host))
        if len(asked) == 2:
            raise OSError(errno.EADDRINUSE, "taken meanwhile")
        return await real(port, host=host, backlog=backlog)

    monkeypatch.setattr(trio, "open_tcp_listeners", opening)
    assert await hosts_of("localhost") == ["127.0.0.1", "127.0.0.2"]
    assert [host for _, host in asked] == ["127.0.0.1", "127.0.0.2"] * 2
    assert asked[0][0] == asked[2][0] == 0


async def test_a_name_that_does_not_exist_is_still_told_as_that() -> None:
    with pytest.raises(socket.gaierror, match=r"port 80 of no-such-host\.invalid: "):
        await open_tcp_listeners(80, "no-such-host.invalid", None, LOGGER)


async def test_cancelled_between_two_addresses_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    real = trio.open_tcp_listeners

    async def opening(port: int, *, host: str, backlog: int | None) -> list[trio.SocketListener]:
        if host == "127.0.0.2":
            scope.cancel()
            await trio.sleep_forever()
        return await real(port, host=host, backlog=backlog)

    monkeypatch.setattr(trio, "open_tcp_listeners", opening)
    with trio.CancelScope() as scope:  # a socket left open is a warning, which is an error
        await open_tcp_listeners(0, "localhost", None, LOGGER)
    assert scope.cancelled_caught


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
async def test_a_socket_that_is_no_good_is_closed_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = AcceptedSocket
    seen: list[socket.socket] = []

    def first_fails(accepted: socket.socket) -> object:
        seen.append(accepted)
        if len(seen) == 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(accepted)

    monkeypatch.setattr(listening, "AcceptedSocket", first_fails)
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as first:
            assert await first.receive_some() == b""
        async with connect_endpoint(server.urls[0]):
            pass
    assert seen[0].fileno() == -1
    assert len(loud(caplog)) == 1


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
