"""For information: bytes echoed by `receive_some` and `send_all`, over TCP or TLS; no WebSocket."""

from __future__ import annotations

from functools import partial

import trio

from tests.benchmarks.servers.common import BACKLOG, HOST, Options, announce, read_options


async def handler(stream: trio.abc.Stream) -> None:
    try:
        async with stream:
            while data := await stream.receive_some(65536):
                await stream.send_all(data)
    except trio.BrokenResourceError:
        pass  # the load went without a farewell


async def main(options: Options) -> None:
    if options.tls is None:
        opening = partial(trio.open_tcp_listeners, options.port, host=HOST, backlog=BACKLOG)
    else:
        opening = partial(
            trio.open_ssl_over_tcp_listeners,
            options.port,
            options.tls,
            host=HOST,
            backlog=BACKLOG,
            https_compatible=True,
        )
    listeners = await opening()
    first = listeners[0]
    tcp = first.transport_listener if isinstance(first, trio.SSLListener) else first
    announce(tcp.socket.getsockname()[1])
    await trio.serve_listeners(handler, listeners)


if __name__ == "__main__":
    trio.run(main, read_options())
