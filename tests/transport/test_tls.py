"""TLS without waiting: over real sockets, and over streams in memory that take what we like."""

from __future__ import annotations

import _ssl
import ctypes
import gc
import os
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import settle
from tests.connection.test_tls import contexts
from trio_wsendpoint import Connection, Limits, connect_endpoint, serve_endpoint
from trio_wsendpoint.connection.peer import socket_names
from trio_wsendpoint.server.wrappers import TLSListener
from trio_wsendpoint.testing import (
    Faults,
    MemoryNetwork,
    NonBlockingMemoryStream,
    memory_stream_pair,
)
from trio_wsendpoint.transport import non_blocking
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.tls import TLSTransport

Ends = tuple[trio.abc.Stream, trio.abc.Stream]


def sockets(size: int | None = None) -> Ends:
    """Return two ends of a real connection, with buffers of `size` bytes or so."""
    pair = socket.socketpair()
    for end in pair:
        if size is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    one, two = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in pair)
    return one, two


def in_memory(capacity: int) -> Callable[[], Ends]:
    def make() -> Ends:
        pair = memory_stream_pair(capacity=capacity)
        return pair.client, pair.server

    return make


FORMS = pytest.mark.parametrize(
    "make", [sockets, lambda: sockets(1), in_memory(65536), in_memory(700)]
)


def tls_over(
    ends: Ends, maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
) -> tuple[TLSTransport, TLSTransport]:
    for_client, for_server = contexts()
    for_server.maximum_version = maximum
    client = over_tls(ends[0], for_client, server_hostname="example.test")
    server = over_tls(ends[1], for_server, server_side=True)
    assert isinstance(client, TLSTransport)
    assert isinstance(server, TLSTransport)
    return client, server


async def shake_hands(*ends: TLSTransport) -> None:
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.do_handshake)


async def opened(
    ends: Ends | None = None, maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
) -> tuple[TLSTransport, TLSTransport]:
    pair = tls_over(ends or sockets(), maximum)
    await shake_hands(*pair)
    return pair


