"""A server that is one task among others: a ticker tells the time to all who are connected.

`nursery.start` returns when the server listens; when the nursery is cancelled, the server closes
its connections in order before it ends.

Run it:     python examples/nursery_server.py [port]      (8765 unless given; 0 for a free one)
Talk to it: python -m websockets ws://localhost:8765      (it logs what you say)
"""

import sys
from contextlib import suppress
from itertools import count

import trio

from trio_wsendpoint import Connection, ConnectionClosed, EndpointServer, run_endpoint


async def listen(connection: Connection) -> None:
    async for message in connection:
        connection.logger.info("said %r", message)


async def tick(server: EndpointServer) -> None:
    for number in count(1):
        await trio.sleep(1)
        for connection in server.connections:
            # One that reads too slowly misses this tick, and one that is closing needs none.
            with suppress(trio.WouldBlock, ConnectionClosed):
                connection.send_nowait(f"tick {number}")


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        server: EndpointServer = await nursery.start(run_endpoint, listen, port)
        print("listening on", *server.urls, flush=True)
        nursery.start_soon(tick, server)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
