"""Receiving: what was not received is received by the next call; pings."""

from __future__ import annotations

import trio

from tests.torture.conversation import Conversation, converse, quietly
from trio_wsendpoint.testing import Run

MESSAGES = [f"message {number}" * 3 for number in range(6)]


async def send_slowly(talk: Conversation) -> None:
    for message in MESSAGES:
        await quietly(talk.send, "server", message)
        await trio.sleep(0.01)


async def receive(run: Run) -> None:
    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_slowly, talk)
            await run.victim(quietly, talk.receive, "client", 6)
            nursery.start_soon(talk.collect, "client")
            await talk.prove()
            nursery.cancel_scope.cancel()

    await converse(run, body, collect=("server",), chop=9)


async def receive_what_waits(run: Run) -> None:
    """The messages are in the inbox, or behind it, when the victim begins to take them."""

    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", *MESSAGES)
            await trio.sleep(1)
            await run.victim(quietly, talk.receive, "client", 6)
            nursery.start_soon(talk.collect, "client")
            await talk.prove()
            nursery.cancel_scope.cancel()

    await converse(run, body, collect=("server",), capacity=50)


async def receive_large(run: Run) -> None:
    """Messages larger than `Limits.receive_buffer`, in many fragments and more reads."""

    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", b"a" * 700, b"b" * 700)
            await run.victim(quietly, talk.receive, "client", 2)
            nursery.start_soon(talk.collect, "client")
            await talk.prove()
            nursery.cancel_scope.cancel()

    await converse(run, body, collect=("server",), chop=200)


async def receive_pieces(talk: Conversation, most: int = 1000) -> str:
    """Receive a message in at most so many pieces, and return what came."""
    came = ""
    async with talk.client.receive_stream() as stream:
        async for piece in stream:
            assert isinstance(piece, str)
            came += piece
            most -= 1
            if not most:
                break
    return came


async def receive_streamed(run: Run) -> None:
    """Of a message that the victim was in, the rest is skipped; the others come whole."""
    messages = ["a" * 300, "b" * 300, "the last"]

    async def victim(talk: Conversation) -> None:
        for message in messages[:2]:
            assert await receive_pieces(talk) == message

    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", *messages)
            await run.victim(quietly, victim, talk)
            await prove_after_streams(talk, messages, nursery)

    await converse(run, body, collect=("server",))


async def receive_stream_left_early(run: Run) -> None:
    """Leaving it after a piece skips the rest of that message, and nothing else."""
    messages = ["a" * 300, "b" * 300, "c", "the last"]

    async def victim(talk: Conversation) -> None:
        for message in messages[:2]:
            came = await receive_pieces(talk, most=1)
            assert came
            assert message.startswith(came)
        assert await talk.client.receive() == "c"

    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", *messages)
            await run.victim(quietly, victim, talk)
            await prove_after_streams(talk, messages, nursery)

    await converse(run, body, collect=("server",))


async def prove_after_streams(
    talk: Conversation, messages: list[str], nursery: trio.Nursery
) -> None:
    """What the victim has left is the last of the messages, each of them whole."""
    nursery.start_soon(talk.collect, "client")
    await talk.wait_until(
        lambda: "client" in talk.ended or talk.received["client"][-1:] == messages[-1:]
    )
    came = talk.received["client"]
    if talk.is_open:
        assert came == messages[len(messages) - len(came) :]
    assert set(came) <= set(messages)
    talk.sent["server"] = list(came)  # what came before is the victim's
    await talk.prove()
    nursery.cancel_scope.cancel()


async def ping(run: Run) -> None:
    async def victim(talk: Conversation) -> None:
        for _ in range(3):
            assert await talk.client.ping() >= 0

    async def body(talk: Conversation) -> None:
        await run.victim(quietly, victim, talk)
        await quietly(talk.client.ping)
        await talk.prove()

    await converse(run, body)


async def ping_under_load(run: Run) -> None:
    """Pings from several tasks while both sides send."""

    async def victim(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(quietly, talk.client.ping)

    async def body(talk: Conversation) -> None:
        messages = [bytes([number]) * 150 for number in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "client", *messages)
            nursery.start_soon(quietly, talk.send, "server", *messages)
            await run.victim(victim, talk, children=True)
        await quietly(talk.client.ping)
        await talk.prove()

    await converse(run, body, capacity=100)


__all__ = [
    "ping",
    "ping_under_load",
    "receive",
    "receive_large",
    "receive_stream_left_early",
    "receive_streamed",
    "receive_what_waits",
]
