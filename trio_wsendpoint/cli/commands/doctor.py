"""The options of `doctor`."""

from __future__ import annotations

import socket
from typing import Any

import click

from trio_wsendpoint.cli.arguments import (
    ExampleCommand,
    opening_options,
    seconds,
    target_of,
    telling_options,
)
from trio_wsendpoint.cli.doctor import Doctor, Examination
from trio_wsendpoint.cli.findings import SUBJECTS, Finding
from trio_wsendpoint.cli.opening import FAMILIES
from trio_wsendpoint.cli.outcome import Outcome, UsageFault
from trio_wsendpoint.cli.screen import Screen
from trio_wsendpoint.cli.shell import Telling, execute, guarded, make_plan
from trio_wsendpoint.cli.stopping import Stop

__all__ = ["doctor_command"]


@click.command(
    "doctor",
    cls=ExampleCommand,
    examples=("wss://app.example/live", "wss://app.example/live -s chat.v2 --deep"),
)
@click.argument("url")
@opening_options
@telling_options
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(SUBJECTS, case_sensitive=False),
    help="Tell of this alone, and of failures.",
)
@click.option(
    "--deep", "is_deep", is_flag=True, help="Probe idle time, size, load and rules; asks."
)
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option("--idle", type=seconds(), default=120.0, show_default=True, help="Of silence.")
@click.option("--most", type=click.IntRange(1024), default=64 * 1024 * 1024, show_default=True)
def doctor_command(url: str, **given: Any) -> int:
    """Find out what the server at URL supports and, if it refuses, why and what to change."""
    return guarded(lambda: _doctor(url, given))


def _doctor(url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    screen = Screen.of_process()
    output = telling.output(screen)
    plan = make_plan(target, output)
    if given["is_deep"] and not given["is_sure"]:
        _ask(screen, plan.parsed.host)
    is_direct = (target.proxy, target.unix, target.resolve) == (None, None, None)
    examination = Examination(
        only=given["only"] or SUBJECTS,
        is_deep=given["is_deep"],
        idle=given["idle"],
        most=given["most"],
        family=socket.AF_UNSPEC if target.family is None else FAMILIES[target.family],
        is_direct=is_direct or target.proxy == "none",
    )

    def tell(finding: Finding) -> None:
        if output.form.is_json:
            output.event("finding", **finding.facts())
            return
        for line in finding.lines():
            output.line(line)

    async def program(_stop: Stop) -> Outcome:
        return await Doctor(plan, examination, tell).examine()

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)


def _ask(screen: Screen, host: str) -> None:
    if not screen.is_interactive:
        raise UsageFault("--deep asks first, and nobody is there to answer: add --yes")
    click.confirm(
        f"Send {host} large messages and wrong frames, over many connections?", abort=True
    )
