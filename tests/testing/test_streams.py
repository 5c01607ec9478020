"""Streams in memory behave as Trio's do, and misbehave as they are told."""

from __future__ import annotations

import errno
from typing import cast

import pytest
import trio
import trio.testing
from trio.testing import check_half_closeable_stream

from trio_wsendpoint.testing import (
    Faults,
    MemoryStream,
    NonBlockingMemoryStream,
    memory_stream_pair,
)
from trio_wsendpoint.transport import NonBlockingStream

FORMS = pytest.mark.parametrize("nonblocking", [False, True], ids=["plain", "nonblocking"])


@FORMS
@pytest.mark.parametrize("faults", [Faults(), Faults(chop=3000, seed=1)], ids=["whole", "chopped"])
async def test_they_pass_trios_own_checks(nonblocking: bool, faults: Faults) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_stream_pair(
            capacity=8192, nonblocking=nonblocking, client=faults, server=faults
        )

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        client, server = await make()
        for stream in client, server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, bytes(8193))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        return client, server

    await check_half_closeable_stream(make, make_clogged)


def test_the_forms_are_what_they_say() -> None:
    plain, nonblocking = memory_stream_pair(nonblocking=False), memory_stream_pair()
    assert [stream.side for stream in plain] == ["client", "server"]
    for stream in plain:
        assert type(stream) is MemoryStream
        assert not isinstance(stream, NonBlockingStream)
    for stream in nonblocking:
        assert type(stream) is NonBlockingMemoryStream
        assert isinstance(stream, NonBlockingStream)
        assert isinstance(stream, trio.abc.HalfCloseableStream)
        assert isinstance(stream, MemoryStream)


async def test_capacity_is_what_makes_senders_wait(autojump_clock) -> None:
    client, server = memory_stream_pair(capacity=5)
    assert isinstance(client, NonBlockingMemoryStream)
    assert client.send_nowait(b"1234567") == 5
    assert client.send_nowait(b"67") == 0
    with trio.move_on_after(1) as scope:
        await client.wait_writable()
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        assert await server.receive_some(2) == b"12"
    assert client.send_nowait(memoryview(b"67")) == 2
    assert client.bytes_sent == 7
    assert await server.receive_some() == b"34567"
    with pytest.raises(ValueError, match="capacity"):
        memory_stream_pair(capacity=0)


async def test_without_waiting() -> None:
    client, server = memory_stream_pair()
    assert isinstance(client, NonBlockingMemoryStream)
    assert isinstance(server, NonBlockingMemoryStream)
    assert server.receive_nowait(10) is None
    client.send_nowait(b"abc")
    await server.wait_readable()
    assert server.receive_nowait(2) == b"ab"
    assert server.receive_nowait(2) == b"c"
    assert server.receive_nowait(2) is None
    await client.send_eof()
    await server.wait_readable()
    assert server.receive_nowait(2) == b""
    with pytest.raises(trio.ClosedResourceError):
        client.send_nowait(b"")
    await server.aclose()
    with pytest.raises(trio.ClosedResourceError):
        server.receive_nowait(1)
    with pytest.raises(trio.ClosedResourceError):
        await server.wait_readable()
    with pytest.raises(trio.ClosedResourceError):
        await server.wait_writable()
    assert repr(server) == "<NonBlockingMemoryStream server closed>"


