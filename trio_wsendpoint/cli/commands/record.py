"""The options of `record` and `replay`."""

from __future__ import annotations

from typing import Any

import click

from trio_wsendpoint.cli.arguments import (
    ExampleCommand,
    opening_options,
    seconds,
    target_of,
    telling_options,
)
from trio_wsendpoint.cli.connect import MessageSender, connect
from trio_wsendpoint.cli.conversation_file import Recorder, open_for_record, read_recorded
from trio_wsendpoint.cli.lines import descriptor_source, read_messages
from trio_wsendpoint.cli.outcome import CheckFailed, Outcome, Status
from trio_wsendpoint.cli.replay import send_again, unlike
from trio_wsendpoint.cli.screen import Screen
from trio_wsendpoint.cli.shell import Telling, execute, guarded, make_plan
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.talk import Manner

__all__ = ["record_command", "replay_command"]

_LINGER = click.option(
    "--linger",
    type=seconds("forever", zero=True),
    default=1.0,
    show_default=True,
    help="After the end of the input, wait so long for another message.",
)
_COUNT = click.option("-n", "--count", type=click.IntRange(1), help="End after so many messages.")


@click.command(
    "record",
    cls=ExampleCommand,
    examples=("-o talk.jsonl wss://app.example/live < questions.txt",),
)
@click.argument("url")
@opening_options
@telling_options
@click.option("-o", "path", required=True, metavar="FILE", help="Write it there, mode 0600.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@_LINGER
@_COUNT
def record_command(url: str, **given: Any) -> int:
    """Talk to URL as `connect` does in a pipe, and write the conversation to a file.

    The file has a JSON object a line. The values of credentials and of the URL's query are not
    in it, but what messages say is.
    """
    return guarded(lambda: _record(url, given))


def _record(url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    output = telling.output(Screen.of_process())
    plan = make_plan(target, output)
    manner = Manner(count=given["count"], linger=given["linger"])

    async def read(messages: MessageSender) -> None:
        await read_messages(descriptor_source(0), messages)

    with open_for_record(given["path"], force=given["force"]) as file:
        recorder = Recorder(file, plan.url)

        async def program(stop: Stop) -> Outcome:
            return await connect(
                plan,
                output,
                stop,
                manner=manner,
                read=read,
                on_open=recorder.open,
                on_message=recorder.note,
            )

        return execute(program, output, debug=telling.debug, max_time=telling.max_time)


@click.command(
    "replay",
    cls=ExampleCommand,
    examples=("talk.jsonl :8765", "talk.jsonl :8765 --speed 10 --check"),
)
@click.argument("path", metavar="FILE")
@click.argument("url")
@opening_options
@telling_options
@click.option("--speed", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True)
@click.option("--check", "is_checked", is_flag=True, help="Fail unless the same answers come.")
@_LINGER
@_COUNT
def replay_command(path: str, url: str, **given: Any) -> int:
    """Send URL again what the client of a recorded conversation has sent, at the same times."""
    return guarded(lambda: _replay(path, url, given))


def _replay(path: str, url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    output = telling.output(Screen.of_process())
    recorded = read_recorded(path)
    plan = make_plan(target, output)
    received: list[str | bytes] = []

    async def read(messages: MessageSender) -> None:
        await send_again(recorded, messages, given["speed"])

    def note(direction: str, message: str | bytes) -> None:
        if direction == "received":
            received.append(message)

    async def program(stop: Stop) -> Outcome:
        manner = Manner(count=given["count"], linger=given["linger"])
        outcome = await connect(plan, output, stop, manner=manner, read=read, on_message=note)
        difference = unlike(recorded, received) if given["is_checked"] else None
        if difference is not None and outcome.status is Status.DONE:
            raise CheckFailed(difference)
        return outcome

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)
