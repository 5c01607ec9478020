"""Remote procedure calls in both directions over one connection, any number at the same time.

Run it: python examples/rpc.py [port]             a server, on port 8765 unless given
        python examples/rpc.py ws://HOST:PORT     a client, which calls it
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trio_wsendpoint import Connection, JSONCodec, MessageChannel, connect_endpoint, serve_endpoint


class Peer:
    """One side: `methods` are what the other side may call; `call` calls it."""

    max_calls = 16  # of the other side that run at a time; one more fails

    def __init__(self, connection: Connection, **methods: Callable[..., Awaitable[Any]]) -> None:
        self._channel: MessageChannel[Any] = MessageChannel(connection, JSONCodec())
        self._methods = methods
        self._calls = 0
        self._answers: dict[int, trio.MemorySendChannel[Any]] = {}

    async def call(self, method: str, *params: Any) -> Any:
        """Call `method` of the other side; raises RuntimeError if that fails there."""
        number = self._calls = self._calls + 1
        self._answers[number], receiver = trio.open_memory_channel[Any](1)
        try:
            await self._channel.send({"id": number, "method": method, "params": params})
            answer = await receiver.receive()
        finally:  # cancelled, too: an answer that comes later is ignored
            del self._answers[number]
        if "result" in answer:
            return answer["result"]
        raise RuntimeError(answer["error"])

    async def run(self) -> None:
        """Answer calls, and hand out answers, until the other side closes."""
        async with trio.open_nursery() as nursery:
            async for message in self._channel:
                if "method" in message:
                    nursery.start_soon(self._answer, message, len(nursery.child_tasks))
                elif (sender := self._answers.get(message["id"])) is not None:
                    sender.send_nowait(message)
            nursery.cancel_scope.cancel()
            for sender in self._answers.values():
                sender.close()  # these calls raise trio.EndOfChannel

    async def _answer(self, message: dict[str, Any], running: int) -> None:
        try:
            if running >= self.max_calls:
                raise RuntimeError("too many calls at the same time")
            result = await self._methods[message["method"]](*message["params"])
            answer = {"id": message["id"], "result": result}
        except Exception as error:  # noqa: BLE001 - the other side is told
            answer = {"id": message.get("id"), "error": f"{type(error).__name__}: {error}"}
        await self._channel.send(answer)


async def serve(connection: Connection) -> None:
    async def greet() -> str:
        return f"hello, {await peer.call('name')}"  # while the client waits for this very call

    async def add(a: float, b: float) -> float:
        return a + b

    await (peer := Peer(connection, add=add, greet=greet)).run()


async def ask(url: str) -> None:
    async def show(method: str, *params: Any) -> None:
        print(method, *params, "=", await peer.call(method, *params))

    async def name() -> str:
        return "Ada"

    async with connect_endpoint(url) as connection, trio.open_nursery() as nursery:
        peer = Peer(connection, name=name)
        nursery.start_soon(peer.run)
        async with trio.open_nursery() as calls:  # all at the same time
            calls.start_soon(show, "add", 1, 2)
            calls.start_soon(show, "greet")
        nursery.cancel_scope.cancel()


async def answer(port: str) -> None:
    async with serve_endpoint(serve, int(port), host="localhost") as server:
        print("listening on", *server.urls, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    argument = [*sys.argv, "8765"][1]
    try:
        trio.run(ask if argument.startswith("ws") else answer, argument)
    except* KeyboardInterrupt:
        pass