async def receive_exactly(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.receive_some(65536)
        assert piece
        data += piece
    return data


async def close(*streams: trio.abc.Stream) -> None:
    for stream in streams:
        await trio.aclose_forcefully(stream)


def cause_of(caught: pytest.ExceptionInfo[trio.BrokenResourceError]) -> str:
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    return str(caught.value.__cause__)


# ---- what goes through -------------------------------------------------------------------------


@FORMS
async def test_much_both_ways_at_once(make: Callable[[], Ends]) -> None:
    client, server = await opened(make())
    sent = {end: bytes([number]) * 300_000 for number, end in enumerate((client, server))}

    async def check(receiver: TLSTransport, sender: TLSTransport) -> None:
        assert await receive_exactly(receiver, 300_000) == sent[sender]

    async with trio.open_nursery() as nursery:
        for end, other in (client, server), (server, client):
            nursery.start_soon(end.send_all, sent[end])
            nursery.start_soon(check, end, other)
    await close(client, server)


@FORMS
async def test_what_is_taken_arrives_once_and_in_order(make: Callable[[], Ends]) -> None:
    """However little the stream below takes: what counts as taken is what can be received."""
    client, server = await opened(make())
    data = memoryview(os.urandom(200_000))
    taken = 0
    got = b""
    stuck = 0
    while taken < len(data):
        count = client.send_nowait(data[taken : taken + 50_000])
        assert 0 <= count <= 50_000
        taken += count
        if count == 0:
            stuck += 1
            # What is read now was not all counted yet, but what was counted is all there.
            while (piece := server.receive_nowait(10_000)) is not None:
                got += piece
            assert len(got) >= taken
    while (piece := server.receive_nowait(65536)) is not None:
        got += piece
    assert got == data
    assert client.send_nowait(b"") == 0
    if make is not sockets:
        assert stuck
    await close(client, server)


async def test_small_reads_and_what_waits_in_openssl() -> None:
    """The stream below has nothing more to read: it is all here already."""
    client, server = await opened()
    await client.send_all(b"abc")
    await client.send_all(b"def")
    assert server.receive_nowait(1) == b"a"
    with trio.fail_after(60):
        await server.wait_readable()
    assert server.receive_nowait(3) == b"bcd"
    with trio.fail_after(60):
        await server.wait_readable()
    assert server.receive_nowait(100) == b"ef"
    assert server.receive_nowait(100) is None
    with trio.move_on_after(1) as scope:
        await server.wait_readable()
    assert scope.cancelled_caught
    await close(client, server)


async def test_a_record_in_pieces() -> None:
    ours, theirs = memory_stream_pair()
    client, server = await opened((ours, theirs))
    assert isinstance(ours, NonBlockingMemoryStream)
    wire = encrypted(client, b"whole")
    for byte in wire[:-1]:
        ours.send_nowait(bytes([byte]))
        assert server.receive_nowait(100) is None
    ours.send_nowait(wire[-1:])
    assert server.receive_nowait(100) == b"whole"


def encrypted(end: TLSTransport, data: bytes) -> bytes:
    """Return what `end` would send for `data`, instead of sending it."""
    end._tls.write(data)
    return end._outgoing.read()


def test_the_contract_names_what_is_here() -> None:
    ours, theirs = memory_stream_pair(nonblocking=False)
    for_client, for_server = contexts()
    assert isinstance(over_tls(ours, for_client, server_hostname="a.test"), trio.SSLStream)
    assert isinstance(over_tls(theirs, for_server, server_side=True), trio.SSLStream)


# ---- the handshake -----------------------------------------------------------------------------


async def test_a_handshake_that_is_cancelled_goes_on() -> None:
    client, server = tls_over(sockets())
    with trio.move_on_after(1) as scope:
        await client.do_handshake()
    assert scope.cancelled_caught
    await shake_hands(client, server)
    await client.do_handshake()  # which is over
    await server.send_all(b"hello")
    assert await client.receive_some() == b"hello"
    await close(client, server)


async def test_garbage_instead_of_tls() -> None:
    ours, theirs = sockets()
    _, for_server = contexts()
    server = over_tls(theirs, for_server, server_side=True)
    await ours.send_all(b"GET / HTTP/1.1\r\n\r\n" * 10)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.do_handshake()
    assert "HTTP" in cause_of(caught).upper()
    for call in server.do_handshake, server.receive_some, server.wait_writable:
        with pytest.raises(trio.BrokenResourceError):
            await call()
    await close(ours, server)


async def test_an_end_in_the_handshake() -> None:
    ours, theirs = sockets()
    _, for_server = contexts()
    server = over_tls(theirs, for_server, server_side=True)
    await ours.aclose()
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.do_handshake()
    assert "EOF" in cause_of(caught)
    await close(server)


async def test_the_peer_is_told_what_was_wrong() -> None:
    ours, theirs = sockets()
    _, for_server = contexts()
    client = over_tls(ours, ssl.create_default_context(), server_hostname="example.test")
    server = over_tls(theirs, for_server, server_side=True)
    told: list[str] = []

    async def try_to_open(end: Any) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await use(end)
        told.append(cause_of(caught))

    async def use(end: Any) -> None:
        await end.do_handshake()
        await end.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(try_to_open, client)
        nursery.start_soon(try_to_open, server)
    assert "certificate verify failed" in told[0]
    assert "alert unknown ca" in told[1].lower().replace("_", " ")
    await close(client, server)


async def test_a_listener_with_a_context_of_the_other_end() -> None:
    for_client, _ = contexts()
    network = MemoryNetwork()
    listener = network.listen()
    with pytest.raises(ValueError, match="a client's, and this is a server"):
        TLSListener(listener, for_client)
    await listener.aclose()


# ---- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("says_so", [False, True])
async def test_the_end_with_and_without_close_notify(says_so: bool) -> None:
    ours, theirs = sockets()
    client, server = await opened((ours, theirs))
    await client.send_all(b"last")
    await (client if says_so else ours).aclose()
    assert await server.receive_some() == b"last"
    for _ in range(3):
        assert await server.receive_some() == b""
        await server.wait_readable()
    await close(client, server)


async def test_close_notify_while_the_stream_stays_open() -> None:
    ours, theirs = sockets()
    client, server = await opened((ours, theirs))
    with pytest.raises(ssl.SSLWantReadError):
        client._tls.unwrap()
    await ours.send_all(client._outgoing.read())
    assert await server.receive_some() == b""
    assert server.receive_nowait(1) == b""
    with trio.fail_after(60):
        await server.wait_readable()
    await server.send_all(b"still here")
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError) as caught:
            client.send_nowait(b"after its own end")
        assert "shutdown" in cause_of(caught)
    await close(client, server)


