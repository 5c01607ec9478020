"""Rows E103 to E116: floods, clocks, memory, logs, threads, and what many connections cost."""

from __future__ import annotations

import errno
import gc
import importlib
import pkgutil
import threading
import time
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import trio_wsendpoint
from tests.connection.helpers import Clock, Peer, half_pair, served
from tests.hostile.measure_memory import churn
from tests.hostile.server_under_test import (
    hold,
    poll,
    request,
    server_under_test,
)
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    PONG,
    TEXT,
    close_payload,
    from_client,
    scalar_xor,
)
from trio_wsendpoint import (
    Connection,
    ConnectionLost,
    DataFrame,
    Deflate,
    Heartbeat,
    PingFrame,
    PongFrame,
    ServerLimits,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.protocol.coding import apply_mask, rotate_mask
from trio_wsendpoint.testing import connection_pair


async def test_e103_a_flood_of_connections(autojump_clock):
    limits = ServerLimits(connections=30, openings=8)
    async with server_under_test(server_limits=limits, timeouts=Timeouts(open=5)) as under_test:
        # Silent ones: of those that have said nothing the oldest go first.
        for _ in range(100):
            await under_test.connect()
            await trio.testing.wait_all_tasks_blocked()
            assert under_test.server.statistics().opening <= 9
        await under_test.check_bystanders()
        # One that speaks gets in all the same.
        async with under_test.client() as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
        # When there is no more room, the others are told so.
        for stream in under_test.streams:
            await trio.aclose_forcefully(stream)
        await under_test.settled()
        for _ in range(20):
            await under_test.open()
        response = await under_test.ask(request())
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
    assert ServerLimits().connections == 10_000
    assert ServerLimits().openings == 256


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED]
)
async def test_e104_errors_of_accept(number, autojump_clock):
    async with server_under_test() as under_test:
        clock = Clock()
        if number == errno.ECONNABORTED:  # Trio's own listener passes over it
            assert number in trio._highlevel_socket._ignorable_accept_errnos
            return
        under_test.listener.errors += [OSError(number, "short of it")] * 24
        await under_test.connect()  # wakes the accept() that waits
        await trio.sleep(3)
        assert under_test.listener.accepts < 100  # it does not spin
        loud = under_test.log.take_loud()
        assert 1 <= len(loud) <= clock.now + 1
        assert all("short of it" in record.getMessage() for record in loud)
        assert all(record.exc_info is None for record in loud)
        async with under_test.client() as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"


