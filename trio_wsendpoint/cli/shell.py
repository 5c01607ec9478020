"""What every subcommand shares: its output, running it under Trio, and the line at its end."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import trio

from trio_wsendpoint.cli.connect import with_output, within
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
from trio_wsendpoint.cli.stopping import Program, Stop, run_program

__all__ = ["Telling", "close_stdout", "ending", "execute", "guarded", "make_plan", "write_line"]

#: How a run may end without anything having gone wrong.
QUIET = frozenset({Status.DONE, Status.INTERRUPTED, Status.TERMINATED})


def execute(
    program: Program,
    output: Output | None,
    *,
    debug: bool = False,
    max_time: float | None = None,
    log_level: int | None = None,
) -> int:
    """Run a program under Trio, write how it ended, and return the exit status.

    `log_level`: write the log of the library from there on; by default none of it.
    """
    _set_log(logging.DEBUG if debug else log_level)

    async def whole(stop: Stop) -> Outcome:
        async def run() -> Outcome:
            return await program(stop)

        if output is None:
            return await within(max_time, run)
        return await with_output(output, lambda: within(max_time, run))

    return ending(lambda: trio.run(run_program, whole), output, debug=debug)


def ending(run: Callable[[], Outcome], output: Output | None, *, debug: bool = False) -> int:
    """Call `run`, write how that ended, and return the exit status."""
    try:
        outcome = run()
        if outcome.line is not None and output is not None:
            tell = output.note if outcome.status in QUIET else output.warn
            tell(outcome.line)
    except BaseException as error:  # noqa: BLE001 - a command ends with a line, not a traceback
        outcome = outcome_of_error(error)
        if outcome.status is Status.PIPE:
            return close_stdout()
        if debug:
            write_line("".join(traceback.format_exception(first_error(error))))
        if outcome.line is not None:
            (output.warn if output is not None else _warn)(outcome.line)
    return int(outcome.status)


def _warn(line: str) -> None:
    write_line(f"! {line}")


def write_line(text: str) -> None:
    """Write a line to stderr at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def close_stdout() -> int:
    """Give stdout another end, so that Python's own flush at the exit finds one."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return int(Status.PIPE)


def _set_log(level: int | None) -> None:
    logger = logging.getLogger("trio_wsendpoint")
    if level is None:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    else:
        logging.basicConfig(stream=sys.stderr, format="* log: %(message)s")
        logger.setLevel(level)


class Telling:
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
