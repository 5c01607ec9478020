"""The options of `serve`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from trio_wsendpoint.cli.arguments import ExampleCommand, seconds, telling_options
from trio_wsendpoint.cli.outcome import Outcome, Status, UsageFault
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.screen import Screen
from trio_wsendpoint.cli.serve import (
    DEFAULT_LISTEN,
    Serving,
    echo,
    find_handler,
    serve,
    server_context,
)
from trio_wsendpoint.cli.shell import Telling, ending, execute, guarded
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.workers import Fleet, serve_fleet
from trio_wsendpoint.server.access_log import AccessLog

__all__ = ["serve_command"]


@click.command(
    "serve",
    cls=ExampleCommand,
    examples=(
        "--echo",
        "app:handle --listen tcp:0.0.0.0:8765 --tls cert.pem:key.pem",
        "app:app --asgi --listen tcp:0.0.0.0:8000",
        "app:handle --workers 4 --listen tcp:0.0.0.0:8765  (SIGHUP: start new ones)",
        "app:handle --reload                         (while you write app.py)",
    ),
)
@click.argument("handler", required=False, metavar="[MODULE:HANDLER]")
@click.option("--echo", "is_echo", is_flag=True, help="Send back each message.")
@click.option("--asgi", "is_asgi", is_flag=True, help="HANDLER is an ASGI application.")
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="tcp:HOST:PORT, unix:/PATH, unix:@NAME, systemd: or fd:N. [default: tcp:localhost:8765]",
)
@click.option("--tls", metavar="CERT:KEY", help="Speak TLS with these files, in PEM.")
@click.option("--grace", type=seconds(), default=10.0, show_default=True, help="When it stops.")
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="So many processes.")
@click.option(
    "--drain",
    type=seconds(zero=True),
    default=20.0,
    show_default=True,
    help="Of a worker that stops: say goodbye to its connections over so many seconds.",
)
@click.option("--log", metavar="FILE", help="Of all workers. By default they write to stderr.")
@click.option(
    "--access-log",
    "access_format",
    type=click.Choice(["common", "json"]),
    help="Write a line for each connection and request to stderr.",
)
@click.option("--reload", "is_reloading", is_flag=True, help="Start again when a file changes.")
@telling_options
def serve_command(handler: str | None, **given: Any) -> int:
    """Serve `async def HANDLER(connection)` of MODULE until Ctrl-C or SIGTERM.

    With --asgi HANDLER is an ASGI application that runs on Trio, as of Starlette or FastAPI.

    The first signal closes all connections in order, a second one at once. With --workers SIGHUP
    replaces every worker by a new one.
    """
    return guarded(lambda: _serve(handler, given))


def _serve(handler: str | None, given: dict[str, Any]) -> int:
    telling = Telling(given)
    output = telling.output(Screen.of_process())
    if (handler is None) is not given["is_echo"]:
        raise UsageFault("give MODULE:HANDLER or --echo, one of them")
    if given["is_asgi"] and handler is None:
        raise UsageFault("--asgi wants MODULE:APPLICATION, as app:app")
    if given["workers"] is not None:
        return _serve_fleet(handler, given, telling, output)
    if given["log"] is not None:
        raise UsageFault("--log is for --workers: the log of one process is its stderr")
    serving = Serving(
        handler=echo if handler is None else find_handler(handler),
        is_asgi=given["is_asgi"],
        listen=given["listen"] or DEFAULT_LISTEN,
        context=None if given["tls"] is None else server_context(given["tls"]),
        grace=given["grace"],
        is_reloading=given["is_reloading"],
        access_log=None if given["access_format"] is None else AccessLog(given["access_format"]),
    )
    has_changed = False

    async def program(stop: Stop) -> Outcome:
        nonlocal has_changed
        has_changed = await serve(serving, output, stop)
        return Outcome(Status.DONE, "a file has changed" if has_changed else "closed")

    status = execute(
        program, output, debug=telling.debug, max_time=telling.max_time, log_level=logging.INFO
    )
    if has_changed:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very program
    return status


def _serve_fleet(
    handler: str | None, given: dict[str, Any], telling: Telling, output: Output
) -> int:
    if given["is_reloading"]:
        raise UsageFault("--reload is for one process: with --workers send SIGHUP")
    if telling.max_time is not None:
        raise UsageFault("--max-time is for one process: end --workers with SIGTERM")
    fleet = Fleet(
        handler=handler,
        is_asgi=given["is_asgi"],
        workers=given["workers"],
        listen=given["listen"] or DEFAULT_LISTEN,
        tls=given["tls"],
        grace=given["grace"],
        drain=given["drain"],
        log=given["log"],
        access=given["access_format"],
    )
    return ending(lambda: serve_fleet(fleet, output), output, debug=telling.debug)
