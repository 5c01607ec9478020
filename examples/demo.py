"""`make demo`: a page to talk in and to look inside, with a chat and an echo, all on one port.

Run it: python examples/demo.py [port]     (8765 unless given), and open the address that it prints
in two browser windows.  Ctrl-C ends it within three seconds.
"""

import base64
import hashlib
import re
import signal
import sys
from pathlib import Path

import trio
from chat_server import Room
from inspector import Inspector

from trio_wsendpoint import Connection, Deflate, Opening, Response, Timeouts, serve_endpoint

PAGE = Path(__file__).with_name("demo.html").read_bytes()


def sources(element: str) -> str:
    """Return the hashes of what stands within `<element>`, as a content security policy has it."""
    inside = re.findall(f"<{element}>(.*?)</{element}>".encode(), PAGE, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(text).digest()).decode() for text in inside)
    return " ".join(f"'sha256-{one}'" for one in hashes)


HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {sources('script')}; style-src {sources('style')}; "
        "connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-store",
}


async def answer(opening: Opening) -> Response | None:
    """Look at each request before it is accepted: the page, a WebSocket, or 404."""
    request = opening.request
    if request.is_upgrade:
        return None if request.path in {"/", "/chat", "/echo", "/inspect"} else Response(404)
    return Response(200, HEADERS, PAGE) if request.path == "/" else Response(404)


async def main(port: int) -> None:
    inspector = Inspector()
    async with trio.open_nursery() as nursery:
        room = Room(nursery)

        async def talk(connection: Connection) -> None:
            match connection.request.path:
                case "/inspect":
                    await inspector.inspect(connection)
                case "/chat":
                    await room.join(connection, inspector.paced(connection))
                case _:
                    async for message in inspector.paced(connection):
                        await connection.send(message)

        async with serve_endpoint(
            talk,
            port,
            process_request=answer,
            deflate=Deflate(),
            instruments=[inspector],
            timeouts=Timeouts(grace=3),
        ) as server:
            print(f"Open http://localhost:{server.port}/ in two windows", flush=True)
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    if number == signal.SIGTERM:  # accept no more, and say goodbye over a second
                        await server.drain(over=1)
                    break
            # Leaving the block tells everyone 1001; a second Ctrl-C would not wait for them.


if __name__ == "__main__":
    failure = None
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
    except* OSError as errors:  # the port is taken
        failure = str(errors.exceptions[0])
    sys.exit(failure)
