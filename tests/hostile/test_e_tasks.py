"""Rows E95 to E102: cancellation wherever it can strike, and callbacks that misbehave."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import (
    REQUEST,
    Clock,
    Peer,
    half_pair,
    loud_records,
    served,
    settle,
)
from tests.hostile.server_under_test import server_under_test, task_count
from tests.protocol.wire import TEXT, from_client
from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    Connection,
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    ContinuationFrame,
    DataFrame,
    HandshakeError,
    Limits,
    PingFrame,
    TextFrame,
    Timeouts,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.testing import connection_pair


async def cancelled_after(steps: int, call: Callable[[], Awaitable[object]]) -> bool:
    """Run `call`, cancelled when everything else has had `steps` turns; return if it was."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(cancel)
            await call()
            nursery.cancel_scope.cancel()
            return False
    return True


@pytest.mark.parametrize("size", [0, 100, 70_000, 1_000_000])
async def test_e95_cancelled_while_sending(size, autojump_clock):
    ours, theirs = half_pair()
    limits = Limits(message_size=2_000_000)
    async with (
        connection_pair(
            streams=(theirs, ours), client={"limits": limits, "heartbeat": None}
        ) as pair,
        trio.open_nursery() as nursery,
    ):
        committed = []

        async def open_the_tap() -> None:
            while True:
                await trio.sleep(1)
                ours.room = 50_000 + size // 2

        ours.room = 0
        nursery.start_soon(open_the_tap)
        for number in range(60):
            message = b"%03d" % number + bytes(size)

            async def call(message: bytes = message) -> None:
                await pair.server.send(message)
                committed.append(message)  # without a checkpoint since

            if not await cancelled_after(number % 12, call):
                assert committed[-1] == message
            if number % 3 == 0:
                await trio.sleep(1.5)
        # Usable, and the peer got those that were committed: whole, in order, and no others.
        await pair.server.send("the end")
        committed.append(b"the end")
        for message in committed:
            got = await pair.client.receive()
            assert (got.encode() if isinstance(got, str) else got) == message
        nursery.cancel_scope.cancel()
    assert len(committed) > 5


async def test_e96_cancelled_while_waiting_for_room(autojump_clock):
    ours, theirs = half_pair()
    async with connection_pair(streams=(theirs, ours), client={"heartbeat": None}) as pair:
        ours.room = 0
        await pair.server.send(bytes(30_000))  # in the writer's hands
        await settle()
        await pair.server.send(bytes(65_536))  # in the queue: there is no more room
        before = pair.server.statistics()
        for _ in range(20):
            with trio.move_on_after(0.1) as scope:
                await pair.server.send("never")
            assert scope.cancelled_caught
        with pytest.raises(trio.WouldBlock):
            pair.server.send_nowait("never")
        assert pair.server.statistics() == before
        ours.room = None
        await pair.server.send("at last")
        got = [await pair.client.receive() for _ in range(3)]
        assert got == [bytes(30_000), bytes(65_536), "at last"]


async def test_e97_cancelled_while_receiving(autojump_clock):
    async with served() as (connection, peer):
        frames = [
            TextFrame("one"),
            TextFrame("t", fin=False),
            ContinuationFrame(b"w", fin=False),
            PingFrame(b"p"),
            ContinuationFrame(b"o"),
            BinaryFrame(b"3" * 100_000, fin=False),
            ContinuationFrame(b"3" * 100_000),
            TextFrame("four"),
        ]
        got: list[Any] = []

        async def receive() -> None:
            got.append(await connection.receive())

        data = peer.to_bytes(*frames)
        for steps, start in enumerate(range(0, len(data), 1000)):
            await peer.stream.send_all(data[start : start + 1000])
            await cancelled_after(steps % 9, receive)
        while len(got) < 4:
            await receive()
        assert got == ["one", "two", b"3" * 200_000, "four"]


async def test_e98_cancelled_while_opening_and_closing(
    server_context, client_context, autojump_clock
):
    clock = Clock()
    before = task_count()
    for steps in range(0, 60, 3):
        # Accepting and connecting, TLS and not, cancelled anywhere.
        for tls in False, True:
            ours, theirs = half_pair()
            stream: trio.abc.Stream = ours
            options: dict[str, Any] = {}
            if tls:
                stream = trio.SSLStream(
                    ours, server_context, server_side=True, https_compatible=True
                )
                options["ssl_context"] = client_context

            async def accept(stream: trio.abc.Stream = stream) -> None:
                with contextlib.suppress(HandshakeError):
                    async with accept_endpoint(stream) as connection:
                        await connection.aclose()

            async def connect(
                theirs: trio.abc.Stream = theirs, options: dict[str, Any] = options
            ) -> None:
                url = f"{'wss' if options else 'ws'}://example.test/"
                with contextlib.suppress(HandshakeError, ConnectionClosed):
                    async with connect_endpoint(url, stream=theirs, **options) as connection:
                        await connection.receive()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancelled_after, steps, accept)
                nursery.start_soon(connect)
                with trio.fail_after(11):
                    while nursery.child_tasks:
                        await trio.sleep(0.1)
            assert ours.closes >= 1
            assert task_count() == before
    # Each at once, but for the few whose peer had said nothing yet.
    for what in "handshake", "close":
        ours, theirs = half_pair()
        clock = Clock()
        if what == "close":
            await theirs.send_all(REQUEST)
        with trio.move_on_after(3):
            async with accept_endpoint(ours) as connection:
                await connection.aclose()  # nobody answers
        assert clock.now == 3
        assert ours.closes >= 1
        assert task_count() == before


