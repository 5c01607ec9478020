"""An echo server: every message goes back to where it came from.

Run it:     python examples/echo_server.py [port]         (8765 unless given; 0 for a free one)
Talk to it: python -m websockets ws://localhost:8765      (or examples/client.py)
Ctrl-C ends it: every client is told 1001, "going away".
"""

import sys

import trio

from trio_wsendpoint import Connection, serve_endpoint


async def echo(connection: Connection) -> None:
    async for message in connection:  # str for a text message, bytes for a binary one
        await connection.send(message)


async def main(port: int) -> None:
    async with serve_endpoint(echo, port) as server:
        print("listening on", *server.urls, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
