"""A client: it says something, shows what comes back, and measures the round trip.

Run it: python examples/client.py [url [message ...]]     (ws://localhost:8765 unless given)
An echo server to talk to is examples/echo_server.py.
"""

import sys

import trio

from trio_wsendpoint import ConnectionClosed, HandshakeError, connect_endpoint


async def main(url: str, messages: list[str]) -> None:
    async with connect_endpoint(url) as connection:
        for message in messages:
            await connection.send(message)
            print(">", message)
            print("<", await connection.receive())
        print(f"a ping takes {await connection.ping() * 1000:.1f} ms")
    # Here the connection is closed: each side has had the other's Close frame.


if __name__ == "__main__":
    try:
        url, *messages = sys.argv[1:] or ["ws://localhost:8765"]
        trio.run(main, url, messages or ["hello", "world"])
    except OSError as error:  # there was no TCP connection
        sys.exit(f"cannot connect: {error}")
    except HandshakeError as error:  # there was no WebSocket
        sys.exit(f"no WebSocket there: {error}")
    except ConnectionClosed as error:  # there was one, and it ended too early
        sys.exit(f"closed: {error}")
    except KeyboardInterrupt:
        pass
