"""A conversation at the prompt: what a user types is done, one line after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.phrases import HELP, Close, Help, Ping, Say, Stats, parse_phrase
from trio_wsendpoint.cli.talk import Conversation
from trio_wsendpoint.cli.telling import milliseconds
from trio_wsendpoint.connection.closed import ConnectionClosed, PingTimeout
from trio_wsendpoint.connection.connection import Connection

__all__ = ["MakePrompt", "converse"]


#: What a command that needs a connection tells while there is none.
AWAY = "there is no connection now"


class Asks(Protocol):
    """Asks for lines until it ends."""

    async def run(self) -> None:
        """Ask until the user ends it, or it is cancelled."""


#: Makes what asks, of what to call with a line, and when Ctrl-C was typed.
MakePrompt = Callable[[Callable[[str], object], Callable[[], object]], Asks]


async def converse(
    conversation: Conversation,
    output: Output,
    make_prompt: MakePrompt,
    on_interrupt: Callable[[], object],
) -> None:
    """Do what is typed, until the user ends the prompt: then the conversation is stopped."""
    send, receive = trio.open_memory_channel[str](1000)

    def on_line(line: str) -> None:
        try:
            send.send_nowait(line)
        except trio.WouldBlock:
            output.warn("this line was not sent: a thousand wait already")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_do_all, conversation, output, receive)
        await make_prompt(on_line, on_interrupt).run()
        send.close()  # what was typed before is done first
    conversation.stop()


async def _do_all(
    conversation: Conversation, output: Output, lines: trio.MemoryReceiveChannel[str]
) -> None:
    async for line in lines:
        try:
            phrase = parse_phrase(line)
        except UsageFault as fault:
            output.warn(str(fault))
            continue
        match phrase:
            case Say(message):
                await conversation.send(message)
            case Close(code, reason):
                conversation.stop(code, reason)
            case Ping():
                await _ping(conversation.current, output)
            case Stats():
                _tell_statistics(conversation.current, output)
            case Help():
                for text in HELP:
                    output.note(text)


async def _ping(connection: Connection | None, output: Output) -> None:
    if connection is None:
        output.warn(AWAY)
        return
    try:
        output.note(f"pong after {milliseconds(await connection.ping())}")
    except PingTimeout as error:
        output.warn(str(error))
    except ConnectionClosed:
        return  # which is told where it is received


def _tell_statistics(connection: Connection | None, output: Output) -> None:
    if connection is None:
        output.warn(AWAY)
        return
    facts = connection.statistics()
    for direction in ("sent", "received"):
        messages = getattr(facts, f"messages_{direction}")
        payload = getattr(facts, f"payload_{direction}")
        frames = getattr(facts, f"frames_{direction}")
        wire = getattr(facts, f"bytes_{direction}")
        output.note(f"{direction} {messages} messages, {payload:,} B; {frames} frames, {wire:,} B")
    latency = connection.latency
    if latency is not None:
        output.note(f"last round trip {milliseconds(latency)}")
    output.note(f"open for {facts.age:.1f} s")