async def test_a_message_that_was_cut_is_none() -> None:
    ours, theirs = sockets()
    client, server = await opened((ours, theirs))
    await ours.send_all(encrypted(client, b"first") + encrypted(client, bytes(1000))[:-1])
    await ours.aclose()
    assert await server.receive_some() == b"first"
    assert await server.receive_some() == b""
    await close(client, server)


async def test_a_forged_record_behind_a_good_one() -> None:
    ours, theirs = sockets()
    client, server = await opened((ours, theirs))
    forged = bytearray(encrypted(client, b"good") + encrypted(client, b"forged"))
    forged[-1] ^= 1
    await ours.send_all(forged)
    assert await server.receive_some() == b"good"
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await server.receive_some()
        assert "mac" in cause_of(caught).lower()
    for call in (lambda: server.send_nowait(b"x"), lambda: server.receive_nowait(1)):
        with pytest.raises(trio.BrokenResourceError):
            call()
    with pytest.raises(trio.BrokenResourceError):
        await server.wait_readable()
    with pytest.raises(trio.BrokenResourceError) as caught:  # the alert
        await client.receive_some()
    assert "alert" in cause_of(caught).lower()
    await close(client, server)


async def test_a_stream_that_breaks() -> None:
    ours, theirs = memory_stream_pair()
    client, _ = await opened((ours, theirs))
    ours.reset()
    for call in (lambda: client.send_nowait(b"x"), lambda: client.receive_nowait(1)):
        with pytest.raises(trio.BrokenResourceError):
            call()
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")
    await client.aclose()


async def test_closing_does_not_wait_for_a_peer_that_does_not_read() -> None:
    client, server = await opened(sockets(100_000))
    while client.send_nowait(bytes(65536)):
        pass
    with trio.fail_after(60):
        await client.aclose()
    got = b""
    while piece := await server.receive_some():
        got += piece
    assert set(got) == {0}  # whole records, and then the end
    await close(server)


# ---- closed, busy, interrupted -----------------------------------------------------------------


async def test_closed() -> None:
    client, server = await opened()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.receive_some()

        await settle()
        await client.aclose()
    await client.aclose()
    client.interrupt()
    for call in (lambda: client.send_nowait(b"x"), lambda: client.receive_nowait(1)):
        with pytest.raises(trio.ClosedResourceError):
            call()
    for wait_for in client.wait_readable, client.wait_writable, client.do_handshake:
        with pytest.raises(trio.ClosedResourceError):
            await wait_for()
    with pytest.raises(trio.ClosedResourceError):
        await client.send_all(b"x")
    await close(server)


async def test_a_closed_one_touches_no_descriptor() -> None:
    """Its number may be somebody else's by then."""
    ends = sockets()
    numbers = {end.socket.fileno() for end in ends}  # type: ignore[attr-defined]
    client, server = await opened(ends)
    await client.send_all(b"unread")
    await close(client, server)
    others = [socket.socketpair() for _ in range(4)]
    flat = [end for pair in others for end in pair]
    assert numbers & {end.fileno() for end in flat}
    for end in client, server:
        end.interrupt()
        with pytest.raises(trio.ClosedResourceError):
            end.receive_nowait(1)
        with pytest.raises(trio.ClosedResourceError):
            end.send_nowait(b"x")
        await end.aclose()
    del client, server, end, ends
    gc.collect()
    for one, two in others:
        one.send(b"mine")
        assert two.recv(10) == b"mine"
        one.close()
        two.close()


async def test_nothing_keeps_the_descriptor_open() -> None:
    before = sorted(os.listdir("/dev/fd"))
    client, server = await opened()
    await close(client, server)
    assert sorted(os.listdir("/dev/fd")) == before


