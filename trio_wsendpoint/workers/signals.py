"""The signals of the parent: each becomes a byte in a pipe, which the loop reads."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

__all__ = ["HANDLED", "blocked_signals", "signal_pipe"]

#: What the parent listens to; a worker must not be ended by one of them before it is ready.
HANDLED: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGCHLD")
    if hasattr(signal, name)  # Windows lacks some, and can import this
)


_Handler = Callable[[int, FrameType | None], Any] | int | None


@contextlib.contextmanager
def blocked_signals() -> Generator[None]:
    """Keep the signals of the parent away for the length of a block; then they come."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def signal_pipe() -> Generator[socket.socket]:
    """Write the number of each signal into a pipe for the length of a block; yield its end.

    Only the main thread can.  What the signals did before, they do again afterwards.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        # What does not fit into the pipe is lost: its reader has some thousand signals to read.
        before: dict[signal.Signals, _Handler] = {}
        before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            for number in HANDLED:
                before[number] = signal.getsignal(number)
                signal.signal(number, _ignore)
            yield reading
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(before_fd)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe."""
