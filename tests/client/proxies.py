"""Small proxies: HTTP (CONNECT) and SOCKS4, 4a and 5, over streams of any kind."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from trio_wsendpoint.testing import MemoryNetwork


async def pump(source, sink):
    """Carry bytes one way until they end."""
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
        if isinstance(sink, trio.abc.HalfCloseableStream):
            await sink.send_eof()
        else:
            await sink.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(sink)


async def relay(ours, theirs):
    """Carry bytes both ways until both have ended."""
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(pump, ours, theirs)
        await pump(theirs, ours)


class Reader:
    """Reads what a client asks, never more than that."""

    def __init__(self, stream):
        self.stream = stream

    async def exactly(self, size):
        data = b""
        while len(data) < size:
            more = await self.stream.receive_some(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    async def until(self, end):
        data = b""
        while not data.endswith(end):
            data += await self.exactly(1)
        return data


@dataclass
class Proxy:
    """A proxy: `asked` is what clients have asked for, `dial` connects to where they want to go.

    `credentials` are those that it wants; `says` is what it answers instead of connecting.
    """

    dial: Callable[[str, int], Awaitable[trio.abc.Stream]]
    credentials: tuple[bytes, bytes] | None = None
    says: bytes | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def serve(self, stream):
        async with stream:
            try:
                await self.talk(Reader(stream), stream)
            except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    async def talk(self, reader, stream):
        raise NotImplementedError

    async def connect(self, stream, host, port, good, bad):
        self.asked.append((host, port))
        if self.says is not None:
            await stream.send_all(self.says)
            return
        try:
            there = await self.dial(host, port)
        except OSError:
            await stream.send_all(bad)
            return
        async with there:
            await stream.send_all(good)
            await relay(stream, there)


class HTTPProxy(Proxy):
    async def talk(self, reader, stream):
        head = (await reader.until(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        self.head = head
        method, target, _ = line.split()
        assert method == "CONNECT"
        if self.credentials is not None:
            pair = base64.b64encode(b":".join(self.credentials)).decode()
            if f"Proxy-Authorization: Basic {pair}" not in fields:
                await stream.send_all(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="here"\r\nContent-Length: 8\r\n\r\n'
                    b"who?\x1b[2J"
                )
                return
        host, _, port = target.rpartition(":")
        good = b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n"
        bad = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
        await self.connect(stream, host.strip("[]"), int(port), good, bad)


class SOCKSProxy(Proxy):
    """SOCKS4, SOCKS4a and SOCKS5; `version` is that of the last client."""

    async def talk(self, reader, stream):
        [self.version] = await reader.exactly(1)
        await (self.talk4 if self.version == 4 else self.talk5)(reader, stream)

    async def talk4(self, reader, stream):
        request = await reader.exactly(7)
        port, address = int.from_bytes(request[1:3], "big"), request[3:]
        user = (await reader.until(b"\0"))[:-1]
        host = str(ipaddress.IPv4Address(address))
        if address[:3] == b"\0\0\0":
            host = (await reader.until(b"\0"))[:-1].decode()
        if self.credentials is not None and user != self.credentials[0]:
            await stream.send_all(b"\0\x5d" + bytes(6))
            return
        await self.connect(stream, host, port, b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6))

    async def talk5(self, reader, stream):
        [count] = await reader.exactly(1)
        methods = await reader.exactly(count)
        method = 0 if self.credentials is None else 2
        if method not in methods:
            await stream.send_all(b"\x05\xff")
            return
        await stream.send_all(bytes([5, method]))
        if self.credentials is not None and not await self.log_in(reader, stream):
            return
        _, _, _, kind = await reader.exactly(4)
        if kind == 3:
            [size] = await reader.exactly(1)
            host = (await reader.exactly(size)).decode()
        else:
            host = str(ipaddress.ip_address(await reader.exactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.exactly(2), "big")
        bound = b"\0\3\3abc\0\0"
        await self.connect(stream, host, port, b"\5\0" + bound, b"\5\5" + bound)

    async def log_in(self, reader, stream):
        [_, size] = await reader.exactly(2)
        user = await reader.exactly(size)
        [size] = await reader.exactly(1)
        password = await reader.exactly(size)
        is_right = (user, password) == self.credentials
        await stream.send_all(b"\1\0" if is_right else b"\1\1")
        return is_right


@asynccontextmanager
async def in_memory(kind, network=None, *, context=None, **options):
    """Run a proxy in memory at `proxy.test:3128`; it connects to listeners of `network`."""
    network = network or MemoryNetwork()
    proxy = kind(network.open_stream, **options)
    listener = network.listen("proxy.test:3128")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(accept, listener, proxy, context))
        yield network, proxy
        nursery.cancel_scope.cancel()


async def accept(listener, proxy, context):
    async with listener, trio.open_nursery() as nursery:
        while True:
            stream = await listener.accept()
            if context is not None:
                stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            nursery.start_soon(proxy.serve, stream)
