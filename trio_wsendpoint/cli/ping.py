"""`trio-wsendpoint ping`: round trips of pings, one a line, and their summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from trio_wsendpoint.cli.histogram import short
from trio_wsendpoint.cli.opening import Plan
from trio_wsendpoint.cli.outcome import CheckFailed, Outcome, Status, outcome_of_end
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.telling import milliseconds, tell_opening
from trio_wsendpoint.connection.closed import ConnectionClosed, PingTimeout
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.options import Timeouts

__all__ = ["Pinging", "ping", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinging:
    """How to ping: `count` times, None until stopped, every `interval` seconds.

    A pong may take `wait` seconds.  A mean above `fail_above` seconds fails.
    """

    count: int | None = None
    interval: float = 1.0
    wait: float = 5.0
    fail_above: float | None = None


async def ping(plan: Plan, output: Output, stop: Stop, pinging: Pinging) -> Outcome:
    """Ping a server; return when it is done, or has closed.

    Raises `CheckFailed` if a pong is missing, for TCP loses none, or the mean is too high.  A
    signal ends it with its summary.
    """
    timeouts = Timeouts(open=plan.options.get("timeouts", Timeouts()).open, ping=pinging.wait)
    times: list[float | None] = []
    scope = trio.CancelScope()
    async with plan.open(timeouts=timeouts, heartbeat=None) as connection:
        tell_opening(output, connection, plan.parsed, plan.context)
        with stop.gently(scope.cancel), scope:
            await _ping_all(connection, output, pinging, times)
        is_lost = not connection.is_open
        opening = connection.timings
    taken = "" if opening is None else f"; opening {milliseconds(opening.total)}"
    if output.form.is_json:
        output.event("summary", pings=len(times), seconds=times)
    else:
        output.line(summary(times, taken))
    if is_lost:
        return outcome_of_end(connection)
    _check(times, pinging)
    return Outcome(Status.DONE)


async def _ping_all(
    connection: Connection, output: Output, pinging: Pinging, times: list[float | None]
) -> None:
    due = trio.current_time()
    while pinging.count is None or len(times) < pinging.count:
        try:
            seconds: float | None = await connection.ping()
        except PingTimeout:
            seconds = None
        except ConnectionClosed:
            return
        times.append(seconds)
        told = f"none within {pinging.wait:g} s" if seconds is None else milliseconds(seconds)
        if not output.form.is_json:
            output.line(f"pong {len(times)}: {told}")
        output.event("pong", number=len(times), seconds=seconds)
        due += pinging.interval
        if len(times) != pinging.count:
            await trio.sleep_until(due)


def _check(times: Sequence[float | None], pinging: Pinging) -> None:
    found = [seconds for seconds in times if seconds is not None]
    if len(found) < len(times):
        raise CheckFailed(f"{len(times) - len(found)} of {len(times)} pongs are missing")
    limit = pinging.fail_above
    if limit is not None and found and sum(found) / len(found) > limit:
        mean = milliseconds(sum(found) / len(found))
        raise CheckFailed(f"the mean of {mean} is above {milliseconds(limit)}")


def summary(times: Sequence[float | None], taken: str = "") -> str:
    """Return what was sent and lost, and the round trips' minimum, mean, percentiles, maximum."""
    found = sorted(seconds for seconds in times if seconds is not None)
    lost = 100 * (len(times) - len(found)) / len(times) if times else 0
    head = f"{len(times)} pings, {len(found)} pongs, {lost:.0f} % lost"
    if not found:
        return head + taken
    figures = [("min", found[0]), ("avg", sum(found) / len(found))]
    figures += [(f"p{percent}", _percentile(found, percent)) for percent in (50, 90, 99)]
    figures.append(("max", found[-1]))
    return (
        f"{head}; " + "  ".join(f"{name} {short(value)}" for name, value in figures) + f" ms{taken}"
    )


def _percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the times that `percent` of all do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