async def test_e105_the_clock_jumps(autojump_clock):
    """The machine was suspended for eight hours: whoever answers the next ping lives."""
    heartbeat = Heartbeat(interval=5, max_pings=2)
    async with (
        served(heartbeat=heartbeat) as (connection, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(peer.answer_pings)
        for _ in range(5):
            await trio.sleep(7)
            autojump_clock.jump(8 * 3600)
            await trio.testing.wait_all_tasks_blocked()
            assert connection.is_open
        await trio.sleep(100)
        assert connection.is_open
        nursery.cancel_scope.cancel()
    # And no clock but Trio's is asked, which is monotonic; except for the Date of an answer.
    for module in library():
        if module.__name__ not in {
            "trio_wsendpoint.server.settings",
            "trio_wsendpoint.http.answers",
            "trio_wsendpoint.client.backoff",  # Retry-After may be a date
            "trio_wsendpoint.server.access_log",  # the time of day of a line
            "trio_wsendpoint.cli.bench",  # its own CPU
            "trio_wsendpoint.cli.output",  # the time of day of a line
            "trio_wsendpoint.cli.tls",  # the days that a certificate has left
            "trio_wsendpoint.workers.link",  # what a report costs
            "trio_wsendpoint.workers.parent",  # a process without Trio
        }:
            assert not {"time", "datetime"} & set(vars(module)), module


async def test_e106_the_event_loop_stalls(autojump_clock):
    """A synchronous call of 30 s, or a debugger: what came meanwhile is read before the verdict."""
    heartbeat = Heartbeat(interval=5, max_pings=0)
    for _ in range(10):  # Trio draws the order of the tasks
        async with served(heartbeat=heartbeat) as (connection, peer):
            await trio.testing.wait_all_tasks_blocked()
            await peer.send(TextFrame("I was here all the time"))
            autojump_clock.jump(30)
            assert await connection.receive() == "I was here all the time"
            await trio.testing.wait_all_tasks_blocked()
            assert connection.is_open


@pytest.mark.parametrize("where", ["frame", "inflate", "parser"])
async def test_e107_memory_runs_out(where, autojump_clock, monkeypatch):
    poison = b"\xde\xad" * 50
    seen: list[Connection] = []

    def on_data_frame(frame: DataFrame) -> None:
        if where == "frame" and frame.payload == poison:
            raise MemoryError

    async def handler(connection: Connection) -> None:
        if connection.request.path == "/target":
            seen.append(connection)
            endpoint: Any = connection.endpoint

            def fail(*args: object, **options: object) -> Any:
                raise MemoryError

            if where == "inflate":
                monkeypatch.setattr(type(endpoint.extension), "read", fail)
            elif where == "parser":
                monkeypatch.setattr(endpoint.parser, "receive_data", fail)
        await hold(connection)

    async with server_under_test(
        handler, deflate=Deflate(), on_data_frame=on_data_frame if where == "frame" else None
    ) as under_test:
        offer = "permessage-deflate"
        stream = await under_test.open(request("/target", Sec_WebSocket_Extensions=offer))
        await poll(lambda: bool(seen))
        rsv = 4 if where == "inflate" else 0
        await stream.send_all(from_client(BINARY, poison, rsv=rsv))
        assert (await Peer(stream, masks=True).expect_close())[0] == 1011
        await stream.aclose()
        await under_test.settled()
        monkeypatch.undo()
        assert len(under_test.log.take_loud()) == 1
        assert not seen[0].statistics().inbox_bytes
        assert not seen[0].endpoint.incoming.partial_size


async def test_e108_nothing_of_the_peer_s_is_logged_raw(autojump_clock):
    nasty = "\r\nERROR root: all is lost \x1b[31m\x00\x07"

    async def process_request(_: object) -> None:
        return None

    async def handler(connection: Connection) -> None:
        connection.logger.info("opened: %r", connection)
        await connection.receive()

    async with server_under_test(handler, process_request=process_request) as under_test:
        stream = await under_test.open()
        await stream.send_all(from_client(CLOSE, close_payload(4000, nasty)))
        await Peer(stream, masks=True).rest()
        stream = await under_test.open(request("/" + "%1b%0d%0a" + "x" * 3000))
        await stream.send_all(from_client(CLOSE, close_payload(4000, "é" * 60)))
        await Peer(stream, masks=True).rest()
        for head in (
            b"GET /" + nasty.encode() + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: " + nasty.encode().replace(b"\r\n", b"") + b"\r\n\r\n",
            b"GET /" + b"\xff" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            request(Sec_WebSocket_Version="13" + "4" * 5000),
            request(Origin="http://" + "evil." * 1000),
            request(Upgrade="x" * 9000),
        ):
            stream = await under_test.connect()
            await stream.send_all(head)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        records = list(under_test.log.records)
    assert len(records) > 5
    for record in records:
        message = record.getMessage()
        assert message.isprintable(), message
        assert len(message) <= 600, message


async def test_e109_a_hundred_thousand_pings(autojump_clock):
    """A cap of 16, as the row says; but the seventeenth waits, and none fails for another.

    A ping that is refused because of others' would be a fault of theirs in this caller's code.
    """
    async with served(heartbeat=None) as (connection, peer), trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(connection.ping)
        await trio.testing.wait_all_tasks_blocked()
        pings = [await peer.next_frame() for _ in range(16)]
        payloads = [ping.payload for ping in pings if isinstance(ping, PingFrame)]
        assert len(set(payloads)) == 16  # distinct
        # No seventeenth, neither out nor queued.
        assert peer.parser.buffered == 0
        assert connection.statistics().write_queue_frames == 0
        # A pong with a payload of nobody's, or one that was answered, changes nothing.
        await peer.send(PongFrame(b"who?"), PongFrame(payloads[0]), PongFrame(payloads[0]))
        assert isinstance(await peer.next_frame(), PingFrame)  # in the place of the first
        await trio.testing.wait_all_tasks_blocked()
        assert peer.parser.buffered == 0
        assert connection.statistics().write_queue_frames == 0
        assert connection.is_open
        nursery.cancel_scope.cancel()


async def test_e110_one_of_many_is_stuck(autojump_clock):
    """To all of them at once: those who read have it at once, the stuck one ends alone."""
    streams = []

    def make_pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ours, theirs = half_pair()
        streams.append(ours)
        return theirs, ours

    async with server_under_test(
        hold, make_pair=make_pair, timeouts=Timeouts(write=7)
    ) as under_test:
        peers = [Peer(await under_test.open(), masks=True) for _ in range(200)]
        stuck = streams[77]
        stuck.room = 0
        connections = under_test.server.connections[len(under_test.bystanders) :]
        clock = Clock()
        lost = []

        async def tell(connection: Connection) -> None:
            try:
                for _ in range(5):
                    await connection.send("x" * 50_000)
            except ConnectionLost as error:
                lost.append((clock.now, error.code))

        async def check(peer: Peer) -> None:
            for _ in range(5):
                frame = await peer.next_frame()
                assert frame is not None
                assert len(frame.payload) == 50_000
            assert clock.now == 0

        async with trio.open_nursery() as nursery:
            for connection in connections:
                nursery.start_soon(tell, connection)
            for number, peer in enumerate(peers):
                if number != 77:
                    nursery.start_soon(check, peer)
        assert lost == [(7, 1006)]
        await trio.sleep(8 - clock.now)
        assert under_test.visitors() == 199


async def test_e111_other_threads(autojump_clock):
    async with connection_pair() as pair:
        ours = pair.server
        raised: list[BaseException] = []

        async def send() -> None:
            await ours.send("x")

        async def each() -> None:
            for call in send, ours.receive, ours.ping, ours.aclose:
                with pytest.raises(RuntimeError, match="belongs to the thread") as caught:
                    await call()
                raised.append(caught.value)

        def other_thread() -> None:
            trio.run(each)  # even one with a Trio of its own
            for call in lambda: ours.send_nowait("x"), ours.receive_nowait:
                with pytest.raises(RuntimeError, match="belongs to the thread") as caught:
                    call()
                raised.append(caught.value)

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        assert len(raised) == 6
        assert ours.statistics().write_queue_frames == 0
        # The way to do it.
        done = trio.Event()

        def properly() -> None:
            trio.from_thread.run(ours.send, "from a thread")
            trio.from_thread.run_sync(done.set)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, properly)
            # A thread is nothing that the clock waits for.
            autojump_clock.autojump_threshold = float("inf")
            assert await pair.client.receive() == "from a thread"
            await done.wait()
            autojump_clock.autojump_threshold = 0


def library() -> list[Any]:
    """Every module of the library."""
    found = pkgutil.walk_packages(trio_wsendpoint.__path__, "trio_wsendpoint.")
    names = [trio_wsendpoint.__name__]
    names += [one.name for one in found if not one.name.endswith("__main__")]
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError:  # of an extra that is not installed
            continue
    return modules


def shared_state() -> dict[str, str]:
    """What the modules of the library hold in containers that could be changed."""
    found = {}
    for module in library():
        for name, value in vars(module).items():
            if name.startswith("__"):
                continue
            if isinstance(value, (list, dict, set, bytearray)):
                found[f"{module.__name__}.{name}"] = repr(value)
            elif isinstance(value, type) and value.__module__ == module.__name__:
                for attribute, held in vars(value).items():
                    if not attribute.startswith("_") and isinstance(held, (list, dict, set)):
                        found[f"{module.__name__}.{name}.{attribute}"] = repr(held)
    return found


async def test_e112_no_state_is_shared(autojump_clock):
    """Nothing is kept in a module, so that two interpreters, or threads, have nothing to share."""
    before = shared_state()
    async with server_under_test(deflate=Deflate()) as under_test:
        await under_test.open()
        async with under_test.client(deflate=Deflate()) as connection:
            await connection.send("x" * 1000)
            await connection.receive()
    assert shared_state() == before


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 9))
def test_e113_masking_is_what_the_rfc_says(data, key, offset):
    rotated = rotate_mask(key, offset)
    assert bytes(apply_mask(data[offset:], rotated)) == scalar_xor(data, key)[offset:]
    assert bytes(apply_mask(apply_mask(data, key), key)) == data


