"""Closing, from either side and from both: everyone learns of it, in time."""

from __future__ import annotations

import trio

from tests.torture.conversation import LONG, Conversation, converse, quietly
from trio_wsendpoint import ConnectionClosed, ConnectionClosedLocally, ConnectionEnded
from trio_wsendpoint.testing import Run

FAREWELL = ["one", "two" * 40, "three"]


async def close_by_client(run: Run) -> None:
    """What was sent before the close arrives, if nothing strikes."""

    async def body(talk: Conversation) -> None:
        await quietly(talk.send, "client", *FAREWELL)
        await run.victim(quietly, talk.client.aclose)
        await talk.check_closed()
        if not run.injector.is_injected:
            talk.check_whole("server")
            assert isinstance(talk.ended["server"], ConnectionEnded)

    await converse(run, body)


async def close_by_server(run: Run) -> None:
    async def body(talk: Conversation) -> None:
        await quietly(talk.send, "server", *FAREWELL)
        await run.victim(quietly, talk.server.aclose, 1001, "going")
        await talk.check_closed()
        if not run.injector.is_injected:
            talk.check_whole("client")
            assert talk.ended["client"].code == 1001

    await converse(run, body, watch="server")


async def close_from_both(run: Run) -> None:
    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.server.aclose)
            await run.victim(quietly, talk.client.aclose)
        await talk.check_closed()

    await converse(run, body)


async def closed_by_peer(run: Run) -> None:
    """The victim receives to the end, which comes in order, after the last message."""

    async def body(talk: Conversation) -> None:
        async def close() -> None:
            await quietly(talk.send, "server", *FAREWELL)
            await quietly(talk.server.aclose)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            await run.victim(talk.collect, "client")
            await talk.collect("client")
            if not run.injector.is_injected or run.injection.kind == "cancel":
                assert isinstance(talk.ended["client"], ConnectionEnded)
                talk.check_whole("client")
        await talk.check_closed()

    await converse(run, body, collect=("server",))


async def close_while_others_wait(run: Run) -> None:
    """Everyone who waits for the connection is woken when the victim closes it."""
    errors: list[ConnectionClosed] = []

    async def wait(call, *args) -> None:
        try:
            await call(*args)
        except ConnectionClosed as error:
            errors.append(error)

    async def body(talk: Conversation) -> None:
        with trio.fail_after(LONG):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, talk.client.receive)
                nursery.start_soon(wait, talk.client.ping)
                nursery.start_soon(wait, talk.client.wait_closed)
                for number in range(3):
                    nursery.start_soon(wait, talk.client.send, f"{number}" * 300)
                await trio.sleep(0)
                await run.victim(quietly, talk.client.aclose)
        if not run.injector.is_injected:
            assert {type(error) for error in errors} == {ConnectionClosedLocally}
        with trio.fail_after(LONG):
            await talk.server.wait_closed()

    await converse(run, body, collect=(), capacity=50)


async def wait_for_the_end(run: Run) -> None:
    """`wait_closed` that is cancelled closes nothing."""

    async def body(talk: Conversation) -> None:
        async def close() -> None:
            await trio.sleep(1)
            await quietly(talk.server.aclose)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            end = await run.victim(talk.client.wait_closed)
            if not end.is_complete:
                assert talk.client.is_open
        await talk.check_closed()

    await converse(run, body)


__all__ = [
    "close_by_client",
    "close_by_server",
    "close_from_both",
    "close_while_others_wait",
    "closed_by_peer",
    "wait_for_the_end",
]
