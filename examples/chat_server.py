"""A chat: what one says, all get; and nobody has to wait for a slow reader.

Run it:  python examples/chat_server.py [port]            (8765 unless given; 0 for a free one)
Join it: python -m websockets "ws://localhost:8765/?name=ann"   (and once more as somebody else)
"""

import sys
from collections.abc import AsyncIterable

import trio

from trio_wsendpoint import CloseCode, Connection, broadcast, serve_endpoint


class Room:
    """Those who are here; `nursery` is where those who must leave are shown out."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.members: set[Connection] = set()
        self._nursery = nursery

    def say(self, text: str) -> None:
        """Give `text` to every member now, without waiting for any of them."""
        for slow in broadcast(self.members, text):
            # 64 KiB wait for this one already: see Limits.send_buffer
            self.members.remove(slow)
            self._nursery.start_soon(slow.aclose, CloseCode.POLICY_VIOLATION, "too slow")

    async def join(
        self, connection: Connection, messages: AsyncIterable[str | bytes] | None = None
    ) -> None:
        """Be the handler of one member, who says `messages`: by default all that comes."""
        name = connection.request.query.get("name", "")
        name = name.strip(" *")[:20] or "somebody"
        self.members.add(connection)
        self.say(f"* {name} is here")
        try:
            async for message in messages or connection:
                if isinstance(message, str):
                    self.say(f"{name}: {message}")
        finally:
            self.members.discard(connection)
            self.say(f"* {name} has left")


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery, serve_endpoint(Room(nursery).join, port) as server:
        print("listening on", *server.urls, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
