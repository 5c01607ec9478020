"""`broadcast`: to everyone who has room, once made for all who can share."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from tests.connection.helpers import loses, loud_records, settle
from trio_wsendpoint import (
    Connection,
    Deflate,
    Frame,
    Instrument,
    Limits,
    ServerEndpoint,
    broadcast,
)
from trio_wsendpoint.protocol import SharedMessage
from trio_wsendpoint.testing import connection_pair, memory_stream_pair

TEXT = "to everyone: " + "one two three " * 40
#: What compresses the same for everyone, and what does not.
SHARING = Deflate(context_takeover=False)
KEEPING = Deflate()


@asynccontextmanager
async def audience(
    count: int, *each: dict[str, Any], capacity: int = 65536, **options: Any
) -> AsyncIterator[tuple[list[Connection], list[Connection]]]:
    """Yield the servers' ends of some connections, and their clients' ends."""
    async with AsyncExitStack() as stack:
        servers: list[Connection] = []
        clients: list[Connection] = []
        for number in range(count):
            chosen = options | (each[number] if number < len(each) else {})
            client, server = await stack.enter_async_context(
                connection_pair(
                    handshake=True, streams=memory_stream_pair(capacity=capacity), **chosen
                )
            )
            servers.append(server)
            clients.append(client)
        yield servers, clients


def both(deflate: Deflate | None) -> dict[str, Any]:
    return {"server": {"deflate": deflate}, "client": {"deflate": deflate or KEEPING}}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the frames that each `SharedMessage` makes, by their number."""
    numbers: list[int] = []
    keep = SharedMessage.keep

    def noting(self: SharedMessage, key: object, frames: Any) -> Any:
        kept = keep(self, key, frames)
        numbers.append(len(kept))
        return kept

    monkeypatch.setattr(SharedMessage, "keep", noting)
    return numbers


@pytest.mark.parametrize("value", [TEXT, TEXT.encode(), "", b"", "grüße"])
async def test_everyone_gets_it(value: str | bytes, made: list[int]) -> None:
    async with audience(5) as (servers, clients):
        assert broadcast(servers, value) == ()
        for client in clients:
            assert await client.receive() == value
        assert made == [1]
        size = len(value.encode() if isinstance(value, str) else value)
        for server in servers:
            told = server.statistics()
            assert (told.messages_sent, told.frames_sent) == (1, 1)
            assert told.payload_sent == told.wire_payload_sent == size


async def test_a_buffer_is_copied() -> None:
    async with audience(2) as (servers, clients):
        data = bytearray(b"before")
        view = memoryview(data)[::2]
        assert broadcast(servers, view) == ()
        data[:] = b"after!"
        assert [await client.receive() for client in clients] == [b"bfr"] * 2


async def test_nobody() -> None:
    assert broadcast([], "hello") == ()


async def test_a_large_message_goes_in_fragments(made: list[int]) -> None:
    small = {"server": {"limits": Limits(fragment_size=100)}}
    async with audience(4, {}, small, small) as (servers, clients):
        assert broadcast(iter(servers), b"x" * 1001) == ()
        for client in clients:
            assert await client.receive() == b"x" * 1001
        assert made == [1, 11]
        assert [server.statistics().frames_sent for server in servers] == [1, 11, 11, 1]


async def test_compressed_once_for_those_who_share(made: list[int]) -> None:
    other = both(Deflate(context_takeover=False, level=1))
    options = [both(SHARING), both(SHARING), other, both(None), both(None)]
    async with audience(5, *options) as (servers, clients):
        for _ in range(2):
            made.clear()
            assert broadcast(servers, TEXT) == ()
            assert len(made) == 3  # two ways to compress, and not at all
            for client in clients:
                assert await client.receive() == TEXT
        plain = 2 * len(TEXT)
        for server in servers[:3]:
            told = server.statistics()
            assert told.payload_sent == plain
            assert 0 < told.wire_payload_sent < plain / 4
        assert servers[0].statistics().wire_payload_sent == (
            servers[1].statistics().wire_payload_sent
        )
        assert servers[3].statistics().wire_payload_sent == plain


async def test_what_is_sent_between_is_not_in_the_way(made: list[int]) -> None:
    """Messages of their own before and after: the peer inflates all of them."""
    async with audience(2, both(SHARING), both(KEEPING)) as (servers, clients):
        for number in range(3):
            for server in servers:
                await server.send(TEXT + str(number))
            assert broadcast(servers, TEXT) == ()
            for client in clients:
                assert await client.receive() == TEXT + str(number)
                assert await client.receive() == TEXT
        assert made == [1] * 3  # for the one; the other has a window of its own


