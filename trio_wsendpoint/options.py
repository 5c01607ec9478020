"""The options, in a few frozen groups that check themselves when they are made.

A group is one argument that travels whole from the user to where it is read, so no option is
spelled again on the way.  Sizes are bytes, times are seconds.  A value out of range raises
`ValueError` that names the option, what it got, and what it expects; an option that a group does
not have, `TypeError` that says what to write instead.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, fields
from typing import Self

from trio_wsendpoint._words import GROUP_WORDS, unknown_options

__all__ = ["Heartbeat", "Limits", "OptionGroup", "ServerLimits", "Timeouts"]

KIB = 1024


class OptionGroup:
    """The base of the groups: refuses what a group does not have, before it is made.

    A subclass is a dataclass of keywords; raises `TypeError` for any other argument.
    """

    __slots__ = ()

    def __new__(cls, *arguments: object, **options: object) -> Self:
        """Refuse positional arguments and unknown options; `__init__` takes the rest."""
        known = getattr(cls, "__dataclass_fields__", {})
        words = GROUP_WORDS.get(cls.__name__, {})
        if arguments:
            example = next(iter(known), "option")
            raise TypeError(f"{cls.__name__}() takes keywords only: {cls.__name__}({example}=...)")
        fault = unknown_options(f"{cls.__name__}()", options, known, words)
        if fault is not None:
            raise TypeError(fault)
        return super().__new__(cls)


def _check_count(group: object, name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{type(group).__name__}.{name} must be an int, not {value!r}")
    if value < least:
        raise ValueError(f"{type(group).__name__}.{name} must be at least {least}, not {value}")


def _check_seconds(group: object, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{type(group).__name__}.{name} must be seconds, not {value!r}")
    if math.isnan(value) or value <= 0:
        raise ValueError(f"{type(group).__name__}.{name} must be more than 0 s, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(OptionGroup):
    """How much one connection may hold.

    `message_size`: bytes of payload in one received message; over it the peer gets 1009.  None
    sets no limit: then the peer decides how much memory a message takes.
    `fragments`: frames that one message may come in, empty ones included, to which one more is
    added for every 32 bytes of its payload; over it the peer gets 1008.
    `receive_buffer`: bytes of received messages that wait for `receive()` before reading stops;
    each message counts with its payload, its compressed form if it had one, 9 bytes a fragment,
    and 128 bytes more, so that empty ones count too.
    `send_buffer`: bytes queued above which `send()` waits for room; so does a message that would
    make more wait than 32 KiB above it, until nothing else waits.
    `fragment_size`: an outgoing message larger than this leaves in fragments of this size, so
    that pings, pongs and a close can pass between them.
    `head_size`, `header_count`, `list_items`: bytes of an HTTP head, headers in it, and items in
    one list-valued header; over them the peer gets 431.
    `pipelined`: bytes that may follow a request before the 101 is written; over it, 400.
    `control_rate`: control frames that the peer may send in a second; over it, 1008.
    `message_rate`: messages that it may send in a second, or None; over it, 1013.
    """

    message_size: int | None = 1024 * KIB
    fragments: int = 4096
    receive_buffer: int = 64 * KIB
    send_buffer: int = 64 * KIB
    fragment_size: int = 1024 * KIB
    head_size: int = 16 * KIB
    header_count: int = 64
    list_items: int = 32
    pipelined: int = 4 * KIB
    control_rate: int = 1000
    message_rate: int | None = None

    def __post_init__(self) -> None:
        least = {"message_size": 0, "pipelined": 0, "head_size": 64}
        optional = {"message_size", "message_rate"}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name not in optional:
                _check_count(self, field.name, value, least.get(field.name, 1))

    @property
    def most_in_message(self) -> int:
        """`message_size` as a number to compare with: without a limit, more than can exist."""
        return sys.maxsize if self.message_size is None else self.message_size


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits(OptionGroup):
    """How much one server takes on; what is refused is told 503 with `Retry-After`.

    `connections`: streams that it holds, those in their opening handshake included.
    `openings`: of these, how many may be in their opening handshake; for one more, the one that
    has been at it longest without a complete request is dropped.
    `connections_per_address`: how many of them one IP address may hold, or None.
    `opening_rate`: connections that one IP address may open in a second, or None.
    `ipv6_prefix`: bits of an IPv6 address in which two are one address for these (1 to 128): one
    host has a whole network of them.  An IPv4-mapped address is the IPv4 address.
    `auth_failures`: answers of 401 in a row by `process_request` to one IP address that has sent
    an Authorization header, after which it gets 429, for 1 s and then for twice as long each time,
    60 s at most; or None.
    `retry_after`: the seconds that a refused client is told to wait.
    """

    connections: int = 10_000
    openings: int = 256
    connections_per_address: int | None = None
    opening_rate: int | None = None
    ipv6_prefix: int = 64
    auth_failures: int | None = 10
    retry_after: int = 5

    def __post_init__(self) -> None:
        optional = {"connections_per_address", "opening_rate", "auth_failures"}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name not in optional:
                _check_count(self, field.name, value, 1)
        if self.ipv6_prefix > 128:
            raise ValueError(
                f"ServerLimits.ipv6_prefix must be at most 128, not {self.ipv6_prefix}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(OptionGroup):
    """How long a connection waits, in seconds; `math.inf` is allowed.

    `open`: the whole opening, TLS included, without the time of `process`; bytes do not renew it.
    `process`: how long `process_request` may take.
    `write`: how long the peer may accept nothing while we have something to write.
    `answer`: how long a violation or a Close of the peer waits, after the last message before it
    was handed to the app, for the app's answer.
    `ping`: how long `ping()` waits for its pong, and for its turn to leave.
    `drain`: how long a connection that closes goes on to write what was committed before, while
    the peer takes some of it within each `write`.
    `close`: how long a connection that closes waits for the peer's Close frame and its end, after
    our last byte; and, before it closes, the most that a violation or a Close of the peer waits
    for an app that goes on to take messages.
    `linger`: how long we go on reading after our last byte, so that the Close frame arrives.
    `grace`: how long a server that stops lets its connections finish.
    `goodbye`: of this, how long it leaves a connection open for sending whose handler it has told
    by ending its `receive()`, if that does not close it or return before.
    """

    open: float = 10.0
    process: float = 10.0
    write: float = 20.0
    answer: float = 1.0
    ping: float = 20.0
    drain: float = 60.0
    close: float = 5.0
    linger: float = 1.0
    grace: float = 10.0
    goodbye: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_seconds(self, field.name, getattr(self, field.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(OptionGroup):
    """When to ping a silent peer, and when to give it up.

    `interval`: seconds without a byte from the peer before a ping leaves.
    `max_pings`: pings without an answer, after which the next beat closes with 1002 instead.
    So a peer that has fallen silent is closed after `interval * (max_pings + 1)` seconds.
    """

    interval: float = 15.0
    max_pings: int = 3

    def __post_init__(self) -> None:
        _check_seconds(self, "interval", self.interval)
        _check_count(self, "max_pings", self.max_pings, 0)
