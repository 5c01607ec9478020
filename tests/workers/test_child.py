"""How a worker's process is started, and what is left when that cannot be done."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading

import pytest

from trio_wsendpoint.workers.child import Child, python_command
from trio_wsendpoint.workers.messages import Orders
from trio_wsendpoint.workers.signals import HANDLED, blocked_signals, signal_pipe

ORDERS = Orders(
    place=0, number=1, target={}, arguments=[], sockets=[], drain=0.0, log=None, path=[]
)


def fail(*arguments: object, **keywords: object) -> None:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("what", ["socketpair", "Popen"])
def test_nothing_is_left_if_no_process_can_be_started(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(socket if what == "socketpair" else subprocess, what, fail)
    with pytest.raises(OSError, match="Too many open files"):
        Child(ORDERS, [])
    # That no descriptor is left is looked at after each test.


def test_the_options_of_this_python_are_passed_on() -> None:
    code = "from trio_wsendpoint.workers.child import python_command; print(python_command()[1:])"
    options = ["-W", "error", "-O", "-B", "-X", "dev"]
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, check=True)
    told = done.stdout.decode()
    for option in ("-Werror", "-O", "-B", "-Xdev"):
        assert f"'{option}'" in told
    assert python_command()[0] == sys.executable


def test_signals_are_read_from_the_pipe_and_then_do_what_they_did() -> None:
    before = {number: signal.getsignal(number) for number in HANDLED}
    with signal_pipe() as pipe:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert pipe.recv(10) == bytes([signal.SIGTERM, signal.SIGHUP])
        with blocked_signals():
            # To this thread: another one, of an earlier test, would not keep it away.
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            with pytest.raises(BlockingIOError):
                pipe.recv(10)
        assert pipe.recv(10) == bytes([signal.SIGUSR1])
    assert {number: signal.getsignal(number) for number in HANDLED} == before
    assert signal.set_wakeup_fd(-1) == -1