PROGRAM = """
    import sys, trio
    from trio_wsendpoint import Timeouts, connect_endpoint, serve_endpoint

    async def chat(connection):
        async for message in connection:
            await connection.send(message)

    async def hang(connection):
        await (chat(connection) if connection.request.path == "/chat" else trio.sleep_forever())

    async def talk(url):
        async with connect_endpoint(url) as connection:
            while True:
                await connection.send("x" * 1000)
                await connection.receive()

    async def main():
        timeouts = Timeouts(grace=0.5, close=0.3)
        async with trio.open_nursery() as clients:
            async with serve_endpoint(hang, 0, host="127.0.0.1", timeouts=timeouts) as server:
                async def client(path):
                    try:
                        await talk(server.urls[0] + path)
                    except trio.EndOfChannel as error:
                        print(path, error.code, flush=True)
                    except trio.BrokenResourceError as error:
                        print(path, error.code, flush=True)
                with trio.CancelScope(shield=True):
                    for _ in range(10):
                        clients.start_soon(client, "chat")
                    clients.start_soon(client, "hang")
                while server.statistics().connections < 11:
                    await trio.sleep(0.01)
                print("ready", flush=True)
                await trio.sleep_forever()

    trio.run(main, restrict_keyboard_interrupt_to_checkpoints=True)
"""


def test_e99_control_c_under_load():
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "KeyboardInterrupt" in err
    assert "Cancelled" not in err
    assert process.returncode != 0
    assert out.count("chat 1001") == 10, out
    assert out.count("hang 1001") == 1, out


async def test_e99_leaving_under_load(autojump_clock):
    """Accept no more, 1001 to all, wait no longer than the grace, then force."""
    told = []
    clock = Clock()

    async def handler(connection: Connection) -> None:
        if connection.request.path == "/stubborn":
            with trio.CancelScope(shield=False):
                await trio.sleep_forever()
        async for message in connection:
            await connection.send(message)

    async def client(under_test: Any, path: str) -> None:
        async with under_test.client(path) as connection:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await connection.send("x")
                    await connection.receive()
            told.append(connection.endpoint.closing.code)

    class Stop(Exception):
        pass

    async with trio.open_nursery() as clients:
        with pytest.raises(Stop):  # noqa: PT012 - the block of the server is what raises
            async with server_under_test(handler, timeouts=Timeouts(grace=4)) as under_test:
                with trio.CancelScope(shield=True):
                    for _ in range(20):
                        clients.start_soon(client, under_test, "/chat")
                    clients.start_soon(client, under_test, "/stubborn")
                    for _ in range(100):
                        await trio.lowlevel.checkpoint()
                raise Stop
    assert told == [1001] * 21
    assert clock.now <= 4 + 1


@pytest.mark.parametrize("where", ["handler", "on_data_frame", "before_send_frame", "random_bytes"])
async def test_e100_callbacks_that_raise(where, autojump_clock):
    def fail(*args: object) -> Any:
        if armed:
            raise OSError("no such luck")

    armed = False
    options: dict[str, Any] = {} if where == "handler" else {where: fail}
    if where == "random_bytes":

        def random_bytes(size: int) -> bytes:
            fail()
            return bytes(size)

        options["random_bytes"] = random_bytes

    async def handler(connection: Connection) -> None:
        async for _ in connection:
            if where == "handler":
                fail()
            elif where == "random_bytes":
                await connection.ping()

    async with server_under_test(handler, **options) as under_test:
        stream = await under_test.open()
        armed = True
        await stream.send_all(from_client(9, b"") + from_client(TEXT, b"x"))
        frames = [(kind, data) for kind, data in await Peer(stream, masks=True).rest()]
        assert frames[-1] == ("close", b"\x03\xf3")
        armed = False
        await stream.aclose()
        await under_test.settled()
        (record,) = under_test.log.take_loud()
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "no such luck"