def test_e113_masking_a_megabyte():
    data = bytes(range(256)) * 4096
    for key in b"\x00\x00\x00\x00", b"\x01\x02\x03\x04", b"\xff\xff\xff\xff":
        for offset in range(8):
            masked = bytes(apply_mask(data[offset:], rotate_mask(key, offset)))
            expected = bytes(byte ^ key[place % 4] for place, byte in enumerate(data[:1024]))
            assert masked[: 1024 - offset] == expected[offset:]
            assert len(masked) == len(data) - offset


@pytest.mark.figure
def test_e113_masking_a_megabyte_takes_50_ms_of_cpu():
    data = bytes(range(256)) * 4096
    began = time.process_time()
    for _ in range(10):
        apply_mask(data, b"\x01\x02\x03\x04")
    seconds = (time.process_time() - began) / 10
    print(f"E113: {1 / 1024 / seconds:.2f} GiB/s")
    # A loop in Python over the bytes takes 100 ms.
    assert seconds < 0.05


async def test_e114_many_empty_messages(autojump_clock):
    count = 20_000
    turns = 0

    async def handler(connection: Connection) -> None:
        nonlocal turns
        task = trio.lowlevel.current_task()
        for _ in range(count):
            assert await connection.receive() == ""
        assert task is trio.lowlevel.current_task()
        done.set()

    done = trio.Event()
    async with server_under_test(handler) as under_test:
        stream = await under_test.open()
        data = from_client(TEXT, b"") * count
        counter = Counter()
        trio.lowlevel.add_instrument(counter)
        await stream.send_all(data)
        await done.wait()
        trio.lowlevel.remove_instrument(counter)
        steps = counter.steps / count
        print(f"E114: {steps:.2f} task switches a message")
        # A batch at a time: not a switch of tasks for each.
        assert steps < 0.2


