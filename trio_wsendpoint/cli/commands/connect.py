"""The options of `connect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import trio

from trio_wsendpoint.cli.arguments import (
    ExampleCommand,
    opening_options,
    seconds,
    target_of,
    telling_options,
)
from trio_wsendpoint.cli.connect import Feed, MessageSender, connect, stay_connected
from trio_wsendpoint.cli.dialogue import converse
from trio_wsendpoint.cli.lines import descriptor_source, read_messages, to_message
from trio_wsendpoint.cli.outcome import Outcome, Status, UsageFault
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.screen import Screen
from trio_wsendpoint.cli.secrets import text_of
from trio_wsendpoint.cli.shell import Telling, execute, guarded, make_plan
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.talk import Conversation, Manner

__all__ = ["connect_command"]


@click.command(
    "connect",
    cls=ExampleCommand,
    examples=(
        "wss://echo.example/chat -s chat.v2",
        ":8000/ws                                    (is ws://localhost:8000/ws)",
        "wss://app.example/live --bearer @token.txt -H 'X-Tenant: 7'",
        "wss://app.example/live -n 1 < question.json > answer.json",
    ),
)
@click.argument("url")
@opening_options
@telling_options
@click.option("--frames", is_flag=True, help="Write each frame as it passes.")
@click.option(
    "--binary",
    type=click.Choice(["text", "hex", "base64", "raw"]),
    help="Send binary messages, of lines in this form; write those that come in it.",
)
@click.option("--send", "sends", multiple=True, metavar="TEXT", help="Send this first, or @FILE.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many messages.")
@click.option(
    "--linger",
    type=seconds("forever", zero=True),
    default=1.0,
    show_default=True,
    help="After the end of the input, wait so long for another message.",
)
@click.option("--close", "closing", metavar="CODE[:REASON]", help="Close with it, not with 1000.")
@click.option(
    "--reconnect", "is_staying", is_flag=True, help="Connect again when the connection ends."
)
@click.option("--history/--no-history", default=True, help="Keep what is typed, mode 0600.")
@click.option("--null", "is_null", is_flag=True, help="NUL ends a message, in and out.")
def connect_command(url: str, **given: Any) -> int:
    """Talk to URL: each line that is typed, or piped, is a message.

    In a pipe stdout has messages only, one a line; everything else is on stderr.
    """
    return guarded(lambda: _connect(url, given))


def _connect(url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    end = b"\0" if given["is_null"] else b"\n"
    binary = given["binary"]
    screen = Screen.of_process()
    output = telling.output(screen, end=end, binary=binary or "hex")
    plan = make_plan(target, output)
    first = [to_message(text_of(text, "--send").encode(), binary, 1) for text in given["sends"]]
    code, reason = _closing(given["closing"])
    manner = Manner(count=given["count"], linger=given["linger"], code=code, reason=reason)

    async def read(messages: trio.MemorySendChannel[str | bytes]) -> None:
        await read_messages(descriptor_source(0), messages, end=end, binary=binary)

    is_interactive = screen.is_interactive and not telling.is_json

    async def program(stop: Stop) -> Outcome:
        return await (stay_connected if given["is_staying"] else connect)(
            plan,
            output,
            stop,
            manner=manner,
            read=read,
            first=first,
            frames=given["frames"],
            feed=_prompt(output, stop, has_history=given["history"]) if is_interactive else None,
        )

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)


def _prompt(output: Output, stop: Stop, *, has_history: bool) -> Feed:
    """Return what feeds a conversation from a prompt."""
    from trio_wsendpoint.cli.prompt import (  # noqa: PLC0415 - slow, and for a terminal only
        Prompt,
        history_path,
        private_file,
    )

    history = private_file(history_path()) if has_history else None

    def make(on_line: Callable[[str], object], on_interrupt: Callable[[], object]) -> Prompt:
        return Prompt(history, on_line=on_line, on_interrupt=on_interrupt)

    async def feed(conversation: Conversation, messages: MessageSender) -> None:
        async with messages:  # the prompt sends by itself
            await converse(conversation, output, make, lambda: stop.note(Status.INTERRUPTED))

    return feed


def _closing(text: str | None) -> tuple[int, str]:
    if text is None:
        return 1000, ""
    code, _, reason = text.partition(":")
    if not code.isdecimal() or not (1000 <= int(code) <= 4999) or len(reason.encode()) > 123:
        raise UsageFault("--close: expected CODE or CODE:REASON, as 4000:done, 123 B at most")
    return int(code), reason
