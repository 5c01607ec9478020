"""A live server with bystanders, for one hostile input: whatever it does, they must still echo.

    async with server_under_test(timeouts=Timeouts(open=4)) as under_test:
        stream = await under_test.connect()     # a raw stream to the server
        ...                                     # the abuse
    # here: every bystander has echoed, the server has nothing left but them, the log is quiet

Under pytest-trio's `autojump_clock` it is all in memory, and time is virtual; else it is TCP over
loopback.  Streams of `connect` are closed at the end of the block, whatever the test did.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager

import trio
import trio.testing

from tests.server.helpers import (
    KEY,
    MASK,
    UPGRADE,
    MemoryListener,
    echo,
    hold,
    open_raw,
    read_all,
    read_head,
    read_response,
    receive_exactly,
    request,
    task_count,
)
from trio_wsendpoint import connect_endpoint, serve_endpoint

__all__ = [
    "BYSTANDERS",
    "KEY",
    "MASK",
    "UPGRADE",
    "LogRecorder",
    "MemoryListener",
    "ServerUnderTest",
    "echo",
    "hold",
    "open_raw",
    "poll",
    "read_all",
    "read_head",
    "read_response",
    "receive_exactly",
    "request",
    "server_under_test",
    "task_count",
]

#: How many connections look on.
BYSTANDERS = 10
#: The path of theirs begins so: they are echoed, whatever the test's handler does.
BYSTANDER_PATH = "/bystander"


#: Seconds within which a server has done what it is to do at once: of a virtual clock, and of the
#: real one, which another program may hold up.
PROMPTLY, REAL_PATIENCE = 5.0, 60.0


def is_time_virtual():
    return isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)


async def poll(condition, within=PROMPTLY):
    """Wait until `condition()` is true; fail after `within` virtual seconds, or many real ones."""
    within = within if is_time_virtual() else REAL_PATIENCE
    with trio.move_on_after(within):
        while not condition():
            await trio.sleep(0.002)
    assert condition(), f"not so within {within} s"


class LogRecorder(logging.Handler):
    """Keeps what the library, and Trio, log while it is entered."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []
        self._loggers = [logging.getLogger("trio_wsendpoint"), logging.getLogger("trio")]
        self._levels = []

    def emit(self, record):
        record.getMessage()  # one that cannot be formatted is an error here and now
        self.records.append(record)

    def __enter__(self):
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.addHandler(self)
            logger.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *args):
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.removeHandler(self)
            logger.setLevel(level)

    def loud(self):
        """Those above INFO."""
        return [record for record in self.records if record.levelno > logging.INFO]

    def take_loud(self):
        """Those above INFO, which from now on do not count: the test expects them."""
        loud = self.loud()
        self.records = [record for record in self.records if record not in loud]
        return loud


class ServerUnderTest:
    """The server, its bystanders, and ways in for the hostile peer."""

    def __init__(self, server, listener, log):
        self.server = server
        self.listener = listener  # a MemoryListener, or None over TCP
        self.log = log
        self.bystanders = []  # client connections of ours
        self.streams = []  # what `connect` has returned
        self.tasks = 0  # that live while nothing but the bystanders is there
        self._rounds = 0

    async def connect(self):
        """A raw stream to the server; below TLS, if it speaks TLS."""
        if self.listener is None:
            stream = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        else:
            stream = self.listener.connect()
        self.streams.append(stream)
        return stream

    async def open(self, data=None):
        """A raw stream whose opening handshake (`data`) is done: frames may follow.

        Raises if more than the 101 has come.
        """
        stream = await self.connect()
        assert await open_raw(stream, data) == b""
        return stream

    async def ask(self, data):
        """The response to `data`, after which the server must have ended the connection."""
        stream = await self.connect()
        await stream.send_all(data)
        response = await read_response(stream)
        await stream.aclose()
        return response

    def client(self, path="/", **options):
        """`connect_endpoint` to this server: a well-behaved client more."""
        if self.listener is None:
            return connect_endpoint(f"ws://127.0.0.1:{self.server.port}{path}", **options)
        return connect_endpoint(
            f"ws://example.test{path}", stream=self.listener.connect(), **options
        )

    async def check_bystanders(self):
        """Each bystander echoes."""
        self._rounds += 1
        with trio.fail_after(PROMPTLY if is_time_virtual() else REAL_PATIENCE):
            for number, bystander in enumerate(self.bystanders):
                said = f"bystander {number} in round {self._rounds}"
                await bystander.send(said)
                assert await bystander.receive() == said

    def visitors(self):
        """How many connections and openings there are beside the bystanders'."""
        statistics = self.server.statistics()
        return statistics.connections + statistics.opening - len(self.bystanders)

    async def settled(self, within=PROMPTLY):
        """The server has got rid of all visitors, and of every task of theirs."""
        await poll(lambda: self.visitors() == 0, within)
        await poll(lambda: task_count() <= self.tasks, within)

    async def finish(self, within):
        """Everything is as before the test."""
        for stream in self.streams:
            await trio.aclose_forcefully(stream)
        await self.check_bystanders()
        await self.settled(within)
        await self.check_bystanders()
        assert [record.getMessage() for record in self.log.loud()] == []


@asynccontextmanager
async def server_under_test(
    handler=echo,
    *,
    bystanders=BYSTANDERS,
    bystander_options=None,
    client_context=None,
    make_pair=trio.testing.memory_stream_pair,
    settle_within=PROMPTLY,
    **options,
):
    """Serve `handler` with `options` (of `serve_endpoint`), and `bystanders` beside.

    `bystander_options`: for their `connect_endpoint`; `client_context`: for that too, when
    `options` has an `ssl_context`.  `make_pair`: what a raw peer in memory is connected by.
    `settle_within`: virtual seconds that the server has, at the end, to get rid of what the test
    left.
    """

    async def handle(connection):
        await (echo if connection.request.path.startswith(BYSTANDER_PATH) else handler)(connection)

    listener = MemoryListener(make_pair) if is_time_virtual() else None
    served = (
        serve_endpoint(handle, 0, **{"host": "127.0.0.1", **options})
        if listener is None
        else serve_endpoint(handle, listeners=[listener], **options)
    )
    their_options = {"heartbeat": None, **(bystander_options or {})}
    if client_context is not None:
        their_options["ssl_context"] = client_context
    scheme = "ws" if client_context is None else "wss"

    with LogRecorder() as log:
        async with served as server, AsyncExitStack() as stack:
            under_test = ServerUnderTest(server, listener, log)
            for number in range(bystanders):
                if listener is None:
                    where, stream = f"127.0.0.1:{server.port}", None
                else:
                    # A pair that holds any amount, whatever the hostile peer is connected by.
                    stream, theirs = trio.testing.memory_stream_pair()
                    listener.offer(theirs)
                    where = "example.test"
                url = f"{scheme}://{where}{BYSTANDER_PATH}/{number}"
                bystander = await stack.enter_async_context(
                    connect_endpoint(url, stream=stream, **their_options)
                )
                under_test.bystanders.append(bystander)
            await poll(lambda: len(server.connections) == bystanders)
            await under_test.check_bystanders()
            if listener is None:
                # Over sockets a reader task starts when nobody has read for a little while: now.
                for connection in (*server.connections, *under_test.bystanders):
                    connection._tasks.reader.call()
                await trio.testing.wait_all_tasks_blocked()
            under_test.tasks = task_count()
            yield under_test
            await under_test.finish(settle_within)