async def test_not_compressed_if_not_wanted(made: list[int]) -> None:
    async with audience(3, both(SHARING), both(KEEPING), both(None)) as (servers, clients):
        assert broadcast(servers, TEXT, compress=False) == ()
        assert broadcast(servers, "short") == ()
        for client in clients:
            assert await client.receive() == TEXT
            assert await client.receive() == "short"
        assert made == [1, 1]
        for server in servers:
            assert server.statistics().wire_payload_sent == len(TEXT) + 5


async def test_clients_each_mask_for_themselves(made: list[int]) -> None:
    async with audience(3) as (servers, clients):
        assert broadcast(clients, TEXT) == ()
        assert [await server.receive() for server in servers] == [TEXT] * 3
        assert made == []


# ---- who does not get it -----------------------------------------------------------------------


async def test_the_slow_are_returned() -> None:
    limits = {"server": {"limits": Limits(send_buffer=1000)}}
    async with audience(4, capacity=100, **limits) as (servers, clients):
        full, waiting, streaming, ready = servers
        for server in full, waiting:  # one is being written, and one is queued
            server.send_nowait(bytes(2000))
            server.send_nowait(bytes(2000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiting.send, "in line")
            async with streaming.send_stream("text") as stream:
                await stream.send("half ")
                await settle()
                assert broadcast(servers, "all") == (full, waiting, streaming)
                await stream.send("and half")
            for client in clients[0], clients[1]:
                assert await client.receive() == bytes(2000)
                assert await client.receive() == bytes(2000)
        assert broadcast([full, ready], "again") == ()
        assert await clients[0].receive() == "again"
        assert await clients[1].receive() == "in line"
        assert await clients[2].receive() == "half and half"
        assert await clients[3].receive() == "all"
        assert await clients[3].receive() == "again"


async def test_the_closed_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with audience(4) as (servers, clients):
        await servers[0].aclose()
        await clients[1].aclose()
        servers[2].endpoint.close()  # behind the connection's back
        assert broadcast(servers, "who is left?") == ()
        assert await clients[3].receive() == "who is left?"
    assert loud_records(caplog) == []


async def test_one_that_breaks_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async with loses(), audience(3) as (servers, clients):
        stream = servers[1]._tasks.stream
        stream.reset()  # type: ignore[attr-defined]
        assert broadcast(servers, "still") == ()
        assert not servers[1].is_open
        assert await clients[0].receive() == "still"
        assert await clients[2].receive() == "still"
    assert loud_records(caplog) == []


class Faulty(ServerEndpoint):
    def send_message(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError


async def test_an_endpoint_that_fails_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    faulty = {"server": {"endpoint_class": Faulty}}
    async with audience(3, {}, faulty) as (servers, clients):
        assert broadcast(servers, "still") == ()
        assert await clients[0].receive() == "still"
        assert await clients[2].receive() == "still"
        await servers[1].wait_closed()
        assert servers[1].statistics().close_code == 1011
    assert [record.levelno for record in loud_records(caplog)] == [logging.ERROR]


@pytest.mark.parametrize(
    ("value", "error"), [(42, TypeError), (None, TypeError), ("\ud800", UnicodeEncodeError)]
)
async def test_what_is_no_message(value: Any, error: type[Exception]) -> None:
    async with audience(2) as (servers, clients):
        with pytest.raises(error):
            broadcast(servers, value)
        for server in servers:
            assert server.statistics().messages_sent == 0
        assert broadcast(servers, "fine") == ()
        assert await clients[0].receive() == "fine"


async def test_in_another_thread_nothing_is_sent() -> None:
    async with audience(2) as (servers, _):
        raised: list[BaseException] = []

        def elsewhere() -> None:
            try:
                broadcast(servers, "hello")
            except RuntimeError as error:
                raised.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "belongs to the thread" in str(raised[0])
        assert servers[0].statistics().messages_sent == 0


async def test_instruments_hear_of_it() -> None:
    heard: list[tuple[str, object, int]] = []

    class Ear(Instrument):
        def message_sent(self, connection: Connection, type: str, size: int) -> None:
            heard.append((connection.id, type, size))

        def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
            if not frame.is_control:
                heard.append((connection.id, frame.type, size))
                assert frame.payload == b"hello"

    options = {"server": {"instruments": [Ear()]}}
    async with audience(2, options, options) as (servers, _):
        broadcast(servers, "hello")
        assert heard == [(server.id, "text", 5) for server in servers for _ in range(2)]


async def test_it_overtakes_nothing_that_was_sent_before() -> None:
    """Neither what waits for more answers, nor what the stream has not taken."""
    async with audience(3, capacity=500) as (servers, clients):
        for number in range(3):
            await clients[1].send(f"question {number}")
        await servers[1].receive()
        await servers[1].send("answer")  # it waits for the next one
        servers[2].send_nowait("x" * 2000)
        assert broadcast(servers, "all") == ()
        assert await clients[0].receive() == "all"
        assert [await clients[1].receive() for _ in range(2)] == ["answer", "all"]
        assert [await clients[2].receive() for _ in range(2)] == ["x" * 2000, "all"]
