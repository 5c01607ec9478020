"""`on_handler_error`: the error of a handler is logged, or ends the server and leaves its block."""

from __future__ import annotations

import functools

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    HandshakeError,
    Timeouts,
    connect_endpoint,
    run_endpoint,
)

from .helpers import MemoryListener, echo, loud, open_raw, read_all, request, serve_memory

URL = "ws://example.test/"
BY_1001 = b"\x88\x02\x03\xe9"
BY_1011 = b"\x88\x02\x03\xf3"


def failing(*errors, others=None):
    """Return a handler that raises the error whose number its path is."""

    async def handler(connection):
        name = connection.request.path[1:]
        if name.isdigit():
            raise errors[int(name)]
        await (connection.wait_closed() if others is None else others(connection))

    return handler


@pytest.mark.parametrize("value", ["ignore", "", None, True])
async def test_another_value(value):
    with pytest.raises(ValueError, match='on_handler_error is "log" or "raise", not'):
        async with serve_memory(on_handler_error=value):
            raise AssertionError


async def test_log_is_the_default_and_the_server_goes_on(autojump_clock, caplog):
    for options in ({}, {"on_handler_error": "log"}):
        caplog.clear()
        async with serve_memory(failing(ValueError("on purpose")), **options) as served:
            stream = await served.connect_raw(request("/0"))
            assert await read_all(stream) == BY_1011
            await stream.aclose()
            other = await served.connect_raw()
            await trio.sleep(60)
            assert len(served.server.connections) == 1
            assert served.server.statistics().failed == 1
        assert len(loud(caplog)) == 1
        await other.aclose()


async def test_a_handshake_of_the_handler_s_own_client_is_its_failure(autojump_clock, caplog):
    """And no refusal of the connection that it serves, which is open."""
    async with serve_memory(failing(HandshakeError("elsewhere"))) as served:
        stream = await served.connect_raw(request("/0"))
        assert await read_all(stream) == BY_1011
        await stream.aclose()
        await trio.sleep(60)
        assert served.server.statistics().failed == 1
    [record] = loud(caplog)
    assert "the handler failed" in record.getMessage()


async def test_the_error_leaves_the_block_as_itself(autojump_clock, caplog):
    error = ValueError("on purpose")
    ended = []

    async def others(connection):
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        await trio.sleep(0.5)
        await connection.send("bye")
        await trio.sleep(1)
        ended.append(trio.current_time())

    async def answer(stream, close):
        assert await open_raw(stream) == b""
        data = b""
        while not data.endswith(close):
            data += bytes(await stream.receive_some(100))
        await stream.aclose()
        answers.append(data)

    answers: list[bytes] = []
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="on purpose") as caught:  # noqa: PT012
            async with serve_memory(
                failing(error, others=others), on_handler_error="raise"
            ) as served:
                nursery.start_soon(answer, served.connect(), BY_1001)
                await trio.sleep(1)
                stream = await served.connect_raw(request("/0"))
                try:
                    await trio.sleep_forever()
                finally:
                    assert trio.current_time() == 1  # the block is cancelled at once
        assert caught.value is error
        # Its own peer was told 1011, the others 1001, when their goodbye was over.
        assert await read_all(stream) == BY_1011
        await trio.testing.wait_all_tasks_blocked()
        assert answers == [b"\x81\x03bye" + BY_1001]
    assert ended == [2.5]
    assert served.listener.is_closed
    assert served.server.statistics().failed == 1
    assert loud(caplog) == []


async def test_the_grace_holds(autojump_clock):
    async def others(connection):
        await trio.sleep_forever()

    with pytest.raises(ValueError, match="on purpose"):  # noqa: PT012
        async with serve_memory(
            failing(ValueError("on purpose"), others=others),
            on_handler_error="raise",
            timeouts=Timeouts(grace=3),
        ) as served:
            stream = await served.connect_raw()
            await served.connect_raw(request("/0"))
            await trio.sleep_forever()
    assert trio.current_time() == 3
    assert await read_all(stream) == BY_1001


async def test_several_at_once_come_in_a_group(autojump_clock, caplog):
    errors = [ValueError("one"), KeyError("two"), OSError("three")]
    together = trio.Event()

    async def handler(connection):
        await together.wait()
        raise errors[int(connection.request.path[1:])]

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with serve_memory(handler, on_handler_error="raise") as served:
            streams = [await served.connect_raw(request(f"/{number}")) for number in range(3)]
            together.set()
            await trio.sleep_forever()
    assert set(caught.value.exceptions) == set(errors)
    assert [await read_all(stream) for stream in streams] == [BY_1011] * 3
    assert served.server.statistics().failed == 3
    assert loud(caplog) == []


async def test_one_while_the_server_ends(autojump_clock):
    error = ValueError("in its goodbye")

    async def handler(connection):
        try:
            await connection.receive()
        finally:
            raise error

    with pytest.raises(ValueError, match="goodbye") as caught:
        async with serve_memory(handler, on_handler_error="raise") as served:
            await served.connect_raw()
    assert caught.value is error


async def test_one_beside_an_error_of_the_block(autojump_clock):
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with serve_memory(failing(ValueError("1")), on_handler_error="raise") as served:
            await served.connect_raw(request("/0"))
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("2")
    assert sorted(map(repr, caught.value.exceptions)) == ["RuntimeError('2')", "ValueError('1')"]


async def test_the_end_of_a_connection_is_none(autojump_clock, caplog):
    async def handler(connection):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive)
            nursery.start_soon(connection.wait_closed)

    async with serve_memory(handler, on_handler_error="raise") as served:
        async with connect_endpoint(URL, stream=served.connect()):
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        stream = served.connect()
        await stream.send_all(b"nonsense\r\n\r\n")  # nor is that of an opening
        await stream.aclose()
        await trio.sleep(60)
        assert served.server.statistics().failed == 0
    assert loud(caplog) == []


async def test_a_handler_that_turns_out_not_to_be_async(autojump_clock):
    @functools.wraps(echo)
    def handler(connection):
        return None

    with pytest.raises(TypeError, match="the handler must be an async function"):  # noqa: PT012
        async with serve_memory(handler, on_handler_error="raise") as served:
            await served.connect_raw()
            await trio.sleep_forever()


async def test_out_of_run_endpoint(autojump_clock):
    listener, error = MemoryListener(), ValueError("on purpose")

    async def run(*, task_status):
        with pytest.raises(ValueError, match="on purpose") as caught:
            await run_endpoint(
                failing(error),
                listeners=[listener],
                on_handler_error="raise",
                task_status=task_status,
            )
        assert caught.value is error

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        await open_raw(listener.connect(), request("/0"))


async def test_while_the_block_waits_for_the_server(autojump_clock):
    error = ValueError("on purpose")
    with pytest.raises(ValueError, match="on purpose"):  # noqa: PT012
        async with serve_memory(failing(error), on_handler_error="raise") as served:
            await served.connect_raw(request("/0"))
            await served.server.wait_closed()
