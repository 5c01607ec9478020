"""A chat over processes that share a Redis (docs/redis.md): with history, and with who is here.

Run it:  python examples/shared_chat.py 8765 redis://localhost:6379/0     (and once more: 8766)
Join it: python -m websockets "ws://localhost:8765/?name=ann"
         python -m websockets "ws://localhost:8766/?name=bob&after=PLACE"

Each message is JSON: {"who", "text", "place"}.  A client that comes back with the place of the last
message that it has gets what it has missed, or {"missing": reason}.  {"here": names} comes when
a client of any process comes or goes.  A process that was killed is forgotten after 3 seconds.
"""

import json
import secrets
import sys

import trio

from trio_wsendpoint import CloseCode, Connection, broadcast, hub, serve_endpoint
from trio_wsendpoint.hub.redis import RedisBackplane

#: Seconds between two words of a process about who is with it, and how long one word holds.
EACH, HOLDS = 1.0, 3.0


def to_client(item: hub.Item) -> str | None:
    """Make what clients are sent: called once for each message, however many they are."""
    if isinstance(item, hub.Delivery):
        return json.dumps({**json.loads(item.message), "place": str(item.position)})
    gap = item if isinstance(item, hub.Gap) else item.gap
    return json.dumps({"missing": gap.reason}) if gap else None


def read_place(text: str | None) -> hub.Position | None:
    """Return where a client wants to go on: what it sends may be anything."""
    try:
        place = hub.Position.parse(text or "")
    except hub.InvalidPosition:
        return None
    return place if place.topic == "chat" else None


class Chat:
    """The room, as this process has it."""

    def __init__(self, opened: hub.Hub) -> None:
        self._hub = opened
        self._process = secrets.token_hex(4)
        self._clients: dict[Connection, str] = {}
        self._words: dict[str, tuple[float, list[str]]] = {}  # until when, and who

    async def join(self, connection: Connection) -> None:
        """Be the handler of one client."""
        name = connection.request.query.get("name", "").strip()[:20] or "somebody"
        after = read_place(connection.request.query.get("after"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, connection, after)
            self._clients[connection] = name
            try:
                await self._tell_who_is_here()
                async for text in connection:
                    await self._say(connection, {"who": name, "text": str(text)})
            finally:
                del self._clients[connection]
                nursery.cancel_scope.cancel()

    async def _serve(self, connection: Connection, after: hub.Position | None) -> None:
        last = 20 if after is None else None
        try:
            await self._hub.serve(connection, "chat", after=after, last=last, wrap=to_client)
        except hub.BackplaneDown:
            await connection.aclose(CloseCode.TRY_AGAIN_LATER, "come back with your place")

    async def _say(self, connection: Connection, message: dict[str, str]) -> None:
        try:
            await self._hub.publish("chat", json.dumps(message))
        except hub.PublishError as error:
            await connection.send(json.dumps({"unsaid": message["text"], "why": str(error)}))

    async def tell(self) -> None:
        """Tell the other processes the names of our clients, once a beat."""
        while True:
            await self._tell_who_is_here()
            await trio.sleep(EACH)

    async def _tell_who_is_here(self) -> None:
        try:
            names = json.dumps([*self._clients.values()])
            await self._hub.publish("here", names, key=self._process)
        except hub.PublishError:
            pass  # the next word comes soon

    async def listen(self) -> None:
        """Keep what each process tells of its clients; tell ours when the list changes."""
        told: list[str] = []
        async with self._hub.subscribe("here", policy=hub.Latest()) as words:
            async for item in words:
                now = trio.current_time()
                if isinstance(item, hub.Delivery) and item.key is not None:
                    self._words[item.key] = now + HOLDS, json.loads(item.message)
                valid = (who for until, who in self._words.values() if until > now)
                if told != (told := sorted(name for who in valid for name in who)):
                    broadcast(self._clients, json.dumps({"here": told}))


async def main(port: int, url: str) -> None:
    backplane = RedisBackplane(url, history=hub.History(entries=1000, age=24 * 3600.0))
    async with hub.open_hub(backplane=backplane) as opened, trio.open_nursery() as nursery:
        chat = Chat(opened)
        nursery.start_soon(chat.tell)
        nursery.start_soon(chat.listen)
        async with serve_endpoint(chat.join, port) as server:
            print("listening on", *server.urls, flush=True)
            await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]), sys.argv[2])
    except* KeyboardInterrupt:
        pass
