"""`broadcast`: one message to many connections, without waiting for any of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.shared import SharedMessage

__all__ = ["PassedBy", "broadcast"]


class PassedBy(tuple[Connection, ...]):
    """The connections that a `broadcast()` passed by: those that are `full`, then those `busy`.

    `full`: `Limits.send_buffer` bytes or more wait for the peer, which is slow.  `busy`: a task of
    the app's waits in `send()`, or has a `send_stream()` open, so that the message had to wait for
    it; that says nothing of the peer.
    """

    full: tuple[Connection, ...]
    busy: tuple[Connection, ...]

    def __new__(cls, full: Iterable[Connection], busy: Iterable[Connection]) -> Self:
        """Join the two."""
        full, busy = tuple(full), tuple(busy)
        made = super().__new__(cls, (*full, *busy))
        made.full = full
        made.busy = busy
        return made


@trio.lowlevel.enable_ki_protection
def broadcast(
    connections: Iterable[Connection], value: str | Buffer, *, compress: bool = True
) -> PassedBy:
    """Send a message to every connection that has room now; return those that have none.

    Not async, and it never waits: for each connection it does what `send_nowait` does.  Those
    returned did not get the message, and `PassedBy` tells why.  What becomes of them is up to
    you.  Connections that are closed or closing are left out.

    The message becomes bytes once for all servers' connections without compression, and is
    compressed once for those that agreed on the same parameters without context takeover
    (`Deflate(context_takeover=False)`).  The others, and those of clients, which have to mask,
    each do it for themselves.

    Nothing else runs meanwhile: it takes some 10 us a connection over TCP, half of which is the
    system's, so 0.1 s for 10,000.  To let others run, send to a part of them at a time.

    Raises `TypeError`, `UnicodeEncodeError` (a `str` with lone surrogates), and `RuntimeError`
    for a connection of another thread, all before anything is sent.  A connection that fails
    while it is written to is closed; the others get the message, and nothing is raised.
    """
    message = SharedMessage(value)
    targets = [(connection, connection.sending) for connection in connections]
    full: list[Connection] = []
    busy: list[Connection] = []
    for connection, sending in targets:
        try:
            # Most are free: that costs 20 calls, of Python and of C, where the rest costs 43.
            if sending.try_share(message, compress=compress) or not connection.is_open:
                continue
            if sending.has_room_for(message):
                sending.commit(message, compress=compress)
            else:
                (busy if sending.is_busy else full).append(connection)
        except EndpointClosed:
            continue
        except Exception as error:  # noqa: BLE001 - its endpoint's, or its extension's
            tasks = connection.tasks
            tasks.session.fail_internally(error)
            tasks.act()
    return PassedBy(full, busy)
