"""Our server for the fuzzing client: echoes every message.

`python -m tests.autobahn.echo_server [--port N]` prints its URL and serves until it is ended.
"""

from __future__ import annotations

import argparse

import trio

from trio_wsendpoint import Connection, Deflate, Limits, serve_endpoint

#: Section 9 sends messages of 16 MiB; every other limit is the default.
LIMITS = Limits(message_size=16 * 1024 * 1024)


async def echo(connection: Connection) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


async def serve(port: int) -> None:
    """Serve on `port` of the loopback interface, for ever."""
    async with serve_endpoint(
        echo, port, host="127.0.0.1", limits=LIMITS, heartbeat=None, deflate=Deflate()
    ) as server:
        print(server.urls[0], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo every message.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    trio.run(serve, parser.parse_args().port)
