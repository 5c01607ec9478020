"""Bytes of a stream that need not wait, into the session, without waiting: whichever task reads."""

from __future__ import annotations

from enum import Enum

import trio

from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.session.intake import READ_SIZE
from trio_wsendpoint.session.session import Need, Session
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["Found", "Inlet", "tell_loss"]

#: Reads from a stream that always has more, before other tasks get a turn.
READS = 8


class Found(Enum):
    """What a read has found.

    `NOTHING`: nothing is here.  `ALL`: all that was here, for it was less than was asked for: wait
    before the next read.  `SOME`: there may be more; or an end or a loss, which the session knows.
    """

    __hash__ = object.__hash__

    NOTHING = "nothing"
    ALL = "all that was here"
    SOME = "something"


_NOTHING, _ALL, _SOME = Found.NOTHING, Found.ALL, Found.SOME


def tell_loss(session: Session, error: Exception, now: float) -> None:
    """Tell the session that reading broke with `error`, or raised what no stream should."""
    if not isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError)):
        session.fail_internally(error)
    session.lose(error, now)


class Inlet:
    """Reads from `transport` for one session; an error of the stream is told to the session.

    `misses`: reads in succession, of those for one message, that found nothing.
    """

    __slots__ = (
        "_clock",
        "_intake",
        "_parser",
        "_reads",
        "_session",
        "misses",
        "transport",
    )

    def __init__(self, session: Session, transport: NonBlockingStream) -> None:
        self._session = session
        self._intake = session.intake
        self._parser = session.endpoint.parser
        self._clock = trio.lowlevel.current_clock()
        self.transport = transport
        self.misses = 0
        self._reads = 0  # without a wait between them

    # ---- one message -------------------------------------------------------------------------

    def read_message(self, *, has_waited: bool = False) -> Message | None:
        """Read what is here; return the next message if it has come whole.

        Anything else that came has been given to the session.  `has_waited`: the caller has
        waited for the stream, and `note_wait` is done here.
        """
        if has_waited:
            self._reads = 0
        if self._parser.remaining:
            return None  # what comes is the rest of a large one, which has a place of its own
        try:
            data = self.transport.receive_nowait(READ_SIZE)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self.fail(error)
            return None
        if not data:
            if data is None:
                self.misses += 1
            else:
                self._session.receive_data(data, self._clock.current_time())
            return None
        if not has_waited:
            self.misses = 0
        if len(data) == READ_SIZE and 0 < (lacking := self._parser.lacking(data)) <= READ_SIZE:
            return self._read_whole(data, lacking)
        return self._session.take_next(self._clock.current_time(), data)

    def _read_whole(self, data: bytes, lacking: int) -> Message | None:
        """Return the message that begins with `data` and lacks a little, if the rest is here.

        The session is given `data` before it is told of an end, or of a loss.
        """
        session, now = self._session, self._clock.current_time()
        try:
            more = self.transport.receive_nowait(lacking)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            session.receive_data(data, now)
            self.fail(error)
            return None
        if more == b"":
            session.receive_data(data, now)
            session.receive_data(more, now)
            return None
        return session.take_next(now, data + (more or b""))

    # ---- whatever comes ----------------------------------------------------------------------

    def read(self) -> Found:
        """Read what is here."""
        session = self._session
        # The larger part of a large message goes straight to where it will stay.
        room = session.intake.get_room()
        if room is not None:
            return self._read_into(room)
        asked = session.intake.wanted
        try:
            data = self.transport.receive_nowait(asked)
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self.fail(error)
            return _SOME
        if data is None:
            return _NOTHING
        session.receive_data(data, self._clock.current_time())
        return _ALL if 0 < len(data) < asked else _SOME

    def _read_into(self, room: memoryview | None) -> Found:
        """Read into the session's room while there is some.

        No more at once than `READS` reads and one room: other tasks want their turn.
        """
        session, came = self._session, 0
        while room is not None:
            asked = len(room)
            try:
                with room:
                    size = self.transport.receive_into_nowait(room)
            except Exception as error:  # noqa: BLE001 - it is told to the session
                self.fail(error)
                return _SOME
            now = self._clock.current_time()
            if size is None:
                return _ALL if came else _NOTHING
            if size == 0:
                session.receive_data(b"", now)
                return _SOME
            session.intake.fill_room(size, now)
            came += size
            if size < asked:
                return _ALL
            room = None if came > READS * READ_SIZE else session.intake.get_room()
        return _SOME

    def read_rest(self) -> None:
        """Read what the peer has said, after the stream broke when it was written to."""
        session = self._session
        need, found = Need.DATA, _SOME
        while session.endpoint.is_open and need in {Need.DATA, Need.TURN}:
            if need is Need.DATA:
                if found is _ALL:
                    return
                found = self.read()
                if found is _NOTHING:
                    return
            need = session.advance(self._clock.current_time())

    # ---- what the reading task tells it ------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Tell the session that the stream broke, or raised what no stream should."""
        tell_loss(self._session, error, self._clock.current_time())

    def note_wait(self) -> None:
        """Note that the task waits for the stream, or has waited."""
        self._reads = 0

    def is_turn_over(self) -> bool:
        """Count a read without a wait; return whether other tasks get their turn now."""
        self._reads = (self._reads + 1) % READS
        return self._reads == 0

    async def wait_readable(self) -> None:
        """Wait until there is something to read, the end and a loss included."""
        try:
            await self.transport.wait_readable()
        except Exception as error:  # noqa: BLE001 - it is told to the session
            self.fail(error)
        self._reads = 0
