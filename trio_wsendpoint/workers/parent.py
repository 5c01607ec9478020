"""The parent: does what its `Supervisor` decides, with processes, pipes and signals.

It runs one loop, without Trio, and waits in `select` alone.  Nothing that a worker does or writes
ends it or holds it up.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from trio_wsendpoint.workers.actions import Action, Kill, Note, Start
from trio_wsendpoint.workers.child import Child
from trio_wsendpoint.workers.messages import Orders
from trio_wsendpoint.workers.phases import ParentPhase
from trio_wsendpoint.workers.signals import signal_pipe
from trio_wsendpoint.workers.state import WorkersState, WorkerState
from trio_wsendpoint.workers.sums import Ledger, Report
from trio_wsendpoint.workers.supervisor import Supervisor

__all__ = ["Parent"]

logger = logging.getLogger("trio_wsendpoint.workers")

#: Seconds after which the loop looks for ended processes, should a signal have been lost.
_LOOK = 5.0
#: Reads of what a worker wrote before it ended, at most.
_LAST_READS = 64


class Parent:
    """Runs workers until a signal ends it.

    `orders`: returns what the worker of a place and number is told.  `sockets`: the descriptors
    that each is given.  `addresses`: what it listens on.  `tell`: called with each new state.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        orders: Callable[[int, int], Orders],
        sockets: Sequence[int],
        addresses: Sequence[str],
        tell: Callable[[WorkersState], object] | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._orders = orders
        self._sockets = sockets
        self._addresses = tuple(addresses)
        self._tell = tell
        self._told: object = None  # what was last told, in short
        self._children: dict[int, Child] = {}
        self._heard: dict[int, float] = {}  # when the last report of a worker came
        self._ledger = Ledger()
        self._selector = selectors.DefaultSelector()
        self._ended_by: signal.Signals | None = None

    def run(self) -> signal.Signals | None:
        """Serve until SIGTERM or SIGINT, and return which it was; None if no worker got ready.

        Whatever it raises, no worker is left.
        """
        supervisor = self._supervisor
        try:
            with signal_pipe() as signals:
                self._selector.register(signals, selectors.EVENT_READ, signals)
                supervisor.start(time.monotonic())
                self._act()
                self._tell_changes()
                while supervisor.phase is not ParentPhase.OVER:
                    self._turn(supervisor.deadline - time.monotonic())
        finally:
            self._selector.close()
            self._end_all()
        return self._ended_by

    def state(self) -> WorkersState:
        """Return what there is now."""
        now = time.monotonic()
        total = self._ledger.total()
        supervisor = self._supervisor
        workers = tuple(
            WorkerState(
                number=member.number,
                place=member.place,
                pid=member.pid,
                phase=member.phase,
                age=round(now - member.began, 3),
                silent=self._silence(member.number, now),
                statistics=self._ledger.report_of(member.number).statistics,
            )
            for member in supervisor.members.values()
        )
        return WorkersState(
            phase=supervisor.phase,
            is_roll_queued=supervisor.is_roll_queued,
            workers=workers,
            addresses=self._addresses,
            starts=supervisor.starts,
            deaths=supervisor.deaths,
            rolls=supervisor.rolls,
            failed_rolls=supervisor.failed_rolls,
            last_failure=supervisor.last_failure,
            statistics=total.statistics,
            metrics=total.metrics,
        )

    def _silence(self, number: int, now: float) -> float | None:
        heard = self._heard.get(number)
        return None if heard is None else round(now - heard, 3)

    # ---- one turn of the loop ----------------------------------------------------------------

    def _turn(self, timeout: float) -> None:
        for key, events in self._selector.select(max(0.0, min(timeout, _LOOK))):
            if isinstance(key.data, socket.socket):
                self._take_signals(key.data)
            elif key.data in self._children:
                if events & selectors.EVENT_WRITE:
                    self._children[key.data].flush()
                if events & selectors.EVENT_READ:
                    self._read(key.data)
        self._reap()
        self._supervisor.tick(time.monotonic())
        self._act()
        self._watch_channels()
        self._tell_changes()

    def _take_signals(self, signals: socket.socket) -> None:
        try:
            numbers = signals.recv(4096)
        except BlockingIOError:
            return
        now = time.monotonic()
        for number in numbers:
            if number in {signal.SIGTERM, signal.SIGINT}:
                if self._ended_by is None:
                    self._ended_by = signal.Signals(number)
                self._supervisor.stop(now)
            elif number == signal.SIGHUP:
                self._supervisor.roll(now)
            elif number == signal.SIGUSR1:
                logger.info("%s", _in_short(self.state()))

    def _read(self, number: int) -> bool:
        """Take what a worker has written; return whether there may be more."""
        child = self._children[number]
        why = "has closed its pipe to the parent"
        try:
            messages = child.read()
            for message in messages or ():
                self._take(number, child, message)
        except ValueError as error:
            messages, why = None, f"has written {error}"
        if messages is None and child.channel is not None:
            self._selector.unregister(child.channel)
            child.close_channel()
            self._supervisor.note_useless(number, why, time.monotonic())
        return bool(messages)

    def _take(self, number: int, child: Child, message: dict[str, Any]) -> None:
        """Do what a worker's message asks for; raises `ValueError` for one that asks nothing."""
        now = time.monotonic()
        if "report" in message:
            self._ledger.note(number, Report.from_message(message["report"]))
            self._heard[number] = now
        elif "ask" in message:
            asked = message["ask"]
            child.answer(lambda: {"answer": asked, "state": self.state().to_message()})
        elif message.get("ready") is True:
            self._supervisor.note_ready(number, now)
        else:
            raise ValueError("a message that is none")

    def _reap(self) -> None:
        for number, child in list(self._children.items()):
            how = child.poll()
            if how is None:
                continue
            for _ in range(_LAST_READS):
                if child.channel is None or not self._read(number):
                    break
            if child.channel is not None:
                self._selector.unregister(child.channel)
            child.close()
            del self._children[number]
            self._heard.pop(number, None)
            self._ledger.bury(number)
            self._supervisor.note_gone(number, how, time.monotonic())

    def _watch_channels(self) -> None:
        """Wait for a worker's pipe to take more only while there is more for it."""
        for number, child in self._children.items():
            if child.channel is not None:
                events = selectors.EVENT_READ | (child.has_unsent and selectors.EVENT_WRITE)
                if self._selector.get_key(child.channel).events != events:
                    self._selector.modify(child.channel, events, number)

    # ---- what it does ------------------------------------------------------------------------

    def _act(self) -> None:
        while actions := self._supervisor.take_actions():
            for action in actions:
                self._do(action)

    def _do(self, action: Action) -> None:
        if isinstance(action, Note):
            logger.log(logging.ERROR if action.is_bad else logging.INFO, "%s", action.text)
        elif isinstance(action, Start):
            self._start(action)
        elif (child := self._children.get(action.number)) is not None:
            number = signal.SIGKILL if isinstance(action, Kill) else signal.SIGTERM
            child.send_signal(number)

    def _start(self, action: Start) -> None:
        try:
            child = Child(self._orders(action.place, action.number), self._sockets)
        except OSError as error:  # no more processes or descriptors: the back-off tries again
            how = f"could not be started: {error.strerror or error}"
            self._supervisor.note_gone(action.number, how, time.monotonic())
            return
        self._children[action.number] = child
        self._supervisor.note_started(action.number, child.pid)
        if child.channel is not None:
            self._selector.register(child.channel, selectors.EVENT_READ, action.number)

    def _tell_changes(self) -> None:
        supervisor = self._supervisor
        members = tuple((one.number, one.phase) for one in supervisor.members.values())
        told = (supervisor.phase, supervisor.is_roll_queued, members)
        if self._tell is not None and told != self._told:
            self._told = told
            try:
                self._tell(self.state())
            except Exception:
                logger.exception("on_change has failed")

    def _end_all(self) -> None:
        """Kill what still runs, as after an error of the parent itself; wait for it."""
        for child in self._children.values():
            with contextlib.suppress(OSError):
                child.send_signal(signal.SIGKILL)
            child.close()
        for child in self._children.values():
            child.wait()


def _in_short(state: WorkersState) -> str:
    phases = ", ".join(
        f"worker {one.number} (process {one.pid}) {one.phase} {one.age:.0f} s, "
        f"{one.statistics.connections} connections"
        for one in state.workers
    )
    return (
        f"the parent is {state.phase}: {phases or 'no worker'}; {state.starts} starts, "
        f"{state.deaths} deaths, {state.rolls} rolls, {state.failed_rolls} failed rolls"
    )