async def test_one_at_a_time() -> None:
    client, server = await opened(sockets(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, bytes(1 << 20))
        nursery.start_soon(server.wait_readable)
        nursery.start_soon(client.wait_readable)
        await settle()
        for call in (
            lambda: client.send_all(b"x"),
            client.wait_send_all_might_not_block,
            client.wait_readable,
            client.wait_writable,
        ):
            with pytest.raises(trio.BusyResourceError):
                await call()
        nursery.cancel_scope.cancel()
    await close(client, server)


async def test_interrupted() -> None:
    client, server = await opened(sockets(1))
    while client.send_nowait(bytes(65536)):
        pass
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_readable)
        nursery.start_soon(client.wait_writable)
        await settle()
        client.interrupt()
    await close(client, server)


@FORMS
async def test_cancelled_anywhere_it_goes_on(make: Callable[[], Ends]) -> None:
    """A receive that is cancelled has taken nothing; a `send_nowait` can always be continued."""
    client, server = await opened(make())
    data = os.urandom(100_000)
    got = b""

    async def send() -> None:
        view = memoryview(data)
        while view:
            view = view[client.send_nowait(view) :]
            with trio.move_on_after(0):
                await client.wait_writable()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while len(got) < len(data):
            with trio.CancelScope() as scope:
                scope.deadline = trio.current_time()
                got += await server.receive_some(5000)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_soon, scope)
                got += await server.receive_some(5000)
    assert got == data
    await close(client, server)


async def cancel_soon(scope: trio.CancelScope) -> None:
    await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_the_plain_methods_let_others_run() -> None:
    client, server = await opened()
    with trio.testing.assert_checkpoints():
        await client.send_all(b"x")
    with trio.testing.assert_checkpoints():
        await client.wait_send_all_might_not_block()
    with trio.testing.assert_checkpoints():
        await server.wait_readable()
    with trio.testing.assert_checkpoints():
        assert await server.receive_some() == b"x"
    with trio.testing.assert_checkpoints():
        await server.do_handshake()
    await close(client, server)


# ---- what Python's ssl cannot ask for: OpenSSL is asked itself ---------------------------------


