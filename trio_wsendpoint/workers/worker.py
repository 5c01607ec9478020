"""A worker, as its `main` is given it."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator
from typing import Unpack

import trio

from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.server.listen import Listen
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import serve_endpoint
from trio_wsendpoint.server.settings import ServeOptions
from trio_wsendpoint.workers.link import Link
from trio_wsendpoint.workers.messages import Orders
from trio_wsendpoint.workers.metrics import WorkerMetrics
from trio_wsendpoint.workers.state import WorkersState
from trio_wsendpoint.workers.sums import Report, add_reports
from trio_wsendpoint.workers.target import WorkerMain

__all__ = ["Worker"]


class Worker:
    """One of several processes that serve the same sockets: made by `serve_workers`.

    `place`: which of the workers this is, from 0; a worker that replaces it has the same.
    `number`: its own, which no other gets, and which the log names it by.  `listen`: the shared
    sockets, for a server's `listen=`.  `drain`: over how many seconds it says goodbye.
    `metrics`: an instrument, which `serve` adds to a server's.
    """

    def __init__(self, orders: Orders, channel: socket.socket) -> None:
        self.place = orders.place
        self.number = orders.number
        self.drain = orders.drain
        self.listen: tuple[Listen, ...] = tuple(
            Listen(f"fd:{number}", ssl_context="server's" if is_tls else None)
            for number, is_tls in orders.sockets
        )
        self.metrics = WorkerMetrics()
        self._link = Link(channel, self._report)
        self._servers: list[EndpointServer] = []
        self._stopping = trio.Event()
        self._is_ready = False  # `attend` was called, and the parent was told
        self._scope = trio.CancelScope()  # of `main`, which ends at once if it is not ready

    def __repr__(self) -> str:
        return f"<Worker {self.number}, place {self.place}>"

    @trio.lowlevel.enable_ki_protection
    async def serve(self, handler: Handler, **options: Unpack[ServeOptions]) -> None:
        """Serve `handler` on the shared sockets until this worker is told to stop; then drain.

        The parent is told that this worker is ready as soon as the server listens.  The options
        are those of `serve_endpoint`; `listen=` and a port are the parent's.

        If cancelled: the connections are closed in order, within `Timeouts.grace` seconds.
        Raises: as `serve_endpoint`.
        """
        given = {**options, "instruments": [*options.get("instruments", ()), self.metrics]}
        whole: ServeOptions = {**given, "listen": self.listen}  # type: ignore[typeddict-item]
        async with serve_endpoint(handler, **whole) as server:
            await self.attend(server)

    @trio.lowlevel.enable_ki_protection
    async def attend(self, server: EndpointServer) -> None:
        """Say that this worker is ready, wait until it is told to stop, and drain `server`.

        For a server that was started otherwise than by `serve`, with `listen=worker.listen` and
        `instruments=[worker.metrics]`.  Its connections are closed with 1012, each at a moment
        within `drain` seconds.  Returns when the server is closed, earlier if it was closed
        otherwise.

        If cancelled: the server stays as it is, or goes on draining.
        Raises: nothing.
        """
        self._servers.append(server)
        if not self._is_ready:
            self._is_ready = True
            self._link.say(ready=True)
        async with trio.open_nursery() as nursery:

            async def wait_closed() -> None:
                await server.wait_closed()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait_closed)
            await self._stopping.wait()
            await server.drain(over=self.drain, code=CloseCode.SERVICE_RESTART)

    async def wait_stopping(self) -> None:
        """Wait until this worker is told to stop.

        If cancelled: nothing changes.
        Raises: nothing.
        """
        await self._stopping.wait()

    async def fetch_state(self) -> WorkersState:
        """Ask the parent for its state, and the sums over all workers.

        The numbers of the other workers are up to a second old, more with some thousand
        connections.  Waits while the parent does not answer.

        If cancelled: the answer is dropped.
        Raises: nothing.
        """
        return await self._link.ask()

    # ---- its process -------------------------------------------------------------------------

    async def run(self, main: WorkerMain, *arguments: str) -> None:
        """Run `main(self, *arguments)` to its end; SIGTERM tells it to stop.

        The process of the worker calls this.  A worker that is told to stop before it is ready is
        cancelled.

        If cancelled: `main` is cancelled.
        Raises: what `main` raises.
        """
        failure: BaseException | None = None
        try:
            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._link.run)
                    nursery.start_soon(self._listen, signals)
                    try:
                        with self._scope:
                            await main(self, *arguments)
                    except (Exception, SystemExit) as error:  # noqa: BLE001 - raised below
                        failure = error
                    nursery.cancel_scope.cancel()
        finally:
            await self._link.finish()
        if failure is not None:
            raise failure

    async def _listen(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            self._stopping.set()
            if not self._is_ready:
                self._scope.cancel()

    def _report(self) -> Report:
        reports = [Report(server.statistics()) for server in self._servers]
        return Report(add_reports(reports).statistics, self.metrics.snapshot())
