"""What a handler can still say when its server ends, and when its own tasks are cancelled."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    Timeouts,
    connect_endpoint,
)

from .helpers import echo, hold, loud, read_all, serve_memory

URL = "ws://example.test/"


async def hear_out(stream, heard):
    """Be a client that listens to the end; `heard` gets what, and when."""
    async with connect_endpoint(URL, stream=stream) as client:
        try:
            while True:
                message = await client.receive()
                heard.append((trio.current_time(), message))
        except ConnectionClosed as error:
            heard.append((trio.current_time(), error.code, error.reason))


async def end_of(handler, *, cancel=False, after=1.0, **options):
    """Serve `handler` to one client for a second; return what that heard, and when all ended."""
    heard: list[tuple[object, ...]] = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with serve_memory(handler, **options) as served:
                nursery.start_soon(hear_out, served.connect(), heard)
                await trio.sleep(after)
                if cancel:
                    scope.cancel()
                    await trio.sleep_forever()
        ended = trio.current_time()
    return heard, ended


both = pytest.mark.parametrize("cancel", [False, True], ids=["left", "cancelled"])


# ---- the server ends, and the handler waits in receive() ----------------------------------------


@both
async def test_a_finally_can_send(cancel, autojump_clock, caplog):
    async def handler(connection):
        try:
            async for message in connection:
                await connection.send(message)
        finally:
            await connection.send("bye")

    heard, ended = await end_of(handler, cancel=cancel)
    assert heard == [(1, "bye"), (1, 1001, "")]
    assert ended == 1
    assert loud(caplog) == []


@both
async def test_a_finally_can_close_with_a_code_of_its_own(cancel, autojump_clock, caplog):
    async def handler(connection):
        try:
            await connection.receive()
        finally:
            with trio.move_on_after(1, shield=True):
                await connection.send("bye")
                await connection.aclose(4001, "come again")

    heard, ended = await end_of(handler, cancel=cancel)
    assert heard == [(1, "bye"), (1, 4001, "come again")]
    assert ended == 1
    assert loud(caplog) == []


async def test_a_finally_may_take_some_time(autojump_clock):
    async def handler(connection):
        try:
            await connection.receive()
        finally:
            await trio.sleep(0.75)
            await connection.send("saved")

    heard, ended = await end_of(handler)
    assert heard == [(1.75, "saved"), (1.75, 1001, "")]
    assert ended == 1.75


async def test_but_not_for_ever(autojump_clock):
    said = []

    async def handler(connection):
        with pytest.raises(ConnectionClosedLocally, match="the server stops"):
            await connection.receive()
        with pytest.raises(ConnectionClosedLocally):
            connection.receive_nowait()
        await trio.sleep(2)
        with pytest.raises(ConnectionClosedLocally, match="1001"):
            await connection.send("too late")
        said.append("too late")

    heard, ended = await end_of(handler)
    assert heard == [(2, 1001, "")]
    assert ended == 3
    assert said == ["too late"]


async def test_how_long_can_be_chosen(autojump_clock):
    async def handler(connection):
        try:
            await connection.receive()
        finally:
            await trio.sleep(7)
            await connection.send("bye")

    heard, ended = await end_of(handler, timeouts=Timeouts(goodbye=8))
    assert heard == [(8, "bye"), (8, 1001, "")]
    assert ended == 8


async def test_the_grace_is_the_end_of_it(autojump_clock):
    """The handler is cancelled, and its shielded `finally` finds the connection open still."""

    async def handler(connection):
        try:
            with pytest.raises(ConnectionClosedLocally):
                await connection.receive()
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await connection.send("bye")

    heard, ended = await end_of(handler, timeouts=Timeouts(goodbye=60, grace=3))
    assert heard == [(4, "bye"), (4, 1001, "")]
    assert ended == 4


async def test_what_the_client_sends_meanwhile_is_dropped(autojump_clock):
    told = trio.Event()

    async def handler(connection):
        with pytest.raises(ConnectionClosedLocally):
            await connection.receive()
        told.set()
        await trio.sleep(0.5)
        for _ in range(2):
            with pytest.raises(ConnectionClosedLocally):
                await connection.receive()
        assert connection.statistics().inbox_messages == 0
        assert await connection.ping() == 0
        await connection.send("bye")

    async def chat(stream):
        async with connect_endpoint(URL, stream=stream) as client:
            await told.wait()
            await client.send("too late")
            assert await client.receive() == "bye"
            with pytest.raises(ConnectionEnded, match="1001"):
                await client.receive()

    async with trio.open_nursery() as nursery:
        async with serve_memory(handler) as served:
            nursery.start_soon(chat, served.connect())
            await trio.sleep(1)
        assert served.server.statistics().failed == 0


async def test_a_nursery_in_the_handler_is_told_by_the_task_that_receives(autojump_clock, caplog):
    async def handler(connection):
        async def tick():
            try:
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(1, shield=True):
                    await connection.send("the last tick")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            async for message in connection:
                await connection.send(message)

    heard, ended = await end_of(handler)
    assert heard == [(1, "the last tick"), (1, 1001, "")]
    assert ended == 1
    assert loud(caplog) == []


async def test_a_handler_that_fails_in_its_goodbye(autojump_clock, caplog):
    async def handler(connection):
        try:
            await connection.receive()
        finally:
            raise ValueError("on purpose")

    heard, _ = await end_of(handler)
    assert heard == [(1, 1011, "")]
    assert len(loud(caplog)) == 1


async def test_the_peer_may_close_first(autojump_clock):
    async def handler(connection):
        with pytest.raises(ConnectionClosedLocally):
            await connection.receive()
        await connection.wait_closed()
        with pytest.raises(ConnectionEnded, match="1000"):
            await connection.receive()

    async with (
        serve_memory(handler) as served,
        trio.open_nursery() as nursery,
        connect_endpoint(URL, stream=served.connect()) as client,
    ):
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(served.server.aclose)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose(1000)
    assert trio.current_time() == 0
    assert served.server.statistics().failed == 0


@both
async def test_with_a_code_and_a_reason_of_the_server_s(cancel, autojump_clock):
    """They are what the peer gets at the end of the handler, however that ends."""

    async def handler(connection):
        try:
            await connection.receive()
        finally:
            if cancel:
                await trio.sleep_forever()

    heard: list[tuple[object, ...]] = []
    async with trio.open_nursery() as nursery, serve_memory(handler) as served:
        nursery.start_soon(hear_out, served.connect(), heard)
        await trio.sleep(1)
        await served.server.aclose(1012, "restart", grace=0.5)
    assert heard == [(1.5 if cancel else 1, 1012, "restart")]


# ---- the server ends, and the handler does something else ---------------------------------------


@both
@pytest.mark.parametrize("handler", [echo, hold])
async def test_who_does_nothing_special_gets_1001_at_once(handler, cancel, autojump_clock):
    assert await end_of(handler, cancel=cancel) == ([(1, 1001, "")], 1)


@both
async def test_who_is_busy_gets_1001_at_once_and_can_send_no_more(cancel, autojump_clock):
    """RFC 6455 section 5.5.1: nothing follows a Close frame."""
    said = []

    async def handler(connection):
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                try:
                    await connection.send("bye")
                except ConnectionClosedLocally as error:
                    said.append((trio.current_time(), error.code))

    heard, ended = await end_of(handler, cancel=cancel, timeouts=Timeouts(grace=3))
    assert heard == [(1, 1001, "")]
    assert said == [(4, 1001)]
    assert ended == 4


# ---- others cancel ------------------------------------------------------------------------------


async def test_the_handler_s_own_nursery_is_cancelled(autojump_clock, caplog):
    async def handler(connection):
        async with trio.open_nursery() as nursery:

            async def stop():
                await trio.sleep(0.5)
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            try:
                await connection.receive()
            finally:
                with trio.move_on_after(1, shield=True):
                    await connection.send("bye")
                    await connection.aclose(1000, "stopped")

    heard, _ = await end_of(handler)
    assert heard == [(0.5, "bye"), (0.5, 1000, "stopped")]
    assert loud(caplog) == []


async def test_a_goodbye_to_a_peer_that_takes_nothing_ends_with_its_deadline(autojump_clock):
    """What a handler shields is its own to bound: then the connection is given up."""

    async def handler(connection):
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await connection.aclose(1000, "bye")

    async with serve_memory(handler, timeouts=Timeouts(grace=3)) as served:
        stream = await served.connect_raw()
        await trio.sleep(1)
    assert trio.current_time() == 5
    assert await read_all(stream) == b"\x88\x02\x03\xe9"
