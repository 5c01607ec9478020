"""The options of `ping` and `bench`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from trio_wsendpoint.cli.arguments import (
    ExampleCommand,
    opening_options,
    seconds,
    target_of,
    telling_options,
)
from trio_wsendpoint.cli.bench import Bench, Load, Result
from trio_wsendpoint.cli.outcome import CheckFailed, Outcome, Status
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.ping import Pinging, ping
from trio_wsendpoint.cli.screen import Screen
from trio_wsendpoint.cli.shell import Telling, execute, guarded, make_plan
from trio_wsendpoint.cli.stopping import Stop

__all__ = ["bench_command", "ping_command"]


@click.command(
    "ping",
    cls=ExampleCommand,
    examples=("-c 3 wss://echo.example/", "-c 10 -i 0.1 --fail-above 50 :8765"),
)
@click.argument("url")
@opening_options
@telling_options
@click.option("-c", "--count", type=click.IntRange(1), help="So many pings; else until Ctrl-C.")
@click.option("-i", "--interval", type=seconds(), default=1.0, show_default=True)
@click.option("-W", "--wait", type=seconds(), default=5.0, show_default=True, help="For a pong.")
@click.option("--fail-above", type=click.FloatRange(0), metavar="MS", help="Of the mean.")
def ping_command(url: str, **given: Any) -> int:
    """Ping URL, and tell the round trips as `ping` does.

    A pong that is missing is a failed check, status 12: TCP loses none.
    """
    return guarded(lambda: _ping(url, given))


def _ping(url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    output = telling.output(Screen.of_process())
    plan = make_plan(target, output)
    limit = given["fail_above"]
    pinging = Pinging(
        count=given["count"],
        interval=given["interval"],
        wait=given["wait"],
        fail_above=None if limit is None else limit / 1000,
    )

    async def program(stop: Stop) -> Outcome:
        return await ping(plan, output, stop, pinging)

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)


@click.command(
    "bench",
    cls=ExampleCommand,
    examples=("-c 100 -z 10 :8765", "-c 10 -m 32 --size 16384 :8765", "--rate 1000 -z 30 :8765"),
)
@click.argument("url")
@opening_options
@telling_options
@click.option("-c", "--connections", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "-m",
    "--in-flight",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Messages out at a time on each connection, without --rate.",
)
@click.option("-z", "--seconds", type=seconds(), default=10.0, show_default=True)
@click.option("-n", "--messages", type=click.IntRange(1), help="End after so many answers.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Messages a second, in all.")
@click.option("--size", type=click.IntRange(0), default=125, show_default=True, help="Bytes.")
@click.option(
    "--ramp",
    type=seconds(zero=True),
    default=0.0,
    show_default=True,
    help="Open the connections spread over so many seconds.",
)
@click.option("--warmup", type=seconds(zero=True), default=1.0, show_default=True)
@click.option("--binary", "is_binary", is_flag=True, help="Send binary messages.")
@click.option("--output", "form", type=click.Choice(["text", "json", "csv"]), default="text")
@click.option(
    "--fail-above", type=click.FloatRange(0), metavar="MS", help="Of the 99th percentile."
)
def bench_command(url: str, **given: Any) -> int:
    """Load a server that answers each message with one, as `serve --echo`, and time the answers.

    With --rate the time of a message counts from when it was due, so that a stall is seen.
    """
    return guarded(lambda: _bench(url, given))


def _bench(url: str, given: dict[str, Any]) -> int:
    telling, target = Telling(given), target_of(url, given)
    screen = Screen.of_process()
    output = telling.output(screen)
    plan = make_plan(target, output)
    form, limit = given.pop("form"), given.pop("fail_above")
    load = Load(**given)
    has_progress = screen.is_error_terminal and not screen.is_dumb and not telling.is_quiet

    async def program(stop: Stop) -> Outcome:
        bench = Bench(plan, load)
        with stop.gently(bench.stop):
            result = await _with_progress(bench, load) if has_progress else await bench.run()
        _report(output, result, "json" if telling.is_json else form)
        return _judge(result, None if limit is None else limit / 1000)

    return execute(program, output, debug=telling.debug, max_time=telling.max_time)


async def _with_progress(bench: Bench, load: Load) -> Result:
    """Run with a bar on stderr, which is gone at the end."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for a terminal only
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("opening", total=load.seconds, told="")

        def show(result: Result) -> None:
            told = f"{result.rate:,.0f}/s  {result.times.summary()}"
            progress.update(task, description="loading", completed=result.seconds, told=told)
            progress.refresh()

        progress.refresh()
        return await bench.run(show)


def _report(output: Output, result: Result, form: str) -> None:
    if form == "text":
        for line in result.lines():
            output.line(line)
        return
    facts = _facts(result)
    if form == "json":
        output.line(json.dumps(facts))
    else:
        output.line(",".join(facts))
        output.line(",".join(str(value) for value in facts.values()))


def _facts(result: Result) -> dict[str, Any]:
    times = result.times
    load = {name: value for name, value in asdict(result.load).items() if value is not None}
    percentiles = {f"p{percent:g}": times.percentile(percent) for percent in (50, 90, 99, 99.9)}
    return {
        **load,
        "opened": result.opened,
        "measured_seconds": result.seconds,
        "answers": times.count,
        "answers_per_second": result.rate,
        "mean": times.mean,
        **percentiles,
        "max": times.most,
        "in_flight_seen": result.in_flight,
        "in_flight_expected": result.expected_in_flight,
        "is_consistent": result.is_consistent,
        "cpu_share": result.busy,
        "errors": len(result.errors),
        "closed": result.closed,
    }


def _judge(result: Result, limit: float | None) -> Outcome:
    if result.errors:
        raise CheckFailed(f"{len(result.errors)} errors, the first: {result.errors[0]}")
    if limit is not None and result.times.percentile(99) > limit:
        raise CheckFailed(f"the 99th percentile is above {limit * 1000:g} ms")
    return Outcome(Status.DONE)
