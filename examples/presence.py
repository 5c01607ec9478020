"""Keeps the list of clients of several workers that share a Redis, even when a worker is killed.

Run it:  REDIS=redis://localhost:6379/0 python examples/presence.py 8765
Join it: python -m websockets "ws://localhost:8765/?name=ann"

A client is sent {"here": names, "worker": number} when it comes, and whenever the list changes.
Each worker tells the others the names of its clients once a second.  When a worker is killed, its
names are gone after 3 seconds.  A client that connects again is listed by its new worker.
"""

import json
import os
import sys
from contextlib import suppress

import trio

from trio_wsendpoint import Connection, broadcast
from trio_wsendpoint.hub import BackplaneDown, Delivery, Hub, Latest, PublishError, open_hub
from trio_wsendpoint.hub.redis import RedisBackplane
from trio_wsendpoint.workers import Worker, serve_workers

#: Seconds between two words of a worker, and how long a word holds.
EACH, HOLDS = 1.0, 3.0


class Presence:
    """The list, as one worker has it."""

    def __init__(self, hub: Hub, worker: int) -> None:
        self._hub = hub
        self._worker = worker
        self._clients: dict[Connection, str] = {}
        self._words: dict[str, tuple[float, list[str]]] = {}  # by worker: until when, and who
        self._told: list[str] = []

    async def join(self, connection: Connection) -> None:
        """Be the handler of one client."""
        self._clients[connection] = connection.request.query.get("name", "").strip()[:20] or "?"
        try:
            await connection.send(self._message())
            await self._say()
            await connection.wait_closed()
        finally:
            del self._clients[connection]
            with trio.move_on_after(EACH) as scope:
                scope.shield = True  # the others are told, even if this worker ends now
                await self._say()

    async def tell(self) -> None:
        """Tell the other workers the names of our clients, once a beat."""
        while True:
            await self._say()
            self._look()  # a worker that was killed says nothing: its word gets old
            await trio.sleep(EACH)

    async def listen(self) -> None:
        """Keep what each worker tells of its clients."""
        async with self._hub.subscribe("presence", policy=Latest()) as words:
            async for item in words:
                if isinstance(item, Delivery) and item.key is not None:
                    until = trio.current_time() + HOLDS
                    self._words[item.key] = until, json.loads(item.message)
                    self._look()

    async def _say(self) -> None:
        names = json.dumps(sorted(self._clients.values()))
        with suppress(BackplaneDown, PublishError):  # the next word comes soon
            await self._hub.publish("presence", names, key=str(self._worker))

    def _look(self) -> None:
        now = trio.current_time()
        self._words = {key: word for key, word in self._words.items() if word[0] > now}
        here = sorted(name for _, names in self._words.values() for name in names)
        if here != self._told:
            self._told = here
            broadcast(self._clients, self._message())

    def _message(self) -> str:
        return json.dumps({"here": self._told, "worker": os.getpid()})


async def main(worker: Worker) -> None:
    async with open_hub(backplane=RedisBackplane(os.environ["REDIS"])) as hub:
        presence = Presence(hub, worker.number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(presence.tell)
            nursery.start_soon(presence.listen)
            await worker.serve(presence.join)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    print(f"listening on ws://localhost:{sys.argv[1]}/", flush=True)
    serve_workers(main, workers=2, listen=[f"tcp:localhost:{sys.argv[1]}"], drain=1)
