"""The task that reads while no task of the app does: see `reader`, which tells when."""

from __future__ import annotations

from typing import Protocol

import trio

from trio_wsendpoint.connection.inlet import Found, Inlet, tell_loss
from trio_wsendpoint.connection.waits import Driver
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Need, Session
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["ReaderTask", "let_others_run"]

_OVER = Phase.OVER
_TURN, _APP_NEEDED, _END = Need.TURN, Need.APP, Need.END
_NOTHING, _ALL, _SOME = Found.NOTHING, Found.ALL, Found.SOME


async def let_others_run(session: Session) -> None:
    """Give the other tasks a turn, and the writer as many as a pong needs to leave."""
    await trio.lowlevel.checkpoint()
    while session.intake.give_pong_a_turn():
        await trio.lowlevel.checkpoint()


class Leasing(Protocol):
    """What tells which task reads, as the reader task sees it."""

    @property
    def has_called(self) -> bool:
        """Whether the reader task is to read."""
        ...

    def hand_over(self) -> bool:
        """Give the lease back if the app has what it waits for, and can read."""
        ...

    def drop_lease(self) -> None:
        """Give the lease back, if the reader task has it."""
        ...


class ReaderTask:
    """Reads for one connection, from `inlet` or else from `stream`, while `reader` gives a lease.

    `driver` does what the session asks for.
    """

    __slots__ = ("_clock", "_driver", "_inlet", "_reader", "_session", "_stream", "_work")

    def __init__(
        self,
        session: Session,
        stream: trio.abc.Stream,
        inlet: Inlet | None,
        *,
        reader: Leasing,
        driver: Driver,
    ) -> None:
        self._session = session
        self._stream = stream
        self._inlet = inlet
        self._reader = reader
        self._driver = driver
        self._clock = trio.lowlevel.current_clock()
        self._work = Waiter()  # the task waits here while it has nothing to do

    def wake(self) -> None:
        """Look again: it was called, or the app took something, or asks for more."""
        self._work.wake()

    async def run(self) -> None:
        """Read while called, until nothing more will be read."""
        session, inlet, reader = self._session, self._inlet, self._reader
        found = _SOME
        try:
            while session.phase is not _OVER:
                if not reader.has_called:
                    await self._work.wait()
                    continue
                need = session.advance(self._clock.current_time())
                self._driver.act()
                if need is _END:
                    return
                if reader.hand_over():
                    continue
                if need is _APP_NEEDED:
                    await self._work.wait()
                elif need is _TURN:
                    await let_others_run(session)
                elif inlet is None:
                    await self._receive()
                elif found is _ALL or (found := inlet.read()) is _NOTHING:
                    await inlet.wait_readable()
                    found = _SOME
                elif inlet.is_turn_over():
                    await trio.lowlevel.checkpoint()
        finally:
            reader.drop_lease()

    async def _receive(self) -> None:
        """Wait for the next bytes of a stream that has to wait."""
        session = self._session
        try:
            data = bytes(await self._stream.receive_some(session.intake.wanted))
        except Exception as error:  # noqa: BLE001 - it is told to the session
            tell_loss(session, error, self._clock.current_time())
        else:
            session.receive_data(data, self._clock.current_time())
