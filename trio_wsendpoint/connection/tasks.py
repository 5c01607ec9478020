"""What runs behind one connection, as its app sees it: the end, and what it tells."""

from __future__ import annotations

import trio

from trio_wsendpoint.connection.closed import ConnectionClosed, closed_by
from trio_wsendpoint.connection.drive import Drive
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.session.ending import How
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Owner

__all__ = ["Tasks"]

#: Turns that the writer task gets for the goodbye of a cancelled owner.
GOODBYE_TURNS = 6
#: Turns in which bytes that are here are read, after a write has failed.
LAST_WORD_TURNS = 6

_OVER = Phase.OVER


class Tasks(Drive):
    """What runs behind one `Connection`: `session`, and the tasks that drive it.

    The arguments and attributes are those of `Drive`.
    """

    __slots__ = ()

    @trio.lowlevel.enable_ki_protection
    def dismiss(self, code: int, reason: str) -> bool:
        """Tell the app that its server stops: it receives no more, but may say goodbye.

        Returns False, and does nothing, if no task waits in `receive()` that could be told.
        """
        is_told = self.session.dismiss(code, reason)
        if is_told:
            self.reader.interrupt()
        self.act()
        return is_told

    async def end(self) -> None:
        """Return when the stream is closed; read until then, if no other task does."""
        if self.session.phase is not _OVER:
            has_waited = await self.reader.lead_to_the_end()
            if self._is_over:
                if not has_waited:
                    await trio.lowlevel.checkpoint_if_cancelled()
                return
        await self.wait_ended()

    @property
    def _is_over(self) -> bool:
        """Whether the stream is closed."""
        return self.session.phase is _OVER

    async def wait_ended(self) -> None:
        """Wait until the stream is closed."""
        if self.session.phase is _OVER:
            await trio.lowlevel.checkpoint()
        while self.session.phase is not _OVER:
            self.reader.call()
            await self.waits.wait_for_end()

    async def wait_told(self) -> None:
        """Give a task turns to read what the peer said last, after a write has failed."""
        session = self.session
        for _ in range(LAST_WORD_TURNS):
            if session.phase is not Phase.CLOSING or not session.endpoint.is_open:
                return
            self.reader.call()
            await trio.lowlevel.checkpoint()

    async def say_goodbye(self) -> None:
        """End a connection whose owner was cancelled: tell the peer if that takes no waiting."""
        session = self.session
        is_dismissed = session.owner is Owner.DISMISSED
        code, reason = session.farewell if is_dismissed else (CloseCode.ENDPOINT_UNAVAILABLE, "")
        session.close(code, reason, trio.current_time())
        self.act()
        with trio.CancelScope(shield=True):
            # The writer gets a few turns; if the stream takes the frame at once, they suffice.
            for _ in range(GOODBYE_TURNS):
                await trio.lowlevel.checkpoint()
            self.abort()
            await self.wait_ended()

    def error(self, *, sending: bool = False, is_cut_short: bool = False) -> ConnectionClosed:
        """Make the exception that says how the connection ended."""
        outcome = self.session.outcome(sending=sending, is_cut_short=is_cut_short)
        self._is_told = self._is_told or outcome.how is How.LOST
        return closed_by(outcome, self.endpoint.closing)

    def check_all_sent(self) -> None:
        """Raise `ConnectionLost` if messages could not be sent, and the app knows of no loss."""
        if self.session.outbox.dropped and not self._is_told:
            self._is_told = True
            raise self._loss()
