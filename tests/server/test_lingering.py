"""`say_and_close`: the last words arrive though the peer still sends, over every kind of stream."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection import test_tls
from trio_wsendpoint.server.lingering import CHUNK, MAX_PASSED, say_and_close
from trio_wsendpoint.testing import MemoryNetwork
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.tls import TLSTransport

WORDS = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n"
contexts = functools.cache(test_tls.contexts)  # each takes 50 ms to make
Ends = tuple[trio.abc.Stream, trio.abc.Stream]


class Whole(trio.abc.Stream):
    """A stream that can only be closed whole."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


def sockets() -> Ends:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other = listening.accept()[0]
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in (one, other))
    return ours, theirs


def memory() -> Ends:
    pair = MemoryNetwork().pair()
    return pair.client, pair.server


def plain_memory() -> Ends:
    pair = MemoryNetwork(nonblocking=False).pair()
    return pair.client, pair.server


def whole() -> Ends:
    ours, theirs = sockets()
    return ours, Whole(theirs)


@functools.cache
def contexts_of(maximum: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    for_client, for_server = test_tls.contexts()
    for_server.maximum_version = maximum
    return for_client, for_server


def tls(make: Callable[[], Ends], maximum: ssl.TLSVersion) -> Callable[[], Ends]:
    def secure() -> Ends:
        for_client, for_server = contexts_of(maximum)
        ours, theirs = make()
        return (
            over_tls(ours, for_client, server_hostname="example.test"),
            over_tls(theirs, for_server, server_side=True),
        )

    return secure


def tls_in_tls() -> Ends:
    ours, theirs = tls(sockets, ssl.TLSVersion.TLSv1_3)()
    for_client, for_server = contexts()
    return (
        over_tls(ours, for_client, server_hostname="example.test"),
        over_tls(theirs, for_server, server_side=True),
    )


TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FORMS: dict[str, Callable[[], Ends]] = {
    "socket": sockets,
    "memory": memory,
    "memory, plain": plain_memory,
    "closed whole": whole,
    "TLS over a socket": tls(sockets, TLS_1_3),
    "TLS 1.2 over a socket": tls(sockets, TLS_1_2),
    "TLS over memory": tls(memory, TLS_1_3),
    "Trio's TLS": tls(plain_memory, TLS_1_3),
    "Trio's TLS 1.2": tls(plain_memory, TLS_1_2),
    "TLS over what is closed whole": tls(whole, TLS_1_3),
    "TLS in TLS": tls_in_tls,
}
ANY_FORM = pytest.mark.parametrize("make", FORMS.values(), ids=FORMS.keys())


def below(stream: Any) -> trio.abc.Stream:
    """The stream that carries the bytes."""
    while isinstance(stream, (TLSTransport, trio.SSLStream)):
        stream = stream.transport_stream
    return stream  # type: ignore[no-any-return]


async def shake_hands(*ends: trio.abc.Stream) -> None:
    """Do the handshakes of TLS, those of a layer below first."""
    layers = [end for end in ends if isinstance(end, (TLSTransport, trio.SSLStream))]
    if layers:
        await shake_hands(*(layer.transport_stream for layer in layers))
    async with trio.open_nursery() as nursery:
        for layer in layers:
            nursery.start_soon(layer.do_handshake)


@ANY_FORM
async def test_a_peer_that_still_sends_reads_the_last_words(make: Callable[[], Ends]) -> None:
    ours, theirs = make()
    inner = below(theirs)
    await shake_hands(ours, theirs)
    await ours.send_all(bytes(1000))
    assert await theirs.receive_some(100)  # and the rest is never read
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def say() -> None:
            await say_and_close(theirs, WORDS, seconds=30)

        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10):  # what a reset would answer
            await ours.send_all(bytes(5000))
            await trio.testing.wait_all_tasks_blocked()
        got = b""
        while len(got) < len(WORDS):
            piece = await ours.receive_some(65536)
            assert piece, got
            got += piece
        await trio.aclose_forcefully(ours)
    assert got == WORDS
    with pytest.raises(trio.ClosedResourceError):
        await inner.receive_some(1)
    with pytest.raises(trio.ClosedResourceError):
        await theirs.receive_some(1)