class OpenSSL:
    """Calls OpenSSL with the `SSL` of a transport, which it finds where CPython keeps it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_ssl.__file__)

    def call(self, name: str, end: TLSTransport, *arguments: int) -> None:
        # PyObject_HEAD, the weak reference to a socket, and then the pointer.
        place = id(end._tls._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)  # type: ignore[attr-defined]
        pointer = ctypes.c_void_p.from_address(place)
        assert getattr(self._library, name)(pointer, *arguments) == 1


@pytest.fixture
def openssl() -> OpenSSL:
    if sys.implementation.name != "cpython" or not hasattr(
        ctypes.CDLL(getattr(_ssl, "__file__", None)), "SSL_key_update"
    ):
        pytest.skip("OpenSSL cannot be called beside Python")
    return OpenSSL()


@pytest.mark.parametrize("who", [0, 1])
async def test_new_keys_when_the_peer_asks(who: int, openssl: OpenSSL) -> None:
    pair = await opened()
    asking, asked = pair[who], pair[1 - who]
    for number in range(100):
        openssl.call("SSL_key_update", asking, 1)
        await asking.send_all(b"%d" % number)
        assert await asked.receive_some() == b"%d" % number
        await asked.send_all(b"and back")
        assert await asking.receive_some() == b"and back"
    await close(*pair)


async def test_new_keys_while_much_goes_both_ways(openssl: OpenSSL) -> None:
    client, server = await opened(in_memory(700)())
    data = bytes(200_000)

    async def receive() -> None:
        assert await receive_exactly(client, len(data)) == data

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, data)
        nursery.start_soon(receive)
        for _ in range(20):
            openssl.call("SSL_key_update", client, 1)
            await client.send_all(b"0123456789")
            assert await receive_exactly(server, 10) == b"0123456789"
    await close(client, server)


async def test_a_peer_that_asks_and_does_not_read_is_given_up(openssl: OpenSSL) -> None:
    """Each of its questions has an answer, and they are not to fill our memory."""
    client, server = await opened(in_memory(700)())

    def ask() -> None:
        for _ in range(100_000):
            openssl.call("SSL_key_update", client, 1)
            assert client.send_nowait(b"x") == 1
            assert server.receive_nowait(100) == b"x"
            assert len(server._backlog) < 70_000

    with pytest.raises(trio.BrokenResourceError) as caught:
        ask()
    assert "does not read" in cause_of(caught)


async def test_a_renegotiation(openssl: OpenSSL) -> None:
    """What is sent in the midst of it waits until it is through, and not for the socket."""
    client, server = await opened(maximum=ssl.TLSVersion.TLSv1_2)
    # The client sees the request, answers, and wants to send before the server has read.
    openssl.call("SSL_renegotiate", server)
    openssl.call("SSL_do_handshake", server)
    await server.transport_stream.send_all(server._outgoing.read())
    await client.wait_readable()
    assert client.receive_nowait(100) is None
    got: list[bytes] = []

    async def receive(end: TLSTransport) -> None:
        got.append(await end.receive_some())

    async with trio.open_nursery() as nursery:
        assert client.send_nowait(b"after it") == 0
        nursery.start_soon(client.send_all, b"after it")
        await settle()
        nursery.start_soon(receive, server)
        nursery.start_soon(receive, client)
        await settle()
        await server.send_all(b"and back")
    assert sorted(got) == [b"after it", b"and back"]
    await close(client, server)


async def test_a_renegotiation_that_stops_does_not_spin(
    openssl: OpenSSL, autojump_clock: trio.testing.MockClock
) -> None:
    client, server = await opened(maximum=ssl.TLSVersion.TLSv1_2)
    openssl.call("SSL_renegotiate", server)
    openssl.call("SSL_do_handshake", server)
    await server.transport_stream.send_all(server._outgoing.read())
    await client.wait_readable()
    assert client.receive_nowait(100) is None
    with trio.move_on_after(5) as scope:
        await client.send_all(b"never")
    assert scope.cancelled_caught
    await close(client, server)


# ---- in use ------------------------------------------------------------------------------------


async def test_a_server_and_a_client_over_tcp() -> None:
    for_client, for_server = contexts()
    seen: list[tuple[object, str]] = []
    limits = Limits(message_size=1 << 21)

    async def echo(connection: Connection) -> None:
        seen.append((type(connection._tasks.transport), repr(connection.peer)))
        async for message in connection:
            await connection.send(message)

    async with serve_endpoint(
        echo, 0, host="127.0.0.1", ssl_context=for_server, limits=limits
    ) as server:
        tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
        assert server.urls == (f"wss://127.0.0.1:{server.port}/",)
        async with connect_endpoint(
            "wss://example.test/", stream=tcp, ssl_context=for_client, limits=limits
        ) as client:
            name = tcp.socket.getsockname()
            [(transport, peer)] = seen
            assert transport is TLSTransport
            assert peer.startswith(f"127.0.0.1:{name[1]} TLSv1.3 TLS_")
            assert client.peer.tls is not None
            assert client.peer.tls.certificate is not None
            for size in 0, 125, 16384, 16385, 65536, 1 << 21:
                await client.send(bytes(size))
                assert await client.receive() == bytes(size)
            with trio.move_on_after(0):
                await client.receive()
            await client.send("on it goes")
            assert await client.receive() == "on it goes"


async def test_the_name_of_the_peer_is_seen_through_it() -> None:
    ends = sockets()
    for_client, _ = contexts()
    transport = non_blocking(ends[0])
    assert transport is not None
    one = TLSTransport(ends[0], transport, for_client, server_hostname="example.test")
    assert socket_names(one) == socket_names(ends[0])
    await close(*ends)


@pytest.mark.parametrize("seed", range(5))
async def test_over_a_network_that_cuts_and_delays(seed: int) -> None:
    client, server = await opened(
        memory_stream_pair(client=Faults(chop=3, seed=seed), server=Faults(chop=5, seed=seed))
    )
    assert isinstance(client.transport_stream, NonBlockingMemoryStream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"abc" * 1000)
        assert await receive_exactly(server, 3000) == b"abc" * 1000
    await close(client, server)
