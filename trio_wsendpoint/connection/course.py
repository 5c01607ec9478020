"""Starts a connection that is open, and ends it as its block has ended."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.connection.instruments import Instrument, listen
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.session.session import Owner

__all__ = ["start", "wind_down"]


@trio.lowlevel.enable_ki_protection
def start(
    connection: Connection,
    nursery: trio.Nursery,
    heartbeat: HeartbeatTask,
    instruments: Sequence[Instrument],
) -> None:
    """Start the tasks of `connection` in `nursery`, and tell `instruments` that it is open.

    `heartbeat` keeps its deadlines.
    """
    connection.tasks.start(nursery, heartbeat)
    if instruments:
        listen(connection, instruments)


@trio.lowlevel.enable_ki_protection
async def wind_down(connection: Connection, exc: BaseException | None) -> None:
    """Close a connection whose block has been left, with `exc` if that is not None.

    The code is 1000, or 1011 if the block raised.  If the block was cancelled, or interrupted,
    the peer is told 1001, if that takes no waiting.

    If cancelled: as if the block had been.
    Raises: `ConnectionLost` if committed messages could not be sent, unless there is an `exc`.
    """
    tasks, session = connection.tasks, connection.tasks.session
    is_end = exc is not None and is_the_end(exc, connection.endpoint.closing)
    try:
        if exc is None and await _look_for_cancellation(connection):
            # What the block returns is kept: the next checkpoint tells the app, as after a
            # nursery's block.
            await tasks.say_goodbye()
            if session.outbox.dropped:
                await trio.lowlevel.checkpoint_if_cancelled()
        elif exc is None or (is_end and session.owner is Owner.DISMISSED):
            await connection.aclose(*session.farewell)
        elif isinstance(exc, Exception):
            await connection.aclose(CloseCode.INTERNAL_ERROR)
        else:
            await tasks.say_goodbye()
    except Exception:
        if exc is None:
            raise
        # The block's own error says more than the messages that could not be sent.


async def _look_for_cancellation(connection: Connection) -> bool:
    """Return whether the scope around is cancelled.

    A Ctrl-C that comes now ends the connection before it is raised.

    `trio.current_effective_deadline()` tells it too, but goes through all scopes around by
    recursion, which ends at some hundred blocks within each other.
    """
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except trio.Cancelled:  # the app's next checkpoint raises it again
        return True
    except BaseException:
        await connection.tasks.say_goodbye()
        raise
    return False