@pytest.mark.parametrize(
    "name", [name for name in FORMS if "memory" in name or name.startswith("Trio")]
)
async def test_the_peer_is_told_that_it_was_the_end(name: str, autojump_clock: object) -> None:
    ours, theirs = FORMS[name]()
    await shake_hands(ours, theirs)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def say() -> None:
            await say_and_close(theirs, WORDS, seconds=1)

        assert await ours.receive_some(65536) == WORDS
        assert await ours.receive_some(65536) == b""
        assert trio.current_time() < 0.1
        # It stays, and is left.
    assert trio.current_time() == pytest.approx(1)
    await trio.aclose_forcefully(ours)


@pytest.mark.parametrize("name", [name for name in FORMS if "memory" in name or "Trio" in name])
async def test_a_peer_that_ends_its_bytes_too(name: str, autojump_clock: object) -> None:
    """With Trio's TLS both ends are unwrapped then: the stream below is closed all the same."""
    ours, theirs = FORMS[name]()
    inner: Any = below(theirs)
    await shake_hands(ours, theirs)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def say() -> None:
            await say_and_close(theirs, WORDS, seconds=1)

        assert await ours.receive_some(65536) == WORDS
        assert await ours.receive_some(65536) == b""
        await say_and_close(ours, b"", seconds=1)
    assert inner.is_closed
    assert trio.current_time() < 0.1


@pytest.mark.parametrize("make", [memory, plain_memory])
async def test_a_peer_that_sends_for_ever_is_read_no_longer(
    make: Callable[[], Ends], autojump_clock: object
) -> None:
    ours, theirs = make()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def say() -> None:
            await say_and_close(theirs, WORDS, seconds=1)

        sent = 0
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await ours.send_all(bytes(1000))
                await trio.testing.wait_all_tasks_blocked()
                sent += 1000
    assert MAX_PASSED - CHUNK <= sent <= MAX_PASSED + CHUNK
    assert trio.current_time() < 0.1
    await trio.aclose_forcefully(ours)


@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("name", ["memory", "memory, plain", "TLS over memory", "Trio's TLS"])
async def test_a_stream_that_breaks_is_no_error(
    name: str, how: str, autojump_clock: object
) -> None:
    ours, theirs = FORMS[name]()
    await shake_hands(ours, theirs)
    inner: Any = below(theirs)
    if how == "reset":
        inner.reset()
    else:
        await inner.aclose()
    await say_and_close(theirs, WORDS, seconds=1)
    assert inner.is_closed
    assert trio.current_time() < 0.1
    await trio.aclose_forcefully(ours)


@pytest.mark.parametrize("name", ["memory", "memory, plain", "TLS over memory", "Trio's TLS"])
async def test_cancelled_it_closes_at_once(name: str, autojump_clock: object) -> None:
    ours, theirs = FORMS[name]()
    await shake_hands(ours, theirs)
    inner: Any = below(theirs)
    with trio.move_on_after(0.5) as scope:
        await say_and_close(theirs, WORDS, seconds=100)
    assert scope.cancelled_caught
    assert inner.is_closed
    await trio.aclose_forcefully(ours)


@pytest.mark.parametrize("name", ["memory", "memory, plain", "TLS over memory", "Trio's TLS"])
async def test_whatever_an_operation_raises_all_layers_are_closed(
    name: str, autojump_clock: object
) -> None:
    """The first operation, the second, and so on until none is left to fail."""
    for number in range(1, 50):
        ours, theirs = FORMS[name]()
        await shake_hands(ours, theirs)
        inner: Any = below(theirs)
        fails_at = inner.operations + number

        def on_operation(stream: Any, at: int = fails_at) -> None:
            if stream.operations == at:
                raise ValueError("on purpose")

        inner._on_operation = on_operation
        failed = False
        try:
            await say_and_close(theirs, WORDS, seconds=1)
        except ValueError as error:
            assert str(error) == "on purpose"  # noqa: PT017 - not each operation raises
            failed = True
        assert inner.is_closed
        with pytest.raises(trio.ClosedResourceError):
            await theirs.receive_some(1)
        await trio.aclose_forcefully(ours)
        if not failed and inner.operations < fails_at:
            break
    assert 2 < number < 49
