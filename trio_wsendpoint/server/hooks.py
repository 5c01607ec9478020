"""What an accepted stream asks of what it is served for: a server, or one block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.server.back_off import BackOff

__all__ = ["Count", "Hooks", "count_nothing"]


class Count(Protocol):
    """Lets limits count a stream as `address` from now on, instead of what they took it for."""

    def __call__(self, address: str | None, *, is_opening: bool) -> str | None:
        """Return why not, or None; `is_opening`: it counts for the rate of openings too."""
        ...


def count_nothing(address: str | None, *, is_opening: bool) -> str | None:
    """Count nothing: there are no limits."""
    del address, is_opening
    return None


def _ignore(_: object = None) -> None:
    pass


# Not frozen: each stream has its own, and to freeze its fields takes most of the time to make it.
@dataclass(slots=True)
class Hooks:
    """What a server, or `accept_endpoint`, does for one stream.

    `nursery`: where a task may run.  `begin` is called with the connection as soon as its 101 has
    left, and starts it; None if it is started later, so that the app cannot accept it itself.
    `count`: see `Count`.  `keep` is called when a first plain request has come: this is no opening
    any more.  `fail` is called with what a handler of plain requests has failed with.
    `answers_plain`: plain requests are answered, and the stream is kept; else they are refused.
    `heartbeat`: the server's.  `back_off`: of addresses whose credentials were wrong too often.
    """

    nursery: trio.Nursery
    begin: Callable[[Connection], object] | None
    count: Count = count_nothing
    keep: Callable[[], object] = _ignore
    fail: Callable[[Exception], object] = _ignore
    answers_plain: bool = False
    heartbeat: HeartbeatTask | None = None
    back_off: BackOff | None = None
