"""What a signal does: the first ends the run in order, the second at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Awaitable, Callable, Generator

import trio

from trio_wsendpoint.cli.outcome import Outcome, Status

__all__ = ["Program", "Stop", "run_program"]

#: Seconds that ending in order may take after a signal, unless a program takes longer.
PATIENCE = 1.0

_STATUSES = {signal.SIGINT: Status.INTERRUPTED, signal.SIGTERM: Status.TERMINATED}


class Stop:
    """Tells a program that it shall end.

    `status` is the one of the first signal, None before there was one.  Without `gently` a signal
    cancels the program.
    """

    def __init__(self) -> None:
        self.status: Status | None = None
        self.scope = trio.CancelScope()
        self._end: Callable[[], object] | None = None
        self._patience = PATIENCE

    @contextlib.contextmanager
    def gently(self, end: Callable[[], object], patience: float = PATIENCE) -> Generator[None]:
        """Call `end` at the first signal while the block runs, in place of cancelling.

        What it leads to may take `patience` seconds.
        """
        before = self._end, self._patience
        self._end, self._patience = end, patience
        try:
            yield
        finally:
            self._end, self._patience = before

    def note(self, status: Status) -> None:
        """Note a signal: end in order at the first, at once at the second."""
        if self.status is None and self._end is not None:
            self.status = status
            self._end()
            self.scope.deadline = trio.current_time() + self._patience
            return
        self.status = self.status or status
        self.scope.cancel()


#: A program of the command: it is told of signals, and returns how it ended.
Program = Callable[[Stop], Awaitable[Outcome]]


async def run_program(program: Program, stop: Stop | None = None) -> Outcome:
    """Run `program`; if a signal ended it, its outcome has the signal's status.

    Raises what the program raises.
    """
    stop = Stop() if stop is None else stop
    outcome: Outcome | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_listen, stop)
        with stop.scope:
            outcome = await program(stop)
        nursery.cancel_scope.cancel()
    line = None if outcome is None else outcome.line
    if stop.status is not None:
        return Outcome(stop.status, line)
    return outcome or Outcome(Status.INTERRUPTED)


async def _listen(stop: Stop, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*_STATUSES) as signals:
        task_status.started()
        async for number in signals:
            stop.note(_STATUSES[signal.Signals(number)])
