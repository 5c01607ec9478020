"""`trio.serve_tcp` accepts the streams, `accept_endpoint` makes WebSockets of them.

For servers that have their own way to accept: `trio.serve_listeners`, a proxy protocol, systemd.

Run it:     python examples/tcp_server.py [port]          (8765 unless given; 0 for a free one)
Talk to it: python -m websockets ws://localhost:8765      (it shouts back)
"""

import sys
from functools import partial

import trio

from trio_wsendpoint import ConnectionClosed, HandshakeError, accept_endpoint


async def shout(stream: trio.SocketStream) -> None:
    try:
        async with accept_endpoint(stream) as connection:
            async for message in connection:
                await connection.send(message.upper())
    except HandshakeError as error:
        # Not a WebSocket: the client has had its answer, 400 or the like.  It must not leave this
        # function, for serve_tcp would end the server and all of its connections.
        print("no connection:", error)
    except ConnectionClosed as error:
        print("closed:", error)


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, shout, port, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        print(f"listening on ws://localhost:{listener.socket.getsockname()[1]}/", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
