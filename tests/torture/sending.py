"""Sending: a message is sent whole, once and in order, or not at all."""

from __future__ import annotations

import trio

from tests.torture.conversation import Conversation, converse, quietly
from trio_wsendpoint.testing import Run


async def send_small(run: Run) -> None:
    async def body(talk: Conversation) -> None:
        messages = [f"message {number}" for number in range(8)]
        await run.victim(quietly, talk.send, "client", *messages)
        await talk.prove()

    await converse(run, body)


async def send_large(run: Run) -> None:
    """In fragments, each larger than the stream holds, so that frames are written in parts."""

    async def body(talk: Conversation) -> None:
        messages = [bytes([number]) * 700 for number in range(3)]
        await run.victim(quietly, talk.send, "server", *messages)
        await talk.prove()

    await converse(run, body, capacity=64, chop=64, watch="server")


async def stream_a_message(talk: Conversation, name: str, *, fails: bool = False) -> None:
    chunks = [f"{name}{number}" * 10 for number in range(4)]
    try:
        async with talk.client.send_stream("text") as stream:
            for chunk in chunks:
                await stream.send(chunk)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        return
    talk.sent["client"].append("".join(chunks))


async def send_streamed(run: Run) -> None:
    async def victim(talk: Conversation) -> None:
        await stream_a_message(talk, "a")
        await stream_a_message(talk, "b")

    async def body(talk: Conversation) -> None:
        await run.victim(quietly, victim, talk)
        await talk.prove()

    await converse(run, body)


async def send_stream_left_early(run: Run) -> None:
    """Half a message must not arrive as a whole one: the connection is closed with 1011."""

    async def victim(talk: Conversation) -> None:
        await talk.send("client", "before")
        await stream_a_message(talk, "half", fails=True)
        await stream_a_message(talk, "never")

    async def body(talk: Conversation) -> None:
        await run.victim(quietly, victim, talk)
        await talk.prove()
        if not run.injector.is_injected:
            assert not talk.is_open

    await converse(run, body)


async def send_concurrently(run: Run) -> None:
    """Several tasks wait in `send`, and their owner is struck whenever one of them yields."""

    async def victim(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            for name in "abc":
                messages = [f"message {number} of {name}" for number in range(3)]
                nursery.start_soon(quietly, talk.send, "client", *messages)

    async def body(talk: Conversation) -> None:
        await run.victim(victim, talk, children=True)
        await talk.prove()

    await converse(run, body)


async def send_beside_others(run: Run) -> None:
    """One of several senders is struck: the others' messages all arrive, once."""

    async def body(talk: Conversation) -> None:
        async with trio.open_nursery() as nursery:
            for name in "ab":
                messages = [f"message {number} of {name}" for number in range(3)]
                nursery.start_soon(quietly, talk.send, "client", *messages)
            await run.victim(quietly, talk.send, "client", *["the victim's"] * 3)
        if talk.is_open:
            others = [message for message in talk.sent["client"] if message != "the victim's"]
            assert len(others) == 6
        await talk.prove()

    await converse(run, body)


async def send_both_ways(run: Run) -> None:
    """Both sides send more than the stream holds, at once."""

    async def body(talk: Conversation) -> None:
        messages = [bytes([number]) * 150 for number in range(4)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, talk.send, "server", *messages)
            await run.victim(quietly, talk.send, "client", *messages)
        await talk.prove()

    await converse(run, body, capacity=100)


async def send_without_waiting(run: Run) -> None:
    """`send_nowait` between the victim's sends: in its place, or `WouldBlock`."""

    async def victim(talk: Conversation) -> None:
        for number in range(5):
            try:
                talk.client.send_nowait(f"at once {number}")
                talk.sent["client"].append(f"at once {number}")
            except trio.WouldBlock:
                await talk.send("client", f"waited {number}")

    async def body(talk: Conversation) -> None:
        await run.victim(quietly, victim, talk)
        await talk.prove()

    await converse(run, body)


__all__ = [
    "send_beside_others",
    "send_both_ways",
    "send_concurrently",
    "send_large",
    "send_small",
    "send_stream_left_early",
    "send_streamed",
    "send_without_waiting",
]
