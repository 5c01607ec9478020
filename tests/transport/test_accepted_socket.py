"""`AcceptedSocket`: the stream of a socket that a server accepts itself."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing

from trio_wsendpoint.transport import AcceptedSocket, SocketTransport, non_blocking
from trio_wsendpoint.transport.poller import Poller


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return the accepted end of a TCP connection, and the other one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = socket.create_connection(listener.getsockname())
        accepted = listener.accept()[0]
    with accepted, other:
        yield accepted, other


async def test_it_is_set_as_a_stream_of_trio_s_is(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    accepted, _ = ends
    stream = AcceptedSocket(accepted)
    assert non_blocking(stream) is stream
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not accepted.getblocking()


def of_trio_s(accepted: socket.socket) -> SocketTransport:
    return SocketTransport(trio.SocketStream(trio.socket.from_stdlib_socket(accepted)))


@pytest.mark.parametrize("make", [AcceptedSocket, of_trio_s])
async def test_bytes_go_both_ways(
    ends: tuple[socket.socket, socket.socket],
    make: Callable[[socket.socket], AcceptedSocket | SocketTransport],
) -> None:
    stream = make(ends[0])
    other = ends[1]
    assert stream.receive_nowait(10) is None
    other.sendall(b"ab")
    await stream.wait_readable()
    assert stream.receive_nowait(1) == b"a"
    assert await stream.receive_some(10) == b"b"
    assert stream.send_nowait(b"cd") == 2
    await stream.send_all(b"e")
    await stream.send_eof()
    other.settimeout(5)
    with other.makefile("rb") as file:
        assert file.read() == b"cde"
    other.shutdown(socket.SHUT_WR)
    await stream.wait_readable()
    assert stream.receive_nowait(10) == b""
    await stream.aclose()


@pytest.mark.parametrize("few", [0, 100])
async def test_it_does_what_trio_asks_of_a_stream(few: int) -> None:
    """Waiting with a poller, and with Trio."""
    with contextlib.closing(Poller(few=few)) as poller:

        async def make() -> tuple[AcceptedSocket, AcceptedSocket]:
            ends = socket.socketpair()
            return AcceptedSocket(ends[0], poller), AcceptedSocket(ends[1], poller)

        async def make_full() -> tuple[AcceptedSocket, AcceptedSocket]:
            ends = await make()
            for end in ends:
                while end.send_nowait(bytes(65536)):
                    pass
            return ends

        await trio.testing.check_half_closeable_stream(make, make_full)


async def test_no_more_is_taken_than_there_is_room_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    stream = AcceptedSocket(ends[0])
    while stream.send_nowait(bytes(1 << 20)):
        pass
    assert stream.send_nowait(b"x") == 0
    assert stream.close_nowait()


async def test_after_it_was_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = AcceptedSocket(ends[0])
    assert stream.close_nowait()
    for use in (
        lambda: stream.receive_nowait(1),
        lambda: stream.send_nowait(b"x"),
        lambda: stream.receive_into_nowait(memoryview(bytearray(1))),
        stream.send_eof_nowait,
    ):
        with pytest.raises(trio.ClosedResourceError):
            use()
    with pytest.raises(trio.ClosedResourceError):
        await stream.wait_readable()
    stream.interrupt()
    assert stream.close_nowait()


async def test_when_the_peer_has_reset_it(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = AcceptedSocket(ends[0])
    ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends[1].close()
    await stream.wait_readable()
    with pytest.raises(trio.BrokenResourceError, match="reset"):
        stream.receive_nowait(1)
    with pytest.raises(trio.BrokenResourceError):
        stream.send_nowait(b"x")
    assert stream.close_nowait()


async def test_a_socket_that_is_no_tcp_has_no_such_options() -> None:
    one, other = socket.socketpair()
    with other:
        stream = AcceptedSocket(one)
        assert stream.send_nowait(b"x") == 1
        assert other.recv(1) == b"x"
        assert stream.close_nowait()
