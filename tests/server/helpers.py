"""What the tests of servers and clients share: requests, listeners in memory, raw peers."""

from __future__ import annotations

import logging
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
import trio.testing

from trio_wsendpoint import Request, serve_endpoint
from trio_wsendpoint.handshake import ResponseReader, serialize_request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x01\x02\x03\x04"

UPGRADE = {
    "Host": "example.test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def has_ipv6() -> bool:
    """Tell whether this machine has an IPv6 address of its own."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def request(target="/", *, without=(), **headers):
    """The bytes of an upgrade request; `headers` has `Origin=...` and the like."""
    fields = {name: value for name, value in UPGRADE.items() if name not in without}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return serialize_request(Request(target, fields))


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def hold(connection):
    """A handler that does nothing until its connection ends."""
    await connection.wait_closed()


async def read_head(stream):
    """The answer's head, through its blank line, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(65536)
        assert more, data
        data += bytes(more)
    head, blank, rest = data.partition(b"\r\n\r\n")
    return head + blank, rest


async def read_all(stream):
    """All that comes until the other side ends it."""
    data = b""
    try:
        while more := await stream.receive_some(65536):
            data += bytes(more)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    return data


async def read_response(stream):
    """The answer that is not a 101: the whole of it, and that the connection ends there."""
    reader = ResponseReader()
    data = await read_all(stream)
    response = reader.receive_data(data) or reader.receive_eof()
    assert response is not None
    if response.status != 101:
        assert "close" in response.headers["Connection"]
        assert data.endswith(b"\r\n\r\n" + response.body)
    return response


async def open_raw(stream, data=None):
    """Open a WebSocket by hand over `stream`; return what came behind the 101."""
    await stream.send_all(data or request())
    head, rest = await read_head(stream)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return rest


async def receive_exactly(stream, size, data=b""):
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, data
        data += bytes(more)
    return data


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Listens to nobody but `connect`; `errors` are raised by the next calls of `accept`."""

    def __init__(self, make_pair=trio.testing.memory_stream_pair):
        self._make_pair = make_pair
        self._sender, self._receiver = trio.open_memory_channel(1000)
        self.accepts = 0
        self.errors = []
        self.is_closed = False

    async def accept(self):
        self.accepts += 1
        await trio.lowlevel.checkpoint()
        if self.errors:
            error = self.errors.pop(0)
            raise error
        try:
            return await self._receiver.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self):
        self.is_closed = True
        self._receiver.close()
        await trio.lowlevel.checkpoint()

    def connect(self):
        client, server = self._make_pair()
        self.offer(server)
        return client

    def offer(self, stream):
        self._sender.send_nowait(stream)

    def disappear(self):
        """Be closed by somebody else."""
        self._sender.close()


@dataclass
class Served:
    server: object
    listener: MemoryListener

    def connect(self):
        return self.listener.connect()

    async def connect_raw(self, data=None):
        stream = self.connect()
        await open_raw(stream, data)
        return stream


@asynccontextmanager
async def serve_memory(handler=echo, *, make_pair=trio.testing.memory_stream_pair, **options):
    listener = MemoryListener(make_pair)
    async with serve_endpoint(handler, listeners=[listener], **options) as server:
        yield Served(server, listener)


class Resolver(trio.abc.HostnameResolver):
    """Resolves every name to `addresses`: for `trio.socket.set_custom_hostname_resolver`."""

    def __init__(self, *addresses):
        self._addresses = addresses

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self._addresses
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


def only_error(caplog):
    """The one record of WARNING or above."""
    (record,) = loud(caplog)
    return record


def loud(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def task_count():
    return trio.lowlevel.current_statistics().tasks_living


async def settled(count):
    """Wait until no more than `count` tasks live."""
    for _ in range(100):
        if task_count() <= count:
            return
        await trio.testing.wait_all_tasks_blocked()
    raise AssertionError(f"{task_count()} tasks live, not {count}")