async def test_e100_a_logger_that_raises(autojump_clock):
    class Broken(logging.LoggerAdapter):  # type: ignore[type-arg]
        def process(self, msg: Any, kwargs: Any) -> Any:
            raise OSError("the disk is full")

    async def handler(connection: Connection) -> None:
        raise ValueError(await connection.receive())

    def on_data_frame(frame: DataFrame) -> None:
        if frame.payload == b"callback":
            raise ValueError("a callback")

    async with server_under_test(
        handler,
        logger=Broken(logging.getLogger("trio_wsendpoint"), {}),
        on_data_frame=on_data_frame,
    ) as under_test:
        for message in b"handler", b"callback":
            stream = await under_test.open()
            await stream.send_all(from_client(TEXT, message))
            assert (await Peer(stream, masks=True).expect_close())[0] == 1011
            await stream.aclose()
        stream = await under_test.connect()
        await stream.send_all(b"nonsense\r\n\r\n")
        await stream.aclose()
        await under_test.settled()


class Grave(BaseException):
    """As KeyboardInterrupt: nothing that a library may keep to itself."""


@pytest.mark.parametrize(
    "where", ["raises", "type", "frame", "mutates", "sends", "closes", "aborts"]
)
async def test_e101_what_callbacks_must_not_do(where, autojump_clock, caplog):
    """Blocking is not here: it stops every task of the program, and Trio's instruments tell."""
    seen: list[Connection] = []

    def on_data_frame(frame: DataFrame) -> Any:
        connection = seen[0]
        if where == "raises":
            raise Grave
        if where == "type":
            return b"not a frame"
        if where == "frame":
            return BinaryFrame(b"not what it stands for")
        if where == "mutates":
            frame.payload = b"other"
            frame.fin = False
        if where == "sends":
            for _ in range(100):
                connection.send_nowait("re-entry")
        if where == "closes":
            connection.endpoint.close(4000, "enough")
        if where == "aborts":
            connection._tasks.abort()
        return None

    ours, theirs = half_pair()
    peer = Peer(theirs, masks=True)
    await theirs.send_all(REQUEST)
    limits = Limits(send_buffer=1 << 20)
    caught: list[BaseException] = []
    got: list[object] = []
    try:
        async with accept_endpoint(ours, on_data_frame=on_data_frame, limits=limits) as connection:
            seen.append(connection)
            await peer.read_head()
            await peer.send(TextFrame("a message"), CloseFrame(1000))
            await peer.end_sending()
            try:
                while True:
                    got.append(await connection.receive())
            except ConnectionClosed as error:
                caught.append(error)
    except Grave as error:
        caught.append(error)
    assert ours.closes >= 1
    rest = await peer.rest()
    closes = [payload[:2] for kind, payload in rest if kind == "close"]
    if where == "raises":
        assert type(caught[-1]) is Grave  # it comes out, when the stream is closed
    elif where in {"type", "frame"}:
        assert closes == [b"\x03\xf3"]
        assert got == []
        assert isinstance(caught[0].__cause__, TypeError if where == "type" else ValueError)
        assert len(loud_records(caplog)) == 1
    elif where == "mutates":
        # A frame that was made to say that more follows: what there is never becomes a message.
        assert got == []
        assert closes == [b"\x03\xe8"]
    elif where == "sends":
        assert got == ["a message"]
        assert [kind for kind, _ in rest] == ["text"] * 100 + ["close"]
    elif where == "closes":
        assert got == []
        assert rest == [("close", b"\x0f\xa0enough")]
    else:
        assert got == []
        assert isinstance(caught[0], ConnectionLost)


async def test_e102_what_comes_out_is_no_group(autojump_clock):
    for ending, expected in (
        (CloseFrame(1000), ConnectionEnded),
        (CloseFrame(1011), ConnectionLost),
        (b"\xff", ConnectionLost),
        (None, ConnectionLost),
    ):
        ours, theirs = half_pair()
        await theirs.send_all(REQUEST)
        peer = Peer(theirs, masks=True)
        with pytest.raises(expected) as caught:  # noqa: PT012 - the whole block is what raises
            async with accept_endpoint(ours) as connection:
                if isinstance(ending, bytes):
                    await theirs.send_all(ending)
                elif ending is not None:
                    await peer.send(ending)
                await peer.end_sending()
                await connection.receive()
        assert type(caught.value) is expected
    # Two errors that have nothing to do with one another are a group, of these two.
    async with server_under_test() as under_test:
        with pytest.raises(BaseExceptionGroup) as group:  # noqa: PT012
            async with under_test.client("/") as connection, trio.open_nursery() as nursery:
                nursery.start_soon(connection.aclose)
                await connection.wait_closed()
                with pytest.raises(ConnectionClosedLocally):
                    await connection.receive()
                nursery.start_soon(_raise, ValueError("one"))
                nursery.start_soon(_raise, OSError("two"))
        assert sorted(map(str, group.value.exceptions)) == ["one", "two"]


async def _raise(error: Exception) -> None:
    raise error
