"""The options of `reconnecting_endpoint`, completed and checked."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from trio_wsendpoint.client.attempts import Attempt, Retry
from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.client.codes import Codes, Verdict
from trio_wsendpoint.client.settings import ConnectOptions, ConnectSettings
from trio_wsendpoint.client.way import Way
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.handshake import HeaderItems, WebSocketURL

__all__ = [
    "ConnectHook",
    "Credentials",
    "GiveUp",
    "ReconnectSettings",
    "RetryHook",
]

#: Called before each try: returns the URL and the headers of this one.
Credentials = Callable[[Attempt], Awaitable[tuple[str, HeaderItems]]]
#: Called after each opening, before messages flow.
ConnectHook = Callable[[Connection, Attempt], Awaitable[object]]
#: Called before each wait.
RetryHook = Callable[[Retry], object]
#: What goes before the table; None leaves an error to it, True is "stop" and False "later".
GiveUp = Codes | Callable[[Exception], Verdict | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectSettings:
    """What `reconnecting_endpoint` was told, with `options` for each connection."""

    url: str
    backoff: Backoff = field(default_factory=Backoff)
    credentials: Credentials | None = None
    on_connect: ConnectHook | None = None
    on_retry: RetryHook | None = None
    give_up: GiveUp | None = None
    max_age: float | None = None
    max_failures: int | None = None
    max_elapsed: float | None = None
    when_away: Literal["wait", "raise"] = "wait"
    waiting_bytes: int = 1024 * 1024
    hook_timeout: float = 20.0
    ssl_context: ssl.SSLContext | None = None
    options: ConnectOptions = field(default_factory=ConnectOptions, repr=False)

    def __post_init__(self) -> None:
        target = WebSocketURL.parse(self.url)
        # Both check the options; with `credentials`, the URL is that of no try.
        way = Way(ConnectSettings(**self.options), ssl_context=self.ssl_context)
        if self.credentials is None:
            way.check(target)
        if not isinstance(self.backoff, Backoff):
            raise TypeError(f"backoff must be Backoff(...), not {self.backoff!r}")
        if self.when_away not in {"wait", "raise"}:
            raise ValueError(f'when_away is "wait" or "raise", not {self.when_away!r}')
        for name in ("credentials", "on_connect", "on_retry"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise TypeError(f"{name} must be a function, not {value!r}")
        if not (self.give_up is None or isinstance(self.give_up, Codes) or callable(self.give_up)):
            raise TypeError(f"give_up must be Codes(...) or a function, not {self.give_up!r}")
        _check_number("waiting_bytes", self.waiting_bytes, 0, "bytes")
        _check_number("hook_timeout", self.hook_timeout, 0, "s")
        for name, unit in (("max_age", "s"), ("max_failures", "failures"), ("max_elapsed", "s")):
            value = getattr(self, name)
            if value is not None:
                _check_number(name, value, 1 if name == "max_failures" else 0, unit)


def _check_number(name: str, value: object, least: float, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    is_length = unit == "s"
    if math.isnan(value) or value < least or (is_length and value == 0):
        expected = "more than 0 s" if is_length else f"at least {least} {unit}"
        raise ValueError(f"{name} must be {expected}, not {value!r}")
