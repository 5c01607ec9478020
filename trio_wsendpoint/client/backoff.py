"""How long a client waits before it tries again: `Backoff`, and the Retry-After of an answer.

Rule 1: the first wait after a healthy connection is spread over `spread` seconds, because every
client of the server may have lost its connection in the same moment (RFC 6455 section 7.2.3).
Rule 2: the nth failure in a row waits `uniform(floor, min(cap, base * factor ** (n - 1)))`.
Rule 3: once that bound has been `cap` for two failures in a row, the clients are spread already,
and each waits the last quarter of `cap`: at most 150 tries an hour where `cap` is 30 s.
Rule 4: what the server asked for (Retry-After) is the least that is waited.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

from trio_wsendpoint.handshake import Headers

__all__ = ["Backoff", "Delay", "Uniform", "retry_after"]

#: Where a wait begins: "later" at `base`, "busy" at `busy`; "spread" and "now" are for the first
#: wait after health ("now": `floor` seconds), and are "later" without it.
Delay = Literal["later", "spread", "busy", "now"]

#: The part of `cap` that is waited at least when `cap` has been reached for some time.
_SETTLED = 0.75
#: Of a Retry-After of t seconds, up to half of the smaller of t and this is added.
_AFTER_SPREAD = 30.0


class Uniform(Protocol):
    """What draws the waits: `random.Random(seed)` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number from `a` to `b`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next try; all but `factor` and `rng` are seconds.

    `base`: the longest wait after the first failure; each further failure in a row makes it
    `factor` times longer, up to `cap`.  `floor`: the shortest wait.  `spread`: the longest wait
    after a healthy connection has ended.  `busy`: as `base`, where the server said that it has
    too much to do.  `healthy`: a connection that has lasted so long after `on_connect` returned
    ends the row of failures; one that ends sooner is a failure itself.  `retry_after_cap`: a
    Retry-After above it is not waited for: the client gives up.

    `rng` draws the waits (`random.Random(seed)` in a test); by default the system does, so that
    forked processes do not draw the same.  Raises `ValueError` for values that make no sense.
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    floor: float = 0.1
    spread: float = 5.0
    busy: float = 5.0
    healthy: float = 30.0
    retry_after_cap: float = 3600.0
    rng: Uniform = field(default_factory=random.SystemRandom, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check("floor", self.floor, 0.0)
        least = {"factor": 1.0, "floor": 0.0, "healthy": 0.0, "retry_after_cap": 0.0}
        for one in fields(self):
            if one.name != "rng":
                bound = least.get(one.name, self.floor)
                _check(one.name, getattr(self, one.name), bound)
        if not callable(getattr(self.rng, "uniform", None)):
            raise TypeError(f"Backoff.rng must have uniform(a, b), as random.Random: {self.rng!r}")
        if self.cap < max(self.base, self.busy):
            raise ValueError(
                f"Backoff.cap must be at least base and busy, {max(self.base, self.busy):g} s, "
                f"not {self.cap:g}"
            )

    def delay(self, start: Delay, failures: int, after: float = 0.0) -> float:
        """Return the seconds to wait; `failures` in a row, 0 after a healthy connection.

        `after`: what the server asked for, 0.0 if it did not.
        """
        drawn = self._draw(start, failures)
        if after > 0:
            drawn = max(drawn, after + self.rng.uniform(0.0, min(after, _AFTER_SPREAD) / 2))
        return drawn

    def _draw(self, start: Delay, failures: int) -> float:
        if failures == 0 and start == "spread":
            return self.rng.uniform(self.floor, self.spread)
        if failures == 0 and start == "now":
            return self.floor
        base = self.busy if start == "busy" else self.base
        longest = self._longest(base, failures)
        is_settled = failures > 1 and self._longest(base, failures - 1) >= self.cap
        return self.rng.uniform(
            max(self.floor, _SETTLED * self.cap) if is_settled else self.floor, longest
        )

    def _longest(self, base: float, failures: int) -> float:
        try:
            return min(self.cap, base * self.factor ** max(failures - 1, 0))
        except OverflowError:
            return self.cap


def _check(name: str, value: object, least: float) -> None:
    unit = "" if name == "factor" else " s"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"Backoff.{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < least:
        raise ValueError(f"Backoff.{name} must be at least {least:g}{unit}, and finite: {value!r}")


def retry_after(headers: Headers, wall_clock: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that an answer asks to wait; None if it asks for nothing that is known.

    RFC 9110 section 10.2.3: seconds, or a date, of which one in the past is 0.  A date is counted
    from the answer's own Date header, so that a clock that is wrong here does not matter; without
    one from `wall_clock()`, in seconds since 1970.
    """
    value = headers.get("Retry-After")
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) < 16 else math.inf
    until, told = _date(value), _date(headers.get("Date") or "")
    if until is None:
        return None
    now = datetime.fromtimestamp(wall_clock(), UTC) if told is None else told
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
