"""The options of plain HTTP on a WebSocket server's port."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from trio_wsendpoint.options import OptionGroup

__all__ = ["HttpLimits"]

KIB = 1024
_COUNTS = {"body_size": 0, "drain": 0, "requests": 1, "body_rate": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits(OptionGroup):
    """How much one plain HTTP request may bring, and how long it may take.

    `body_size`: bytes of a request's body, or None for no limit; over it, 413.
    `drain`: bytes of a body that are read and dropped after the answer, so that the connection
    can be kept; if more are to come, or an unknown number, the connection is closed.
    `requests`: requests on one connection; the answer to the last one says `close`.
    `idle`: seconds that a connection is kept between two requests; more than the 60 s of nginx
    and of load balancers, which would else send a request into the end of the connection.
    `body_time`: seconds in all that a body is waited for; `body_rate`: bytes a second that it
    must bring on average, after the first 10 s of waiting; over either, 408.
    `handler`: seconds until a handler must have begun its answer; over it, 503.

    Raises `ValueError` for what is out of range, `TypeError` for what is no number.
    """

    body_size: int | None = 1024 * KIB
    drain: int = 64 * KIB
    requests: int = 1000
    idle: float = 75.0
    body_time: float = 300.0
    body_rate: int = 500
    handler: float = math.inf

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            name = f"HttpLimits.{field.name}"
            if value is None and field.name == "body_size":
                continue
            least = _COUNTS.get(field.name)
            kinds = (int, float) if least is None else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                expected = "seconds" if least is None else "an int"
                raise TypeError(f"{name} must be {expected}, not {value!r}")
            if least is None and not value > 0:
                raise ValueError(f"{name} must be more than 0 s, not {value}")
            if least is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
