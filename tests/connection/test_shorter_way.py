"""What the shorter way of a message must not change."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ContinuationFrame,
    Limits,
    Request,
    Response,
    ServerEndpoint,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.connection.reader import DOUBT, LOOKS
from trio_wsendpoint.connection.receiving import TURN
from trio_wsendpoint.server.settings import AcceptOptions, AcceptSettings
from trio_wsendpoint.testing import MemoryNetwork, connection_pair
from trio_wsendpoint.testing.pairs import connect_without_handshake
from trio_wsendpoint.transport import NonBlockingStream, SocketTransport


async def test_a_close_waits_for_the_answer_since_the_message_was_taken() -> None:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    client_stream, server_stream = MemoryNetwork().pair()
    patient: ConnectOptions = {"timeouts": Timeouts(close=20)}
    streams = client_stream, server_stream
    async with connection_pair(streams=streams, client=patient) as (client, server):
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await server.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            client.endpoint.send_message("one")
            client.endpoint.send_message("two")
            client.endpoint.close()
            client._tasks.act()  # all three in one write
        assert received == ["one"]
        clock.jump(5)  # the app computes, and lets nobody run
        assert await server.receive() == "two"
        await trio.sleep(0.5)  # within Timeouts.answer
        await server.send("the answer")
        assert server.is_open


async def test_a_socket_that_was_closed_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        transport = SocketTransport(stream)
        await stream.aclose()
        for wait in (transport.wait_readable, transport.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await wait()


# ---- answers that leave together ---------------------------------------------------------------


class Line:
    """A server's connection, whose writes are recorded, and a peer that sends it what is asked."""

    def __init__(self, client: Connection, server: Connection, writes: list[bytes]) -> None:
        self.client = client
        self.server = server
        self.writes = writes

    def ask(self, count: int) -> None:
        """Have `count` messages come in one piece."""
        for number in range(count):
            self.client.endpoint.send_message(f"question {number}")
        self.client._tasks.act()


@asynccontextmanager
async def line(**options: Unpack[AcceptOptions]) -> AsyncIterator[Line]:
    writes: list[bytes] = []
    client_stream, server_stream = MemoryNetwork().pair()
    assert isinstance(server_stream, NonBlockingStream)
    send_nowait = server_stream.send_nowait

    def record(data: bytes | memoryview) -> int:
        sent = send_nowait(data)
        writes.append(bytes(data[:sent]))
        return sent

    server_stream.send_nowait = record  # type: ignore[method-assign]
    pair = connection_pair(streams=(client_stream, server_stream), server=options)
    async with pair as (client, server):
        writes.clear()
        yield Line(client, server, writes)


def frame(text: str) -> bytes:
    return TextFrame(text).to_bytes()


async def test_answers_to_messages_that_came_together_leave_together() -> None:
    async with line() as it:
        it.ask(3)
        for number in range(3):
            assert await it.server.receive() == f"question {number}"
            await it.server.send(f"answer {number}")
        assert it.writes == [frame("answer 0") + frame("answer 1") + frame("answer 2")]
        assert [await it.client.receive() for _ in range(3)] == [f"answer {n}" for n in range(3)]


async def test_what_waits_for_more_is_counted_and_leaves_before_the_app_waits() -> None:
    async with line() as it:
        it.ask(2)
        await it.server.receive()
        await it.server.send("answer")
        told = it.server.statistics()
        assert (told.write_queue_frames, told.write_queue_bytes) == (1, len(frame("answer")))
        assert (told.messages_sent, told.frames_sent) == (1, 1)
        assert it.writes == []
        await it.server.receive()
        with trio.move_on_after(1):
            await it.server.receive()
        assert it.writes == [frame("answer")]
        assert it.server.statistics().write_queue_bytes == 0


async def test_what_waits_for_more_leaves_when_the_app_does_something_else() -> None:
    async with line() as it:
        it.ask(2)
        await it.server.receive()
        await it.server.send("answer")
        await trio.testing.wait_all_tasks_blocked()
        assert it.writes == [frame("answer")]


async def test_no_more_waits_than_send_buffer() -> None:
    async with line(limits=Limits(send_buffer=30)) as it:
        it.ask(4)
        for number in range(3):
            await it.server.receive()
            await it.server.send(f"answer {number}")
        # Two of them, of 10 bytes each, are fewer than 30.
        assert it.writes == [frame("answer 0") + frame("answer 1") + frame("answer 2")]
        assert it.server.statistics().write_queue_bytes == 0


async def test_other_frames_leave_behind_what_waits_for_more() -> None:
    async with line() as it:
        it.ask(2)
        await it.server.receive()
        await it.server.send("answer")
        async with it.server.send_stream("text") as stream:
            await stream.send("chunk")
        await it.server.aclose()
        chunks = TextFrame("chunk", fin=False), ContinuationFrame(), CloseFrame(1000)
        expected = frame("answer") + b"".join(one.to_bytes() for one in chunks)
        assert b"".join(it.writes) == expected


