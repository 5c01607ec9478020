"""One stream that a server has accepted, until its connection is closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.server.back_off import BackOff
from trio_wsendpoint.server.host import Drop

__all__ = ["Served", "Visit", "Visited"]


@dataclass(frozen=True, slots=True)
class Served:
    """What a server is to its visits.

    `nursery`, `heartbeat`: of its connections.  `begin` is called with a visit and its connection,
    whose 101 has left, and starts that.  `fail` is called with what a handler of plain requests has
    failed with.
    """

    nursery: trio.Nursery
    heartbeat: HeartbeatTask
    begin: Callable[[Visit, Connection], None]
    fail: Callable[[Exception], None]


class Visited(Protocol):
    """What the openings of a server are to its visits."""

    @property
    def back_off(self) -> BackOff:
        """The delays of addresses whose credentials were wrong too often."""
        ...

    def why_dropped(self, visit: Visit) -> Drop | None:
        """Return why the opening was dropped; None if it was not."""
        ...

    def note_opened(self, visit: Visit) -> None:
        """Note that an opening has become a connection."""
        ...

    def keep(self, visit: Visit) -> None:
        """Keep the stream, which is no opening any more: a first plain request has come."""
        ...

    @property
    def counts_addresses(self) -> bool:
        """Whether limits tell addresses apart."""
        ...

    def move(self, visit: Visit, address: str | None, *, is_opening: bool) -> str | None:
        """Let limits count the stream as `address` from now on; return why not."""
        ...


class Visit:
    """One stream that was accepted `since` when, by Trio's clock.

    It is the `Host` of its opening.  `address`: what limits count it as.  `connection`: the
    connection, once its 101 has left.
    """

    __slots__ = (
        "_openings",
        "_served",
        "address",
        "connection",
        "logger",
        "since",
        "stream",
    )

    begins = answers_plain = True

    def __init__(
        self,
        stream: trio.abc.Stream,
        logger: ConnectionLogger,
        address: str | None,
        since: float,
        *,
        openings: Visited,
        served: Served,
    ) -> None:
        self.stream = stream
        self.logger = logger
        self.address = address
        self.since = since
        self.connection: Connection | None = None
        self._openings = openings
        self._served = served

    @property
    def nursery(self) -> trio.Nursery:
        """Where the tasks of its connection run."""
        return self._served.nursery

    @property
    def heartbeat(self) -> HeartbeatTask:
        """The server's."""
        return self._served.heartbeat

    @property
    def back_off(self) -> BackOff:
        """The server's."""
        return self._openings.back_off

    @property
    def dropped(self) -> Drop | None:
        """Why the server has dropped its opening; None if it has not."""
        return self._openings.why_dropped(self)

    def begin(self, connection: Connection) -> None:
        """Start the connection, whose 101 has just left."""
        self.connection = connection
        self._openings.note_opened(self)
        self._served.begin(self, connection)

    def count(self, address: str | None, *, is_opening: bool) -> str | None:
        """Let limits count the stream as `address` from now on; return why not."""
        if not self._openings.counts_addresses:
            return None
        why = self._openings.move(self, address, is_opening=is_opening)
        if why is None:
            self.address = address
        return why

    def keep(self) -> None:
        """Keep the stream for plain requests."""
        self._openings.keep(self)

    def fail(self, error: Exception) -> None:
        """Note what a handler of plain requests has failed with."""
        self._served.fail(error)
