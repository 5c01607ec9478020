"""Waiting for many sockets with one registration for each of them, instead of one for each wait.

`trio.lowlevel.wait_readable` tells the system of a socket each time that a task waits.  A `Poller`
has an epoll of its own, which is told once, when a socket first waits here.  Trio waits for that
epoll alone, and says that it has something: so a wait of one of many sockets is a switch of tasks
and no system call.

**It wakes and never reads.**  What is not read stays with the system, which slows the peer down.

**Leader and followers.**  Of the tasks that wait the first one leads: it waits for the epoll with
Trio, and wakes those whose sockets have something.  The others are parked.  A leader that leaves,
because its own socket has something, because it was cancelled or woken, appoints the task that has
waited longest.  So there is no task of the poller's own, which a lone connection would pay with a
turn of the loop for each message.

**Edges.**  The system tells of what comes, and not of what is still there.  The stream notes what
it was told of, and forgets that only when it has found the socket empty: see `AcceptedSocket`.

Of Linux alone; elsewhere, and for a few sockets, streams wait with Trio.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Generator
from typing import Protocol

import trio
from trio.lowlevel import Abort, Task

__all__ = ["DATA", "FEW", "Polled", "Poller", "polling"]

#: Below so many sockets they wait with Trio.  With server and load on two cores, all that talk at
#: once cost 1.08 of a wait with Trio if they are 1, 1.00 if 4, 0.95 if 8, 0.92 if 16, and 0.88 if
#: 100.  One that talks among 100 idle ones costs 1.25: an idle task leads, and has to wake it.
FEW = 8
#: Events that are taken at once; what is left comes with the next look.
EVENTS = 512

#: The event of data, or of a stream's end behind it.
DATA: int = getattr(select, "EPOLLIN", 1)


class Polled(Protocol):
    """What a stream is to the poller."""

    def note_events(self, events: int) -> None:
        """Hear of `events` of its socket, a sum of constants of `select`."""
        ...

    def abort_wait(self, raise_cancel: object) -> Abort:
        """Let the task that waits for it be cancelled: call `leave`."""
        ...

    def check_open(self) -> None:
        """Raise `trio.ClosedResourceError` if it is closed."""
        ...


class Poller:
    """An epoll of one run of Trio, and the tasks that wait for its sockets; to be `close`d.

    A socket counts from `add` to `remove`; from its first `wait` on it is known by its descriptor.
    Fewer than `few` sockets wait with Trio.
    """

    def __init__(self, *, few: int = FEW) -> None:
        self._few = few
        self._epoll = select.epoll()
        self._process = os.getpid()
        self._count = 0  # of the sockets that were added
        # Those of which the epoll was told, by descriptor.
        self._sockets: dict[int, Polled] = {}
        #: By descriptor, those that wait: the one that has waited longest first.  All of them
        #: but the leader are parked.
        self.waiting: dict[int, Task] = {}
        self._leader: Task | None = None

    def add(self) -> None:
        """Count one more socket that may wait here."""
        self._count += 1

    def takes(self, descriptor: int, stream: Polled) -> bool:
        """Tell whether a task is to `wait` for `descriptor` here, and not with Trio.

        It is if there are so many sockets that it costs less, and if the system has room for one
        more.  From then on `stream` is told of the events of `descriptor`; what is there to be
        read already is an event.
        """
        if descriptor in self.waiting:
            return True  # to be told that another task does
        if self._count < self._few or self._epoll.closed:
            return False
        if self._sockets.get(descriptor) is not stream:
            # Errors and the end of both ways always come.  Urgent data can end a read early.
            mask = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET
            try:
                self._epoll.register(descriptor, mask)
            except OSError:
                return False
            self._sockets[descriptor] = stream
        return True

    def remove(self, descriptor: int, stream: Polled) -> None:
        """Count a socket no longer, before it is closed, and wake the task that waits for it.

        The system forgets a socket only when the last descriptor of it is closed, which may be
        one of a child of this process.  It would tell of events under a number that another
        socket has by then.
        """
        self._count -= 1
        # A child has the same epoll, and Trio's, and would take its sockets away from its parent.
        if self._sockets.get(descriptor) is not stream or os.getpid() != self._process:
            return
        self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        del self._sockets[descriptor]
        with contextlib.suppress(OSError):  # it was closed already, behind our back
            self._epoll.unregister(descriptor)
        self.wake(descriptor)

    @trio.lowlevel.enable_ki_protection
    async def wait(self, descriptor: int, stream: Polled) -> None:
        """Wait until an event of `descriptor` was noted, or for `wake`, `remove` or `close`.

        It is one that the poller `takes`.

        If cancelled: nothing has changed; if this task led, another one does.
        Raises: `trio.BusyResourceError` if another task waits for it, `trio.ClosedResourceError`.
        """
        waiting = self.waiting
        if descriptor in waiting:
            raise trio.BusyResourceError("another task waits to read from this socket")
        task = trio.lowlevel.current_task()
        waiting[descriptor] = task
        if self._leader is None:
            self._leader = task
        else:
            # Until there is an event, or this task is to lead.
            await trio.lowlevel.wait_task_rescheduled(stream.abort_wait)
        if self._leader is task:
            await self._lead(descriptor, task)
        stream.check_open()

    def leave(self, descriptor: int) -> None:
        """Forget the task that waits for `descriptor`, and does not lead: it was cancelled."""
        del self.waiting[descriptor]

    async def _lead(self, descriptor: int, task: Task) -> None:
        """Wait for events of all, until there is one of `descriptor`; then appoint another."""
        waiting = self.waiting
        try:
            while waiting.get(descriptor) is task:
                await trio.lowlevel.wait_readable(self._epoll)
                self._take_events(task)
        except trio.ClosedResourceError:
            pass  # by `wake`, or by `close`
        finally:
            if waiting.get(descriptor) is task:
                del waiting[descriptor]
            # All that wait are parked now; to wake one makes it lead.
            self._leader = next(iter(waiting.values()), None)
            if self._leader is not None:
                trio.lowlevel.reschedule(self._leader)

    def _take_events(self, leader: Task) -> None:
        """Tell the streams what has happened, and wake the tasks that wait for that."""
        sockets, waiting = self._sockets, self.waiting
        for descriptor, events in self._epoll.poll(0, EVENTS):
            stream = sockets.get(descriptor)
            if stream is None:
                continue  # closed behind our back, while a child of this process has it
            stream.note_events(events)
            task = waiting.pop(descriptor, None)
            if task is not None and task is not leader:
                trio.lowlevel.reschedule(task)

    def wake(self, descriptor: int) -> None:
        """Wake the task that waits for `descriptor`, if one does."""
        task = self.waiting.pop(descriptor, None)
        if task is None:
            return
        if task is self._leader:
            # If it was appointed and has not run yet, it sees that it waits no longer.
            trio.lowlevel.notify_closing(self._epoll)
        else:
            trio.lowlevel.reschedule(task)

    def close(self) -> None:
        """Wake all that wait, and free the epoll; a socket that is left waits with Trio."""
        if os.getpid() == self._process:
            for descriptor in tuple(self._sockets):
                self._forget(descriptor)
        self._epoll.close()


@contextlib.contextmanager
def polling() -> Generator[Poller | None]:
    """Have a poller for the length of a `with` block; none where the system has no epoll."""
    poller = Poller() if hasattr(select, "epoll") else None
    try:
        yield poller
    finally:
        if poller is not None:
            poller.close()
