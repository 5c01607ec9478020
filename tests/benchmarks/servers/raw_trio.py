"""The floor: bytes echoed over Trio with non-blocking calls, and no WebSocket.

It reads and writes the socket itself and waits in `trio.lowlevel` only when there is nothing to
do: what a connection with a task of its own could do at best.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

import trio

from tests.benchmarks.servers.common import BACKLOG, HOST, Options, announce, read_options

#: Bytes of one read, into one buffer for all: they are written before anything else is read.
CHUNK = 256 * 1024
BUFFER = memoryview(bytearray(CHUNK))


async def send(sockets: Iterable[socket.socket], data: memoryview) -> None:
    for sock in sockets:
        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await send_rest(sock, data[sent:].tobytes())


async def send_rest(sock: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        await trio.lowlevel.wait_writable(sock)
        view = view[sock.send(view) :]


def make_handler(options: Options):
    sockets: dict[socket.socket, None] = {}

    async def handler(stream: trio.SocketStream) -> None:
        # The plain socket below Trio's, over the same descriptor, has non-blocking calls.
        sock = socket.socket(fileno=stream.socket.fileno())
        sock.setblocking(False)
        sockets[sock] = None
        targets = sockets if options.mode == "broadcast" else (sock,)
        try:
            while True:
                try:
                    size = sock.recv_into(BUFFER)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(sock)
                    continue
                if not size:
                    return
                await send(targets, BUFFER[:size])
        except OSError:
            pass  # the load went without a farewell
        finally:
            del sockets[sock]
            sock.detach()

    return handler


async def main(options: Options) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(options.port, host=HOST, backlog=BACKLOG)
        announce(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(make_handler(options), listeners, handler_nursery=nursery)


if __name__ == "__main__":
    trio.run(main, read_options())
