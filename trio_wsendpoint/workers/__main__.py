"""The process of a worker: `python -m trio_wsendpoint.workers LIFELINE CHANNEL`.

`serve_workers` starts it, with the numbers of two descriptors: the pipe whose end means that the
parent is gone, and the socket for messages, by which the orders come first.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import trio

from trio_wsendpoint.workers.lifeline import die_with_parent, hold_lifeline
from trio_wsendpoint.workers.log import set_up_log
from trio_wsendpoint.workers.messages import Orders
from trio_wsendpoint.workers.signals import HANDLED
from trio_wsendpoint.workers.target import Target
from trio_wsendpoint.workers.worker import Worker

__all__ = ["main"]

logger = logging.getLogger("trio_wsendpoint.workers")


def main(arguments: Sequence[str]) -> int:
    """Run one worker to its end; return the exit status, 0 if it was told to stop."""
    lifeline, number = map(int, arguments)
    os.set_inheritable(lifeline, False)
    os.set_inheritable(number, False)
    die_with_parent()
    hold_lifeline(lifeline)
    _set_signals()
    channel = socket.socket(fileno=number)
    orders = _read_orders(channel)
    for descriptor, _ in orders.sockets:
        os.set_inheritable(descriptor, False)
    sys.path[:] = orders.path
    set_up_log(orders.log, f"worker {orders.number}")
    try:
        function = Target(**orders.target).load()
        trio.run(Worker(orders, channel).run, function, *orders.arguments)
    except Exception:
        logger.exception("worker %d has failed", orders.number)
        return 1
    return 0


def _set_signals() -> None:
    """Leave to the parent what a whole group is sent; SIGTERM ends this process until Trio runs."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def _read_orders(channel: socket.socket) -> Orders:
    line = b""
    while not line.endswith(b"\n"):
        data = channel.recv(65536)
        if not data:
            sys.exit("the parent of this worker is gone")
        line += data
    return Orders.from_line(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