async def test_the_rest_of_a_joined_write_comes_first() -> None:
    async with line() as it:
        assert isinstance(it.server._tasks.stream, NonBlockingStream)
        big = "x" * 60_000
        it.ask(4)
        for _ in range(2):
            await it.server.receive()
            await it.server.send(big)
        await it.server.receive()
        await it.server.send("small")
        await it.server.send("and smaller")
        assert len(it.writes) == 1  # what the wire holds, and nothing behind it
        received = [await it.client.receive() for _ in range(4)]
        assert received == [big, big, "small", "and smaller"]


async def test_a_lost_connection_forgets_what_waits_for_more() -> None:
    async with line() as it:
        it.ask(2)
        await it.server.receive()
        await it.server.send("answer")
        it.server._tasks.abort()
        await it.server.wait_closed()
        assert it.server.statistics().write_queue_bytes == 0


# ---- looking before waiting --------------------------------------------------------------------


class Counting(NonBlockingStream):
    """Has what the test puts in `chunks`, and counts how often it is read and waited for."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.readable = trio.Event()  # set by who puts a chunk there while somebody waits
        self.reads = self.waits = 0
        self.is_closed = False

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        self.reads += 1
        if self.is_closed:
            raise trio.ClosedResourceError
        return self.chunks.pop(0) if self.chunks else None

    def send_nowait(self, data: bytes | memoryview) -> int:
        return len(data)

    async def wait_readable(self) -> None:
        self.waits += 1
        await trio.lowlevel.checkpoint()
        if not self.chunks:
            await self.readable.wait()

    async def wait_writable(self) -> None:
        await trio.sleep_forever()

    def interrupt(self) -> None: ...

    async def send_all(self, data: bytes | bytearray | memoryview) -> None: ...

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[Connection, Counting]]:
    stream = Counting()
    connection = connect_without_handshake(
        stream, ServerEndpoint, AcceptSettings(), Request("/", {"Host": "x"}), Response(101)
    )

    async def opened(_: ConnectionContext) -> Connection:
        return connection

    async with ConnectionContext(opened):
        yield connection, stream
        stream.chunks.append(b"")


def masked(text: str) -> bytes:
    return TextFrame(text, mask=b"abcd").to_bytes()


async def test_a_message_that_is_here_already_is_not_waited_for() -> None:
    async with counting() as (connection, stream):
        for number in range(100):
            stream.chunks.append(masked(str(number)))
            assert await connection.receive() == str(number)
        assert (stream.reads, stream.waits) == (100, 0)


async def test_after_looking_in_vain_it_waits_at_once_for_a_while() -> None:
    async with counting() as (connection, stream):
        for doubt in [0] * (LOOKS - 1) + [DOUBT] * 2:
            stream.reads = stream.waits = 0
            with trio.move_on_after(1):
                await connection.receive()
            assert (stream.reads, stream.waits) == (1, 1)
            for number in range(doubt):
                stream.chunks.append(masked(str(number)))
                assert await connection.receive() == str(number)
            assert (stream.reads, stream.waits) == (1 + doubt, 1 + doubt)
        stream.chunks.append(masked("here"))
        assert await connection.receive() == "here"
        assert (stream.reads, stream.waits) == (2 + doubt, 1 + doubt)
        with trio.move_on_after(1):
            await connection.receive()
        stream.chunks.append(masked("here"))
        assert await connection.receive() == "here"
        assert (stream.reads, stream.waits) == (4 + doubt, 2 + doubt)


async def test_a_loop_that_need_not_wait_lets_others_run() -> None:
    async with counting() as (connection, stream):
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(640):
                stream.chunks.append(masked("x"))
                await connection.receive()
            assert turns >= 8  # ten times, but for where it begins and ends
            nursery.cancel_scope.cancel()
        assert stream.waits == 0


async def test_a_cancelled_receive_takes_nothing_that_is_here() -> None:
    async with counting() as (connection, stream):
        stream.chunks.append(masked("one") + masked("two"))
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.receive()
        assert scope.cancelled_caught
        assert stream.reads == 0
        assert await connection.receive() == "one"
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.receive()
        assert scope.cancelled_caught
        assert await connection.receive() == "two"
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.send("three")
        assert scope.cancelled_caught
        assert connection.statistics().messages_sent == 0


async def test_whoever_never_waits_is_not_taken_over_from() -> None:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    async with counting() as (connection, stream):
        for _ in range(40):
            stream.chunks.append(masked("x"))
            assert await connection.receive() == "x"
            await trio.sleep(0.02)
        assert (stream.reads, stream.waits) == (40, 0)  # the reader task would have waited
        await trio.sleep(0.1)
        assert stream.waits == 1


async def test_a_second_receiver_is_refused_while_the_first_lets_others_run() -> None:
    async with counting() as (connection, stream):
        for _ in range(TURN - 1):
            stream.chunks.append(masked("x"))
            await connection.receive()
        refused = 0

        async def receive() -> None:
            nonlocal refused
            try:
                assert await connection.receive() == "one"
            except trio.BusyResourceError:
                refused += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            assert refused == 1
            assert connection.is_open
            stream.chunks.append(masked("one"))
            stream.readable.set()
