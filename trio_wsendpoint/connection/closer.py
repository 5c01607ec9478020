"""The closer of one connection: sees to its end within `Timeouts.close`, whatever happens.

It begins when the connection begins to close, by whichever side.  It sees the Close frames
through, ends the bytes in order, closes the stream, and wakes everyone.  That takes a task, but
for two ends that nearly all connections have: where nothing is left to wait for, the stream is
closed at once; and where the peer has only to end its bytes, as ours have ended, whoever calls
`aclose()` reads them to that end, or a task if nobody does so soon.  That is short most times, and
the heartbeat keeps its deadline: a cancel scope would cost more than all else of it.

Only `tasks` imports this module.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from trio_wsendpoint.connection.reader import Leader
from trio_wsendpoint.errors import UnexpectedEOF
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.protocol.closing import State
from trio_wsendpoint.protocol.endpoint import ClientEndpoint
from trio_wsendpoint.transport.waiters import Waiter

if TYPE_CHECKING:  # it has one
    from trio_wsendpoint.connection.tasks import Tasks

__all__ = ["Closer"]


class Closer:
    """Closes one connection, whose `tasks` it belongs to.

    `is_torn_down` is whether the stream is being closed, so that no task is started any more.
    `is_pending` is whether nobody sees to the end yet: `start` or `run_here` is to be called.
    """

    __slots__ = (
        "_has_ended_ours",
        "_is_reader",
        "_is_watched",
        "_patience",
        "_progress",
        "_tasks",
        "_timeouts",
        "_until",
        "is_pending",
        "is_torn_down",
    )

    def __init__(self, tasks: Tasks, timeouts: Timeouts) -> None:
        self._tasks = tasks
        self._timeouts = timeouts
        self._patience: trio.CancelScope | None = None
        self._progress = Waiter()  # it waits here
        self._is_reader = False  # it reads to the end itself
        self._has_ended_ours = False  # our bytes, without a task, and the heartbeat watches
        self._is_watched = False  # it waits until the stream is closed, not in `patience`
        self._until = float("inf")
        self.is_pending = self.is_torn_down = False

    def begin(self) -> None:
        """See to the end of a connection that has begun to close; called once."""
        tasks = self._tasks
        self._until = trio.current_time() + self._timeouts.close
        reader, transport = tasks.reader, tasks.non_blocking
        if (
            transport is not None
            and tasks.writer.is_done
            and tasks.endpoint.closing.is_over
            and tasks.retire_reader()
        ):
            # No frame is left to come, nor to go.
            self._is_reader = reader.is_peer_done = True
        else:
            reader.end()
        tasks.wake_all()
        self.is_pending = True
        is_aborted = self._patience is not None and self._patience.cancel_called
        is_over = self._is_reader and (reader.is_eof_seen or is_aborted)
        if not (is_over and self._close_now()) and not self._can_wait():
            self.start()

    def _close_now(self) -> bool:
        """Close the stream without a task, if that is possible."""
        tasks = self._tasks
        if tasks.non_blocking is None or tasks.has_tasks or not tasks.non_blocking.close_nowait():
            return False
        self.is_pending = False
        self.is_torn_down = True
        self._end()
        return True

    def _can_wait(self) -> bool:
        """End our bytes, after which somebody has to wait for the peer's end, if not at once."""
        tasks = self._tasks
        if not self._is_reader or tasks.non_blocking is None or tasks.heartbeat is None:
            return False
        if isinstance(tasks.endpoint, ClientEndpoint):
            return False
        if tasks.ended.count or tasks.pings.waiting or tasks.end_listener is not None:
            return False  # somebody wants to be told as soon as it is over
        try:
            if not tasks.non_blocking.send_eof_nowait():
                return False
        except Exception:  # noqa: BLE001 - the task is told the same, and knows what to do
            return False
        tasks.heartbeat.watch(tasks)
        self._has_ended_ours = True
        return True

    def start(self) -> None:
        """Start the task, if nobody sees to the end yet."""
        if self.is_pending and self._tasks.start_closer(self.run):
            self.is_pending = False

    async def run_here(self) -> None:
        """See to the end here, if nobody does yet; if cancelled, the stream is closed at once."""
        if self.is_pending:
            self.is_pending = False
            if self._has_ended_ours:
                self._until = min(self._until, trio.current_time() + self._timeouts.linger)
                self._tasks.plan_end(self._until)
                self._is_watched = True
            else:
                self.patience.shield = False
            await self.run()

    def check(self, now: float) -> None:
        """Close the stream if that is due, for who keeps the time."""
        if self._is_watched and now >= self._until:
            self.cancel()

    def wake(self) -> None:
        """Let it look how far the others are."""
        self._progress.wake()

    def cancel(self) -> None:
        """Have it close the stream now, if it has begun, or as soon as it begins."""
        self.patience.cancel()
        if self._is_watched:
            self._is_watched = False
            self.is_pending = True
        if self.is_pending and not self._close_now():
            self.start()

    @property
    def patience(self) -> trio.CancelScope:
        """What it waits in."""
        if self._patience is None:
            self._patience = trio.CancelScope(shield=True)
        return self._patience

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Close; raises no `Exception`."""
        tasks = self._tasks
        try:
            try:
                if self._is_watched:
                    await self._wait_for_end()
                else:
                    patience = self.patience
                    patience.deadline = min(patience.deadline, self._until)
                    with patience:
                        await self._close_politely(patience)
            finally:
                self._is_watched = False
                self.is_torn_down = True
                tasks.cancel_all()
                transport = tasks.non_blocking
                if transport is None or not transport.close_nowait():
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(transport or tasks.stream)
        except Exception as error:
            with contextlib.suppress(Exception):
                tasks.logger.debug("the stream could not be closed in order", exc_info=error)
        finally:
            self._end()  # whatever the stream raises, nobody is to wait for it any longer

    def _end(self) -> None:
        if self._tasks.has_ended:
            return  # it was closed while somebody waited for its end
        closing = self._tasks.endpoint.closing
        if not closing.is_over:
            late = "the peer did not close in time"
            lost = "our answer to its close was lost"
            self._tasks.endpoint.fail(UnexpectedEOF(late if closing.received is None else lost))
        self._tasks.note_end()

    async def _close_politely(self, patience: trio.CancelScope) -> None:
        """See the Close frames through, then end the bytes: the server first (section 7.1.1)."""
        tasks, reader = self._tasks, self._tasks.reader
        while not (tasks.writer.is_done and reader.is_peer_done):
            await self._progress.wait()
        if reader.is_eof_seen:
            return
        stream = tasks.stream
        is_failed = tasks.endpoint.state is State.FAILED
        if is_failed or not isinstance(tasks.endpoint, ClientEndpoint):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                if tasks.non_blocking is None or not tasks.non_blocking.send_eof_nowait():
                    await stream.send_eof()
                if self._is_reader:
                    until = trio.current_time() + self._timeouts.linger
                    patience.deadline = min(patience.deadline, until)
                    await self._wait_for_end()
                    return  # both directions have ended: nothing is left but to close
            elif not is_failed:
                # No bytes of the peer's can follow its Close frame: there is nothing to wait for.
                await (tasks.non_blocking or stream).aclose()
                return
        with trio.move_on_after(self._timeouts.linger):
            await self._wait_for_end()
        await (tasks.non_blocking or stream).aclose()

    async def _wait_for_end(self) -> None:
        """Wait until the peer's bytes have ended."""
        reader = self._tasks.reader
        while self._is_reader and reader.leader is Leader.APP:
            await trio.lowlevel.checkpoint()  # it has been told
        if self._is_reader:
            await reader.read_to_the_end()
        while not reader.is_eof_seen:
            await self._progress.wait()
