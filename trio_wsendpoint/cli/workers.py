"""`trio-wsendpoint serve --workers`: the parent's options, and what each worker runs."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

from trio_wsendpoint.asgi import Application, AsgiApp, LifespanError
from trio_wsendpoint.cli.outcome import Outcome, Status, UsageFault
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.serve import DEFAULT_LISTEN, echo, find_handler, server_context
from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.server.access_log import AccessLog
from trio_wsendpoint.server.settings import ServeOptions
from trio_wsendpoint.workers import ParentPhase, Worker, WorkersState, serve_workers

__all__ = ["Fleet", "main", "main_asgi", "serve_fleet"]

_STATUSES = {signal.SIGINT: Status.INTERRUPTED, signal.SIGTERM: Status.TERMINATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What several workers serve: `handler` as MODULE:HANDLER, None for an echo; `tls` as files.

    `is_asgi`: the handler is an ASGI application; each worker runs its lifespan.
    `access`: the format of the access log, None for none.
    """

    handler: str | None
    workers: int
    is_asgi: bool = False
    listen: Sequence[str] = DEFAULT_LISTEN
    tls: str | None = None
    grace: float = 10.0
    drain: float = 20.0
    log: str | None = None
    access: Literal["common", "json"] | None = None


def serve_fleet(fleet: Fleet, output: Output) -> Outcome:
    """Serve until a signal; return how it ended.

    Raises `OSError` for an address that cannot be listened on, `UsageFault` for options that make
    no sense, and `WorkersFailed` if no worker became ready.
    """
    if fleet.tls is not None:
        server_context(fleet.tls)  # the files are looked at once before any worker does
    logging.getLogger("trio_wsendpoint").setLevel(logging.INFO)
    teller = _Teller(fleet, output)
    try:
        ended_by = serve_workers(
            f"trio_wsendpoint.cli.workers:{'main_asgi' if fleet.is_asgi else 'main'}",
            workers=fleet.workers,
            listen=fleet.listen,
            arguments=[
                fleet.handler or "",
                fleet.tls or "",
                str(fleet.grace),
                fleet.access or "",
            ],
            drain=fleet.drain,
            stop=fleet.drain + fleet.grace + 5.0,
            log=fleet.log,
            on_change=teller.tell,
        )
    except (TypeError, ValueError) as error:
        raise UsageFault(str(error)) from error
    return Outcome(_STATUSES[ended_by], "closed")


async def main(worker: Worker, handler: str, tls: str, grace: str, access: str) -> None:
    """Serve in one worker; a fault of usage ends it with a line."""
    with _telling():
        found = find_handler(handler) if handler else echo
        await worker.serve(found, **_options(tls, grace, access))


async def main_asgi(worker: Worker, app: str, tls: str, grace: str, access: str) -> None:
    """Serve an ASGI application in one worker, as `main`; so does one that does not start."""
    with _telling():
        options = _options(tls, grace, access)
        try:
            application = AsgiApp(cast("Application", find_handler(app)))
        except TypeError as error:
            raise UsageFault(str(error)) from None
        async with application as asgi:
            options["process_request"] = asgi.opening
            options["http_handler"] = asgi.http
            await worker.serve(asgi.websocket, **options)


def _options(tls: str, grace: str, access: str) -> ServeOptions:
    options: ServeOptions = {"timeouts": Timeouts(grace=float(grace))}
    if access:
        options["access_log"] = AccessLog(cast("Literal['common', 'json']", access))
    if tls:
        options["ssl_context"] = server_context(tls)
    return options


@contextmanager
def _telling() -> Iterator[None]:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        yield
    except (UsageFault, LifespanError) as error:
        raise SystemExit(f"! {error}") from None


class _Teller:
    """Writes a line when the workers begin to serve, and when they stop."""

    def __init__(self, fleet: Fleet, output: Output) -> None:
        self._scheme = "ws" if fleet.tls is None else "wss"
        self._output = output
        self._told: set[ParentPhase] = set()

    def tell(self, state: WorkersState) -> None:
        if state.phase in self._told:
            return
        self._told.add(state.phase)
        if state.phase is ParentPhase.SERVING:
            for address in state.addresses:
                name = address.removeprefix("tcp:")
                url = address if name == address else f"{self._scheme}://{name}/"
                self._output.note(f"serving {url} with {state.ready} workers")
        elif state.phase is ParentPhase.STOPPING:
            count = state.statistics.connections
            self._output.note(f"closing {count} connection{'' if count == 1 else 's'} in order")
