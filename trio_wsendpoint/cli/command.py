"""The command line: what may be asked, and which function does it.

Each subcommand makes plain values of its options and calls one function that knows no click.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click
import trio

from trio_wsendpoint._version import __version__
from trio_wsendpoint.cli.arguments import (
    ExampleCommand,
    Seconds,
    opening_options,
    target_of,
    telling_options,
)
from trio_wsendpoint.cli.connect import connect, with_output, within
from trio_wsendpoint.cli.escaping import escaped
from trio_wsendpoint.cli.lines import descriptor_source, read_messages, to_message
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.cli.outcome import (
    Outcome,
    Status,
    UsageFault,
    first_error,
    outcome_of_error,
)
from trio_wsendpoint.cli.output import Form, Output
from trio_wsendpoint.cli.screen import Color, Screen, make_output
from trio_wsendpoint.cli.secrets import text_of
from trio_wsendpoint.cli.stopping import Program, Stop, run_program
from trio_wsendpoint.cli.talk import Manner

__all__ = ["group", "run_command"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT, no_args_is_help=True)
@click.version_option(__version__, message="%(version)s")
def group() -> None:
    """Talk to WebSocket servers, time them, and find out why a connection fails."""


def run_command(arguments: list[str]) -> int:
    """Run the command with `arguments`; return the exit status."""
    try:
        result = group.main(
            arguments,
            prog_name="trio-wsendpoint",
            standalone_mode=False,
            auto_envvar_prefix="TRIO_WSENDPOINT",
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        usage = getattr(error, "ctx", None)
        if usage is not None:
            _write(usage.get_usage())
        _write(f"! {escaped(error.format_message())}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return int(Status.INTERRUPTED)
    except BrokenPipeError:
        return _close_stdout()


def execute(
    program: Program,
    output: Output | None,
    *,
    debug: bool = False,
    max_time: float | None = None,
) -> int:
    """Run a program under Trio, write how it ended, and return the exit status."""
    _set_log(debug)

    async def whole(stop: Stop) -> Outcome:
        async def run() -> Outcome:
            return await program(stop)

        if output is None:
            return await within(max_time, run)
        return await with_output(output, lambda: within(max_time, run))

    try:
        outcome = trio.run(run_program, whole)
        if outcome.line is not None and output is not None:
            tell = output.note if outcome.status is Status.DONE else output.warn
            tell(outcome.line)
    except BaseException as error:  # noqa: BLE001 - a command ends with a line, not a traceback
        outcome = outcome_of_error(error)
        if outcome.status is Status.PIPE:
            return _close_stdout()
        if debug:
            _write("".join(traceback.format_exception(first_error(error))))
        if outcome.line is not None:
            (output.warn if output is not None else _warn)(outcome.line)
    return int(outcome.status)


def _warn(line: str) -> None:
    _write(f"! {line}")


def _write(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _close_stdout() -> int:
    """Give stdout another end, so that Python's own flush at the exit finds one."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return int(Status.PIPE)


def _set_log(debug: bool) -> None:
    logger = logging.getLogger("trio_wsendpoint")
    if debug:
        logging.basicConfig(stream=sys.stderr, format="* log: %(message)s")
        logger.setLevel(logging.DEBUG)
    else:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


class _Telling:
    """What the options of `telling_options` say."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.is_json: bool = given.pop("is_json")
        self.is_quiet: bool = given.pop("quiet")
        self.is_verbose: bool = given.pop("verbose")
        self.debug: bool = given.pop("debug")
        self.color: Color = given.pop("color")
        self.max_time: float | None = given.pop("max_time")

    def output(self, screen: Screen, **form: Any) -> Output:
        """Return the output for `screen`."""
        return make_output(
            screen,
            Form(
                is_terminal=screen.is_output_terminal,
                is_json=self.is_json,
                is_quiet=self.is_quiet,
                is_verbose=self.is_verbose,
                **form,
            ),
            self.color,
        )


def make_plan(target: Target, output: Output) -> Plan:
    """Return the plan; a warning is written if it trusts any certificate."""
    plan = Plan.of(target)
    if target.insecure:
        output.warn("--insecure: the server's certificate is not verified; anyone may be listening")
    return plan


def guarded(make: Callable[[], int]) -> int:
    """Return what `make` returns; a fault of usage or of the URL becomes its line and status."""
    try:
        return make()
    except (UsageFault, ValueError) as error:
        outcome = outcome_of_error(error)
        _warn(outcome.line or "")
        return int(outcome.status)


@group.command(
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
    type=Seconds("forever", zero=True),
    default=1.0,
    show_default=True,
    help="After the end of the input, wait so long for another message.",
)
@click.option("--close", "closing", metavar="CODE[:REASON]", help="Close with it, not with 1000.")
@click.option("--null", "is_null", is_flag=True, help="NUL ends a message, in and out.")
def connect_command(url: str, **given: Any) -> int:
    """Talk to URL: each line that is typed, or piped, is a message.

    In a pipe stdout has messages only, one a line; everything else is on stderr.
    """
    return guarded(lambda: _connect(url, given))


def _connect(url: str, given: dict[str, Any]) -> int:
    telling, target = _Telling(given), target_of(url, given)
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

    async def program(stop: Stop) -> Outcome:
        return await connect(
            plan, output, stop, manner=manner, read=read, first=first, frames=given["frames"]
        )

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)


def _closing(text: str | None) -> tuple[int, str]:
    if text is None:
        return 1000, ""
    code, _, reason = text.partition(":")
    if not code.isdecimal() or not (1000 <= int(code) <= 4999) or len(reason.encode()) > 123:
        raise UsageFault("--close: expected CODE or CODE:REASON, as 4000:done, 123 B at most")
    return int(code), reason