async def test_one_task_at_a_time_waits_for_either() -> None:
    client, _ = memory_stream_pair(capacity=1)
    assert isinstance(client, NonBlockingMemoryStream)
    client.send_nowait(b"1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_readable)
        nursery.start_soon(client.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        for wait in (
            client.wait_readable,
            client.wait_writable,
            client.receive_some,
            client.wait_send_all_might_not_block,
        ):
            with pytest.raises(trio.BusyResourceError):
                await wait()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("slow", [0, 5])
async def test_waiting_can_be_interrupted(slow: int, autojump_clock) -> None:
    client, _ = memory_stream_pair(capacity=1, client=Faults(slow=slow))
    assert isinstance(client, NonBlockingMemoryStream)
    await client.send_all(b"1")
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_readable)
        nursery.start_soon(client.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        client.interrupt()
    assert trio.current_time() == started
    assert client.receive_nowait(1) is None
    client.interrupt()


async def test_a_slow_stream_that_is_closed_keeps_nobody_waiting(autojump_clock) -> None:
    client, _ = memory_stream_pair(client=Faults(slow=5))
    async with trio.open_nursery() as nursery:

        async def expect_closed() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.receive_some()

        nursery.start_soon(expect_closed)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
    assert trio.current_time() == 0


@pytest.mark.parametrize("closes", ["own", "peer", "reset"])
async def test_whoever_waits_is_woken(closes: str) -> None:
    client, server = memory_stream_pair(capacity=1)
    assert isinstance(client, NonBlockingMemoryStream)
    client.send_nowait(b"1")
    errors: list[type[BaseException] | None] = []

    async def wait(call) -> None:
        try:
            await call()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            errors.append(type(error))
        else:
            errors.append(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, client.wait_readable)
        nursery.start_soon(wait, client.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        if closes == "own":
            await client.aclose()
        elif closes == "peer":
            await server.aclose()
        else:
            server.reset()
    assert errors == [trio.ClosedResourceError if closes == "own" else None] * 2
    if closes != "own":
        with pytest.raises(trio.BrokenResourceError) as caught:
            client.send_nowait(b"x")
        assert isinstance(caught.value.__cause__, BrokenPipeError)


# ---- faults ----------------------------------------------------------------------------------


async def read_all(stream: MemoryStream) -> tuple[list[bytes], type[BaseException] | None]:
    pieces = []
    try:
        while data := await stream.receive_some():
            pieces.append(data)
    except trio.BrokenResourceError as error:
        return pieces, type(cast("BaseException", error.__cause__))
    return pieces, None


@FORMS
async def test_chopped_reads(nonblocking: bool) -> None:
    client, server = memory_stream_pair(nonblocking=nonblocking, server=Faults(chop=3))
    await client.send_all(b"1234567")
    await client.aclose()
    assert await read_all(server) == ([b"123", b"456", b"7"], None)


async def test_chopped_writes() -> None:
    client, server = memory_stream_pair(client=Faults(chop=3))
    assert isinstance(client, NonBlockingMemoryStream)
    assert client.send_nowait(b"12345") == 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"45")
        assert await server.receive_some() == b"123"
        assert await server.receive_some() == b"45"


async def test_random_sizes_are_those_of_the_seed() -> None:
    async def sizes(seed: int) -> list[int]:
        client, server = memory_stream_pair(server=Faults(chop=9, seed=seed))
        await client.send_all(bytes(200))
        await client.aclose()
        return [len(piece) for piece in (await read_all(server))[0]]

    first = await sizes(1)
    assert first == await sizes(1)
    assert first != await sizes(2)
    assert min(first) < max(first) <= 9


@FORMS
async def test_slow(nonblocking: bool, autojump_clock) -> None:
    slow = Faults(slow=2)
    client, server = memory_stream_pair(nonblocking=nonblocking, client=slow, server=slow)
    await client.send_all(b"x")
    assert trio.current_time() == 2
    assert await server.receive_some() == b"x"
    assert trio.current_time() == 4
    if isinstance(client, NonBlockingMemoryStream):
        assert client.send_nowait(b"xy") == 0
        await client.wait_writable()
        assert trio.current_time() == 6
        assert client.send_nowait(b"xy") == 2
        assert isinstance(server, NonBlockingMemoryStream)
        assert server.receive_nowait(1) is None
        await server.wait_readable()
        assert trio.current_time() == 8
        assert server.receive_nowait(1) == b"x"
        assert server.receive_nowait(1) is None


@FORMS
async def test_a_stall(nonblocking: bool, autojump_clock) -> None:
    client, server = memory_stream_pair(
        nonblocking=nonblocking, capacity=6, client=Faults(stall_at=4)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"1234567890x")
        assert await server.receive_some() == b"1234"
        with trio.move_on_after(100) as scope:
            await server.receive_some()
        assert scope.cancelled_caught
        assert client.bytes_sent == 10
        client.resume()
        assert await server.receive_some() == b"567890"
        assert await server.receive_some() == b"x"


async def test_a_stalled_end_is_not_seen(autojump_clock) -> None:
    client, server = memory_stream_pair(client=Faults(stall_at=0))
    await client.aclose()
    with trio.move_on_after(100) as scope:
        await server.receive_some()
    assert scope.cancelled_caught
    client.resume()
    assert await server.receive_some() == b""


async def test_half_closed_at_a_byte() -> None:
    client, server = memory_stream_pair(client=Faults(half_close_at=3))
    await client.send_all(b"12345")
    await client.send_all(b"678")
    assert await read_all(server) == ([b"123"], None)
    await server.send_all(b"still")
    assert await client.receive_some() == b"still"
    assert client.bytes_sent == 8


async def test_torn_at_a_byte() -> None:
    client, server = memory_stream_pair(client=Faults(tear_at=3))
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"12345")
    assert await read_all(server) == ([b"123"], None)
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")
    assert await client.receive_some() == b""


@pytest.mark.parametrize("at", [0, 3])
async def test_reset_at_a_byte(at: int) -> None:
    client, server = memory_stream_pair(client=Faults(reset_at=at))
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"12345")
    assert await read_all(server) == ([b"123"] if at else [], ConnectionResetError)
    assert await read_all(client) == ([], ConnectionResetError)
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await client.send_eof()


@FORMS
async def test_an_operation_that_fails(nonblocking: bool) -> None:
    client, server = memory_stream_pair(nonblocking=nonblocking, server=Faults(fail_at_operation=2))
    await client.send_all(b"1")
    assert await server.receive_some() == b"1"
    with pytest.raises(trio.BrokenResourceError) as caught:
        await server.send_all(b"2")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()
    assert await read_all(client) == ([], ConnectionResetError)
    assert (client.operations, server.operations) == (2, 3)


async def test_bytes_that_are_left_unread_reset_the_connection() -> None:
    client, server = memory_stream_pair()
    await client.send_all(b"unread")
    await server.send_all(b"read")
    await server.aclose()
    assert await read_all(client) == ([b"read"], ConnectionResetError)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chop": 0}, "chop must be at least 1"),
        ({"slow": -1}, "slow must be at least 0"),
        ({"reset_at": -1}, "reset_at"),
        ({"fail_at_operation": 0}, "fail_at_operation must be at least 1"),
        ({"seed": 4}, "for chop"),
    ],
)
def test_faults_that_make_no_sense(options, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Faults(**options)
