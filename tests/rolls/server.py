"""One of the processes: serves an inherited socket until SIGTERM, and drains then."""

from __future__ import annotations

import signal
import sys

import trio

from trio_wsendpoint import Connection, serve_endpoint


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


async def main(number: int) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with serve_endpoint(echo, listen=[f"fd:{number}"]) as server:
            print("ready", flush=True)
            async for _ in signals:
                await server.drain(over=0.3, code=1012)
                break


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
