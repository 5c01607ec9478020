"""The way in: `serve_workers`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Unpack

import trio

from trio_wsendpoint.entries.arguments import check_async_function
from trio_wsendpoint.entries.option_texts import check_options, tell_options
from trio_wsendpoint.server.listeners import open_each
from trio_wsendpoint.server.listening import close_listeners, texts_of
from trio_wsendpoint.workers.log import set_up_log
from trio_wsendpoint.workers.messages import Orders
from trio_wsendpoint.workers.parent import Parent
from trio_wsendpoint.workers.settings import WorkersOptions, WorkersSettings
from trio_wsendpoint.workers.supervisor import Pace, Supervisor
from trio_wsendpoint.workers.target import Target, WorkerMain

__all__ = ["WorkersFailed", "serve_workers"]

logger = logging.getLogger("trio_wsendpoint.workers")


class WorkersFailed(Exception):
    """No worker became ready; the text says why the last one did not."""


@tell_options(WorkersSettings, WorkersOptions)
def serve_workers(main: WorkerMain | str, **options: Unpack[WorkersOptions]) -> signal.Signals:
    """Serve with several processes, until SIGTERM or SIGINT; return which it was.

    `main`: what each worker runs, `async def main(worker)`, which calls `worker.serve(handler)`.
    It is found again by its name in each worker's own process, so it stands at the top of a
    module; or is a text, as `"app:main"`, and then the parent does not import the app.

    The parent opens the sockets once; the workers share them.  SIGHUP replaces every worker by a
    new one, in which the app is imported anew.  SIGTERM and SIGINT drain and end all; a second one
    kills.  SIGUSR1 writes the state to the log.  A worker that dies is replaced.  If the parent
    dies, its workers end at once.

    Call it in the main thread, under `if __name__ == "__main__"`, and not inside `trio.run`.  It
    sets up the log unless the root logger has a handler.

    Raises: `ValueError` or `TypeError` for arguments; `RuntimeError` if it is called elsewhere;
    `OSError`, which names the address, if it cannot be listened on; `WorkersFailed` if each of the
    first workers has failed before it was ready.
    """
    check_options("serve_workers()", options, WorkersSettings, {}, "main")
    settings = WorkersSettings(**options)
    target = Target.of(main)
    if not isinstance(main, str):
        check_async_function("main", main, "worker", *settings.arguments)
    _check_where()
    log = None if settings.log is None else os.path.abspath(settings.log)
    set_up_log(log, "parent")
    opened = trio.run(open_each, settings.listens, settings.backlog, logger)
    listeners = [one for some in opened for one in some]
    try:
        sockets = [
            (one.socket.fileno(), listen.ssl_context is not None)
            for listen, some in zip(settings.listens, opened, strict=True)
            for one in some
        ]
        return _run(settings, target, log, sockets, texts_of(listeners))
    finally:
        trio.run(close_listeners, listeners, logger)


def _check_where() -> None:
    """Raise `RuntimeError` unless signals can be handled here, and nothing else runs."""
    if os.name != "posix":
        raise RuntimeError("workers share sockets by number, which only POSIX systems do")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve_workers() handles signals: call it in the main thread")
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("serve_workers() waits without Trio: call it outside of trio.run()")


def _run(
    settings: WorkersSettings,
    target: Target,
    log: str | None,
    sockets: Sequence[tuple[int, bool]],
    addresses: Sequence[str],
) -> signal.Signals:
    def orders(place: int, number: int) -> Orders:
        return Orders(
            place=place,
            number=number,
            target=target.to_message(),
            arguments=list(settings.arguments),
            sockets=list(sockets),
            drain=settings.drain,
            log=log,
            path=[os.path.abspath(entry) for entry in sys.path],
        )

    pace = Pace(
        ready=settings.ready,
        settle=settings.settle,
        stop=settings.stop_within,
        backoff=settings.backoff,
    )
    supervisor = Supervisor(settings.count, pace)
    numbers = [number for number, _ in sockets]
    logger.info("%d workers on %s", settings.count, ", ".join(addresses))
    ended_by = Parent(supervisor, orders, numbers, addresses, settings.on_change).run()
    if ended_by is None:
        raise WorkersFailed(supervisor.failure or "no worker became ready")
    return ended_by
