"""Servers: leaving one, or being cancelled in it, ends every connection in order and in time."""

from __future__ import annotations

import trio

from tests.torture.conversation import LONG, SMALL, Conversation, converse, quietly
from tests.torture.opening import ENDINGS, echo
from trio_wsendpoint import Deflate, Timeouts, connect_endpoint, serve_endpoint
from trio_wsendpoint.testing import Run

TIMEOUTS = Timeouts(grace=2)


class Client:
    """A client of a server that ends: it knows what it was answered, and how it ended."""

    def __init__(self, run: Run, *, sends_on: bool = False) -> None:
        self._run = run
        self._sends_on = sends_on
        self.is_ready = trio.Event()
        self.sent: list[str] = []
        self.answers: list[str | bytes] = []
        self.ending: BaseException | None = None

    async def run(self) -> None:
        try:
            stream = await self._run.network.connect(
                client=self._run.faults(60), server=self._run.faults(60)
            )
            async with connect_endpoint("ws://example.test/", stream=stream) as connection:
                if self._sends_on:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._send, connection)
                        await self._receive(connection)
                else:
                    await connection.send("only")
                    self.sent.append("only")
                    await self._receive(connection)
        except ENDINGS as error:
            self.ending = error
        except BaseExceptionGroup as group:
            rest = group.split(ENDINGS)[1]
            if rest is not None:
                raise
            self.ending = group
        finally:
            self.is_ready.set()
        assert self.answers == self.sent[: len(self.answers)]

    async def _send(self, connection) -> None:
        for number in range(1000):
            await connection.send(f"message {number}")
            self.sent.append(f"message {number}")
            await trio.sleep(0.01)

    async def _receive(self, connection) -> None:
        while True:
            self.answers.append(await connection.receive())
            self.is_ready.set()


async def with_clients(run: Run, server, *clients: Client) -> None:
    """Run `server` as the victim beside its clients, all of which must end with it."""
    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                async with serve_endpoint(
                    echo, listeners=[run.network.listen()], limits=SMALL, timeouts=TIMEOUTS
                ) as running:
                    for client in clients:
                        nursery.start_soon(client.run)
                    await server(running)

            await run.victim(serve)
    for client in clients:
        # Those that were never started are those of a server that was struck before.
        assert client.ending is not None or not client.sent
        if not run.injector.is_injected:
            assert client.answers
    for listener in run.network.open_listeners:  # struck before the server had it
        await listener.aclose()


async def wait_for(*clients: Client) -> None:
    for client in clients:
        await client.is_ready.wait()


async def serve_and_leave(run: Run) -> None:
    clients = [Client(run) for _ in range(3)]
    await with_clients(run, lambda server: wait_for(*clients), *clients)


async def shutdown_under_load(run: Run) -> None:
    clients = [Client(run, sends_on=True) for _ in range(2)]

    async def server(running) -> None:
        await wait_for(*clients)
        await trio.sleep(0.05)

    await with_clients(run, server, *clients)


async def close_a_server(run: Run) -> None:
    """`aclose()` of a server that goes on to be left by its owner."""
    clients = [Client(run, sends_on=True) for _ in range(2)]
    with trio.fail_after(LONG):
        async with (
            trio.open_nursery() as nursery,
            serve_endpoint(
                echo, listeners=[run.network.listen()], limits=SMALL, timeouts=TIMEOUTS
            ) as server,
        ):
            for client in clients:
                nursery.start_soon(client.run)
            await wait_for(*clients)
            await run.victim(server.aclose, 1001, "going")
            await server.wait_closed()
            assert server.connections == ()
    assert all(client.ending is not None for client in clients)


async def handler_is_struck(run: Run) -> None:
    """A handler whose scope is cancelled ends its connection, and the server goes on."""
    scopes: list[trio.CancelScope] = []

    async def handler(connection) -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            await echo(connection)

    async def body() -> None:
        for _ in range(2):
            client = Client(run)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.run)
                await client.is_ready.wait()
                for scope in scopes:
                    scope.cancel()
            assert client.ending is not None
            if not run.injector.is_injected:
                assert client.answers == ["only"]

    with trio.fail_after(LONG):
        async with serve_endpoint(
            handler, listeners=[run.network.listen()], limits=SMALL, timeouts=TIMEOUTS
        ):
            await run.victim(body)


async def compressed(run: Run) -> None:
    """Both sides' compression contexts stay what the other side's are, whatever is cancelled."""

    async def body(talk: Conversation) -> None:
        messages = [f"message {number} of many that are alike" for number in range(5)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", *messages)
            await run.victim(quietly, talk.send, "client", *messages)
        await talk.prove()

    await converse(run, body, handshake=True, deflate=Deflate())


__all__ = [
    "close_a_server",
    "compressed",
    "handler_is_struck",
    "serve_and_leave",
    "shutdown_under_load",
]
