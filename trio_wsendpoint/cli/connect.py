"""`trio-wsendpoint connect`: a conversation with a server, in a pipe or at a prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import trio

from trio_wsendpoint.cli.opening import Plan
from trio_wsendpoint.cli.outcome import (
    Outcome,
    Status,
    TimeOver,
    outcome_of_end,
    outcome_of_error,
)
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.talk import Conversation, Manner
from trio_wsendpoint.cli.telling import Watcher, milliseconds, tell_opening, tell_refusal
from trio_wsendpoint.client.attempts import Attempt, Retry
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.handshake.errors import HandshakeRefused

__all__ = ["Feed", "Input", "MessageSender", "connect", "stay_connected", "with_output", "within"]

MessageSender = trio.MemorySendChannel[str | bytes]
#: Gives the messages to send: ends when there are no more.
Input = Callable[[MessageSender], Awaitable[None]]
#: Gives them to a conversation that is open, as a prompt does.
Feed = Callable[[Conversation, MessageSender], Awaitable[None]]

#: Messages of the input that are read before there is a connection to take them.
READ_AHEAD = 64


async def connect(
    plan: Plan,
    output: Output,
    stop: Stop,
    *,
    manner: Manner,
    read: Input,
    first: Sequence[str | bytes] = (),
    frames: bool = False,
    on_open: Callable[[Connection], object] | None = None,
    on_message: Callable[[str, str | bytes], object] | None = None,
    feed: Feed | None = None,
) -> Outcome:
    """Open a connection, talk over it, and return how it ended.

    `read` gives the messages to send, and is called at once, so that what is typed before the 101
    is kept.  `feed` gives them instead once the connection is open.  `first` are sent before.
    Raises what `connect_endpoint` and `Conversation.run` raise.  A signal closes with 1000 or 1001.
    """
    ended: Outcome | None = None
    async with trio.open_nursery() as nursery:
        messages = _start_reading(nursery, read, feed)
        async with _opened(plan, output, frames) as connection:
            tell_opening(output, connection, plan.parsed, plan.context)
            if on_open is not None:
                on_open(connection)
            conversation = Conversation(connection, output, manner, on_message)
            await _talk(conversation, nursery, stop, messages=messages, first=first, feed=feed)
        ended = outcome_of_end(connection)
        output.event("closed", status=int(ended.status), line=ended.line)
        nursery.cancel_scope.cancel()
    if ended is None:
        raise RuntimeError("the conversation was left before its end")
    return ended


async def stay_connected(
    plan: Plan,
    output: Output,
    stop: Stop,
    *,
    manner: Manner,
    read: Input,
    first: Sequence[str | bytes] = (),
    frames: bool = False,
    feed: Feed | None = None,
) -> Outcome:
    """Talk over one connection after another, until the input ends, or a signal ends it.

    What is worth another try is the table of `reconnecting_endpoint`.  The arguments are those of
    `connect`.  Raises `GaveUp`, and what `Conversation.run` raises.
    """

    async def tell(connection: Connection, _attempt: Attempt) -> None:
        tell_opening(output, connection, plan.parsed, plan.context)

    def tell_retry(retry: Retry) -> None:
        line = outcome_of_error(retry.error).line
        output.note(f"{line}; trying again in {milliseconds(retry.delay)}")
        output.event("retry", error=line, delay=round(retry.delay, 3))

    async with trio.open_nursery() as nursery:
        messages = _start_reading(nursery, read, feed)
        async with plan.stay_connected(
            Watcher(output, frames=frames), on_connect=tell, on_retry=tell_retry
        ) as channel:
            await channel.wait_connected()
            conversation = Conversation(channel, output, manner)
            await _talk(conversation, nursery, stop, messages=messages, first=first, feed=feed)
        nursery.cancel_scope.cancel()
    return Outcome(Status.DONE, f"closed, after {channel.attempts} tries to connect")


def _start_reading(
    nursery: trio.Nursery, read: Input, feed: Feed | None
) -> tuple[MessageSender, trio.MemoryReceiveChannel[str | bytes]]:
    messages = trio.open_memory_channel[str | bytes](READ_AHEAD)
    if feed is None:
        nursery.start_soon(read, messages[0])
    return messages


async def _talk(
    conversation: Conversation,
    nursery: trio.Nursery,
    stop: Stop,
    *,
    messages: tuple[MessageSender, trio.MemoryReceiveChannel[str | bytes]],
    first: Sequence[str | bytes],
    feed: Feed | None,
) -> None:
    """Send `first`, then what comes through `messages`, until the conversation ends."""
    send, receive = messages

    def end() -> None:
        conversation.stop(1001 if stop.status is Status.TERMINATED else 1000)

    with stop.gently(end):
        for message in first:
            await conversation.send(message)
        if feed is not None:
            nursery.start_soon(feed, conversation, send)
        await conversation.run(receive)


def _opened(plan: Plan, output: Output, frames: bool) -> AbstractAsyncContextManager[Connection]:
    return _Telling(plan.open(Watcher(output, frames=frames)), output)


class _Telling(AbstractAsyncContextManager[Connection]):
    """The context of a connection, which tells what a refusal said."""

    def __init__(self, inner: AbstractAsyncContextManager[Connection], output: Output) -> None:
        self._inner = inner
        self._output = output

    async def __aenter__(self) -> Connection:
        try:
            return await self._inner.__aenter__()
        except HandshakeRefused as error:
            tell_refusal(self._output, error.response)
            raise

    async def __aexit__(self, *error: object) -> bool | None:
        return await self._inner.__aexit__(*error)  # type: ignore[arg-type]


async def with_output(output: Output, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Run with a task that writes; return when all is written.  Raises what either raises."""
    outcome: Outcome | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.pump)
        try:
            outcome = await run()
        except Exception:
            await output.written()  # what was told before it went wrong
            raise
        await output.written()
        nursery.cancel_scope.cancel()
    if outcome is None:
        raise RuntimeError("the run was left before its end")
    return outcome


async def within(seconds: float | None, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Run for `seconds` at most, None for any time; raises `TimeOver`."""
    if seconds is None:
        return await run()
    with trio.move_on_after(seconds):
        return await run()
    raise TimeOver(f"--max-time: {seconds:g} s are over")
