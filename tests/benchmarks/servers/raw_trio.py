"""The floor: bytes echoed over Trio with non-blocking calls, and no WebSocket.

It reads and writes the socket itself and waits in `trio.lowlevel` only when there is nothing to
do: what a connection could do at best.
"""

from __future__ import annotations

import socket

import trio

from tests.benchmarks.servers.common import BACKLOG, HOST, Options, announce, read_options

#: Bytes of one read.
CHUNK = 65536


async def write(sock, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


def make_handler(options: Options):
    sockets: dict[socket.socket, None] = {}

    async def handler(stream: trio.SocketStream) -> None:
        # The plain socket below Trio's, over the same descriptor, has non-blocking calls.
        sock = socket.socket(fileno=stream.socket.fileno())
        sock.setblocking(False)
        sockets[sock] = None
        try:
            while True:
                try:
                    data = sock.recv(CHUNK)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(sock)
                    continue
                if not data:
                    return
                for one in sockets if options.mode == "broadcast" else (sock,):
                    await write(one, data)
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
