"""The end of the stream: on the spot where that takes no waiting, else by a task."""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from trio_wsendpoint.connection.waits import Driver, Waits
from trio_wsendpoint.session.session import Ending, Session
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["Finisher"]


class EndingDriver(Driver, Protocol):
    """What drives a connection, as its finisher sees it."""

    def cancel_tasks(self) -> None:
        """Cancel the reader task and the writer task."""
        ...


class Finisher:
    """Ends and closes the stream of one connection.

    `driver` does what the session asks for.
    """

    __slots__ = (
        "_driver",
        "_patience",
        "_session",
        "_stream",
        "_transport",
        "_waits",
    )

    def __init__(
        self,
        session: Session,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        waits: Waits,
        *,
        driver: EndingDriver,
    ) -> None:
        self._session = session
        self._stream = stream
        self._transport = transport
        self._waits = waits
        self._driver = driver
        self._patience: trio.CancelScope | None = None  # what the task waits in; set by `start`

    # ---- without waiting ---------------------------------------------------------------------

    def end_ours(self) -> bool:
        """End our bytes, if that takes no waiting."""
        try:
            return self._transport is not None and self._transport.send_eof_nowait()
        except Exception as error:  # noqa: BLE001 - the stream is no good any more
            self._session.lose_writing(error, trio.current_time())
            return False

    def close(self) -> bool:
        """Close the stream, if that takes no waiting."""
        try:
            if self._transport is None or not self._transport.close_nowait():
                return False
        except Exception as error:  # noqa: BLE001 - what cannot be closed so is closed by force
            self._tell_odd_end(error)
            return False
        self._session.note_closed(trio.current_time())
        self._driver.cancel_tasks()
        return True

    # ---- the task ----------------------------------------------------------------------------

    def start(self, nursery: trio.Nursery | None) -> None:
        """Start the task in `nursery`, if there is one, unless it was started before."""
        if self._patience is None and nursery is not None:
            self._patience = trio.CancelScope(shield=True)
            nursery.start_soon(self.run, self._patience, name="trio_wsendpoint finisher")

    def hurry(self) -> None:
        """Make the task, if it runs, wait no longer."""
        if self._patience is not None:
            self._patience.cancel()

    @trio.lowlevel.enable_ki_protection
    async def run(self, patience: trio.CancelScope) -> None:
        """End a stream that has to wait for its end; raises no `Exception`."""
        session, stream = self._session, self._transport or self._stream
        try:
            with patience:
                if session.ending is Ending.END_OURS and isinstance(
                    self._stream, trio.abc.HalfCloseableStream
                ):
                    await self._stream.send_eof()
                    session.note_ours_ended(trio.current_time())
                    self._driver.act()
                while session.ending is Ending.READ:
                    await self._waits.wait_for_phase()
                if session.ending is Ending.CLOSE:
                    await stream.aclose()
        except Exception as error:  # noqa: BLE001 - of a stream: it is closed by force
            self._tell_odd_end(error)
        finally:
            session.stop()
            self._driver.cancel_tasks()
            try:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)
            except Exception as error:  # noqa: BLE001 - as above
                self._tell_odd_end(error)
            finally:
                session.note_closed(trio.current_time())
                self._driver.act()

    def _tell_odd_end(self, error: Exception) -> None:
        self._session.log(logging.DEBUG, "the stream could not be closed in order", error=error)