class Counter(trio.abc.Instrument):
    """Counts how often any task was given a turn."""

    steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1


@pytest.mark.parametrize("opcode", [PONG, TEXT])
async def test_e115_one_large_read_of_small_frames(opcode, autojump_clock):
    count = 10_923 if opcode == TEXT else 900
    async with server_under_test() as under_test:
        stream = await under_test.open()
        turns = 0
        async with trio.open_nursery() as nursery:

            async def count_turns() -> None:
                nonlocal turns
                while True:
                    await trio.lowlevel.checkpoint()
                    turns += 1

            nursery.start_soon(count_turns)
            # A message that is never ended, so that nobody but the reader has anything to do.
            start = from_client(BINARY, b"", fin=False) if opcode == PONG else b""
            (visitor,) = under_test.server.connections[len(under_test.bystanders) :]
            before = visitor.statistics().bytes_received
            await stream.send_all(start + from_client(opcode, b"") * count)
            began = turns
            if opcode == TEXT:
                while visitor.statistics().messages_received < count:
                    await trio.lowlevel.checkpoint()
            else:
                while visitor.endpoint.control_frames < count:
                    await trio.lowlevel.checkpoint()
            assert visitor.statistics().bytes_received > before
            print(f"E115: {turns - began} turns in {count} frames")
            assert turns - began >= count // 64
            nursery.cancel_scope.cancel()


def ours_alive() -> int:
    """How many objects of the library's own types there are."""
    gc.collect()
    # Some types of other libraries, Cython's for one, have something else there than a name.
    modules = (str(type(one).__module__) for one in gc.get_objects())
    return sum(module.startswith("trio_wsendpoint") for module in modules)


async def test_e116_what_connections_leave_behind():
    """Nothing; `measure_memory` shows the same of the whole process, over 10,000 of them."""
    counts: list[int] = []

    def count() -> int:
        counts.append(ours_alive())
        return counts[-1]

    await churn(100, 200, count)  # without a log that holds every error with its frames
    print(f"E116: {counts} objects of ours")
    assert counts[1] <= counts[0]
    async with server_under_test():
        await churn(20, 20, lambda: 0)
