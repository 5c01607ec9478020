"""For information: bytes echoed by `receive_some` and `send_all`, over TCP or TLS; no WebSocket."""

from __future__ import annotations

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
    (tcp,) = await trio.open_tcp_listeners(options.port, host=HOST, backlog=BACKLOG)
    announce(tcp.socket.getsockname()[1])
    if options.tls is None:
        await trio.serve_listeners(handler, [tcp])
    else:
        tls = trio.SSLListener(tcp, options.tls, https_compatible=True)
        await trio.serve_listeners(handler, [tls])


if __name__ == "__main__":
    trio.run(main, read_options())
