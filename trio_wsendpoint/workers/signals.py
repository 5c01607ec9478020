"""The signals of the parent: each becomes a byte in a pipe, which the loop reads."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Generator
from types import FrameType

__all__ = ["HANDLED", "blocked_signals", "signal_pipe"]

#: What the parent listens to; a worker must not be ended by one of them before it is ready.
HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)


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
        before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _ignore) for number in HANDLED}
        try:
            yield reading
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(before_fd)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe."""
