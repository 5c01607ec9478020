"""A worker as its parent has it: a process, its lifeline, and the pipe that it reports by."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from trio_wsendpoint.workers.messages import MOST, LineReader, Orders, encode
from trio_wsendpoint.workers.signals import blocked_signals

__all__ = ["Child", "python_command"]

#: Bytes that a read takes at most: no worker can keep the parent busy for long.
_READ = 1 << 16


def python_command() -> list[str]:
    """Return the command that starts this Python again, with the options that change what runs."""
    flags = sys.flags
    options = [f"-W{option}" for option in sys.warnoptions]
    options += ["-O"] * flags.optimize
    for is_set, option in (
        (flags.isolated, "-I"),
        (flags.ignore_environment, "-E"),
        (flags.no_user_site, "-s"),
        (flags.no_site, "-S"),
        (flags.dont_write_bytecode, "-B"),
        (flags.safe_path, "-P"),
        (flags.dev_mode, "-Xdev"),
    ):
        options += [option] if is_set else []
    return [sys.executable, *options]


def _start(lifeline: int, channel: int, sockets: Sequence[int]) -> subprocess.Popen[bytes]:
    command = [*python_command(), "-m", "trio_wsendpoint.workers", str(lifeline), str(channel)]
    # The child inherits that these signals are blocked: until it has said what each is to do, none
    # that the whole group gets can kill it.
    with blocked_signals():
        return subprocess.Popen(  # noqa: S603 - this very program
            command, stdin=subprocess.DEVNULL, pass_fds=[lifeline, channel, *sockets]
        )


class Child:
    """A worker's process, started.

    `channel`: the parent's end of the pipe for messages, which never blocks; None once it is of
    no use.  Raises `OSError` if no process can be started; then nothing is left.
    """

    def __init__(self, orders: Orders, sockets: Sequence[int]) -> None:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            lifeline, held = os.pipe()
            theirs.callback(os.close, lifeline)
            ours.callback(os.close, held)
            channel, other = socket.socketpair()
            theirs.enter_context(other)
            ours.enter_context(channel)
            channel.setblocking(False)
            self._process = _start(lifeline, other.fileno(), sockets)
            ours.pop_all()  # they are kept: see `close`
        self._lifeline = held
        self._reader = LineReader()
        self._unsent = bytearray()
        self.channel: socket.socket | None = channel
        self.write(orders.to_line())

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` is to be called when the channel can be written."""
        return bool(self._unsent)

    def poll(self) -> str | None:
        """Return how the process has ended, and reap it; None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        if status >= 0:
            return f"exited with status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"

    def wait(self) -> None:
        """Wait until the process has ended, and reap it."""
        self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(number)

    def read(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come; None at the end of the pipe.

        Raises `ValueError` for what is no message.
        """
        if self.channel is None:
            return None
        try:
            data = self.channel.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._reader.feed(data) if data else None

    def answer(self, make: Callable[[], dict[str, Any]]) -> None:
        """Send what `make` returns as soon as the worker takes it; nothing if it takes none."""
        if len(self._unsent) < MOST:
            self.write(encode(make()))

    def write(self, line: bytes) -> None:
        """Send bytes as soon as the worker takes them."""
        self._unsent += line
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the pipe takes it."""
        if self.channel is None:
            return
        try:
            while self._unsent:
                del self._unsent[: self.channel.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # its reader is gone, which `read` tells
            self._unsent.clear()

    def close_channel(self) -> None:
        """Close the pipe for messages."""
        channel, self.channel = self.channel, None
        self._unsent.clear()
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Close all that was its: the process has ended, or ends by that."""
        self.close_channel()
        held, self._lifeline = self._lifeline, -1
        if held >= 0:
            with contextlib.suppress(OSError):
                os.close(held)
