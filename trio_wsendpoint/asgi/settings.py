"""The options of an ASGI application, completed and checked."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, fields
from typing import Literal, TypedDict

from trio_wsendpoint.asgi.lifespan import LifespanMode
from trio_wsendpoint.session.session import Logger

__all__ = ["AsgiOptions", "AsgiSettings"]


class AsgiOptions(TypedDict, total=False):
    """How an ASGI application is called.

    `lifespan`: "auto" calls the application for its lifespan, and goes on if it has none; "on"
    raises then; "off" does not call it.
    `root_path`: put before each path, for an application behind a proxy that takes it off.
    `cancel_after`: seconds that the application has to end after its client has gone; and, for
    what it does after its answer, after the server has closed.
    `startup_timeout`: seconds that the application may take to start.
    `shutdown_timeout`: seconds that it may take to end.
    `max_calls`: calls at work at a time; the next ones are answered with 503.
    `http_spec_version`: what a request's scope says.  From "2.4" on `send` raises an `OSError`
    once the client has gone; at "2.3" it does nothing.
    `logger`: gets the failures of the application.
    """

    lifespan: LifespanMode
    root_path: str
    cancel_after: float
    startup_timeout: float
    shutdown_timeout: float
    max_calls: int
    http_spec_version: Literal["2.3", "2.4", "2.5"]
    logger: Logger


@dataclass(frozen=True, slots=True, kw_only=True)
class AsgiSettings:
    """`AsgiOptions`, complete; raises `TypeError` or `ValueError` for one that is wrong."""

    lifespan: LifespanMode = "auto"
    root_path: str = ""
    cancel_after: float = 30.0
    startup_timeout: float = 60.0
    shutdown_timeout: float = 30.0
    max_calls: int = 10_000
    http_spec_version: Literal["2.3", "2.4", "2.5"] = "2.3"
    logger: Logger = field(
        default_factory=lambda: logging.getLogger("trio_wsendpoint"),
        metadata={"default": 'logging.getLogger("trio_wsendpoint")'},
    )

    @classmethod
    def of(cls, options: AsgiOptions) -> AsgiSettings:
        """Complete `options`; an unknown one raises `TypeError` that names those there are."""
        known = [one.name for one in fields(cls)]
        if unknown := sorted(set(options) - set(known)):
            raise TypeError(f"AsgiApp() has no option {unknown[0]!a}; it has {', '.join(known)}")
        return cls(**options)

    def __post_init__(self) -> None:
        if self.lifespan not in {"auto", "on", "off"}:
            raise ValueError(f'lifespan is "auto", "on" or "off", not {self.lifespan!r}')
        if self.http_spec_version not in {"2.3", "2.4", "2.5"}:
            raise ValueError(f'http_spec_version is "2.3" to "2.5", not {self.http_spec_version!r}')
        path: object = self.root_path
        if not isinstance(path, str):
            raise TypeError(f"root_path is a str, not {path!r}")
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError(f'root_path begins with "/" and does not end with one, not {path!r}')
        for name in ("cancel_after", "startup_timeout", "shutdown_timeout"):
            _check_seconds(name, getattr(self, name))
        calls: object = self.max_calls
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
            raise ValueError(f"max_calls is an int of at least 1, not {calls!r}")


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be 0 s or more, not {value}")
