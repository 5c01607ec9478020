"""What an accepted stream asks of what it is served for: a server, or one block."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.server.back_off import BackOff

__all__ = ["Drop", "Host"]


class Drop(NamedTuple):
    """Why a server has dropped an opening; `is_over_limit`: for a limit, not because it stops."""

    reason: str
    is_over_limit: bool


class Host(Protocol):
    """What a server, or `accept_endpoint`, is to the opening of one stream."""

    @property
    def nursery(self) -> trio.Nursery:
        """Where a task may run."""
        ...

    @property
    def heartbeat(self) -> HeartbeatTask | None:
        """The heartbeat of a server."""
        ...

    @property
    def back_off(self) -> BackOff | None:
        """The delays of addresses whose credentials were wrong too often."""
        ...

    @property
    def dropped(self) -> Drop | None:
        """Why the server cannot go on with the opening; None if it can."""
        ...

    @property
    def begins(self) -> bool:
        """Whether `begin` starts a connection; else it is started later, and not by the app."""
        ...

    @property
    def answers_plain(self) -> bool:
        """Whether plain requests are answered, and the stream is kept; else they are refused."""
        ...

    def begin(self, connection: Connection) -> None:
        """Start the connection, whose 101 has just left."""
        ...

    def count(self, address: str | None, *, is_opening: bool) -> str | None:
        """Let limits count the stream as `address` from now on; return why not.

        `is_opening`: it counts for the rate of openings too.
        """
        ...

    def keep(self) -> None:
        """Keep the stream, which is no opening any more: a first plain request has come."""
        ...

    def fail(self, error: Exception) -> None:
        """Note what a handler of plain requests has failed with."""
        ...
