"""A whole connection without I/O: endpoint, inbox, outbox, deadlines, and how it ends.

A `Session` is told what happens: bytes of the peer's come, the stream takes bytes, time passes,
the app asks for something.  It tells what is to be done: which bytes to write (`next_batch`),
when to be woken (`deadline`), what to do with the stream at the end (`ending`), and which waiting
tasks have something to look at (`take_wakes`).  It never waits and never raises what a stream
raised, so any loop can drive it.

Rule 1: after each call, the owner does what `take_wakes` says.
Rule 2: a callback of the user runs inside one step (`guard`).  If it raises, the error is logged
once and this connection is closed with 1011.  If it calls the session, `take_wakes` returns
nothing until the step has ended: the owner acts then, and what is half written is finished first.
"""

from __future__ import annotations

from trio_wsendpoint.errors import UnexpectedEOF
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.session.deadlines import Due
from trio_wsendpoint.session.ending import Outcome, tell_loss, tell_outcome
from trio_wsendpoint.session.guard import Logger
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.lifecycle import Lifecycle
from trio_wsendpoint.session.outbox import Batch
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.pings import Ping
from trio_wsendpoint.session.signals import Ending, Need, Owner, Wake
from trio_wsendpoint.session.statistics import (
    ConnectionStatistics,
    Counts,
    cause_of,
    code_of,
    fields_of,
)

__all__ = ["Ending", "Logger", "Need", "Owner", "Session", "Wake"]

_OPEN = Phase.OPEN
#: The app, by what it asks for; with any other wish it is present.
_OWNERS = {Wish.DISMISSED: Owner.DISMISSED, Wish.GONE: Owner.GONE}


class Session(Lifecycle):
    """One connection at work, around an `endpoint` made with `hold_end=True`.

    `half_closes`: the stream can end our bytes and still read.  `now`: the time, in seconds, by
    the owner's clock; all other times are by the same one.  `logger`: where a failure is logged.

    What it holds: `inbox`, `outbox`, `intake`, `pings`.  How far it is: `phase`, `owner`,
    `failure` (what a callback raised, which ended it).  Raises `ValueError` for an endpoint made
    without `hold_end=True`.
    """

    __slots__ = ("farewell", "opened_at")

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        now: float,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        heartbeat: Heartbeat | None = None,
        half_closes: bool = True,
        logger: Logger | None = None,
    ) -> None:
        if not endpoint.holds_end:
            found = type(endpoint).__name__
            raise ValueError(f"a Session needs an endpoint made with hold_end=True, not {found}")
        super().__init__(
            endpoint,
            now=now,
            limits=limits or Limits(),
            timeouts=timeouts or Timeouts(),
            heartbeat=heartbeat,
            half_closes=half_closes,
            logger=logger,
        )
        # The code and reason with which its block closes it: those of a server that stops, once
        # `dismiss` was given them.
        self.farewell: tuple[int, str] = (CloseCode.SUCCESS, "")
        self.opened_at = now

    # ---- from the stream ---------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take the next bytes of the peer's; `b""` is their end.  `advance` handles them."""
        self.guard(self.intake.take, data, now)
        if (not data or self.phase is not _OPEN) and self.intake.is_eof:
            self._settle(now)
            self.wakes |= Wake.PHASE

    def lose(self, error: Exception, now: float) -> None:
        """Note that the stream broke with `error` when it was read."""
        lost = UnexpectedEOF(tell_loss(error))
        lost.__cause__ = error
        self._fail_with(lost)
        self._settle(now)
        self.wakes |= Wake.PHASE | Wake.RECEIVER

    def advance(self, now: float) -> Need:
        """Handle some of what has come; return what reading needs to go on."""
        self._now = now
        progress = self.guard(self.intake.pump, now)
        if progress is Progress.HELD and (
            self.phase is not _OPEN or self._held_end().may_take_effect(now, self.handed_over)
        ):
            self.guard(self.endpoint.release_end)
            progress = Progress.HANDLED
        self._settle(now)
        if self.inbox.has_answer:
            self.wakes |= Wake.RECEIVER
        need = self._need_of(progress, now)
        if need is not Need.APP:
            self._resume(now)
        return need

    def _need_of(self, progress: Progress | None, now: float) -> Need:
        if self.phase is Phase.OVER:
            return Need.END
        if progress is Progress.ENDED or not (
            self.endpoint.is_open or self.endpoint.closing.expects_frames
        ):
            return Need.END if self.intake.is_eof else Need.DATA
        if progress is Progress.HELD:
            self._set(Due.ANSWER, self._held_end().due(self.handed_over))
        elif progress is Progress.NEED_DATA:
            return Need.DATA
        elif not self.intake.is_full:
            return Need.TURN
        self._pause(now)
        return Need.APP

    # ---- to the stream -----------------------------------------------------------------------

    def next_batch(self, now: float) -> Batch | None:
        """Return what is to be written next, or None; `note_sent` tells what became of it.

        Raises `RuntimeError` before all of the last batch was taken.
        """
        self._now = now
        if self.outbox.unsent:
            raise RuntimeError("the stream has not taken all of the last batch: note_sent() first")
        if self.outbox.end is not None:
            return None
        batch = self.outbox.next_batch()
        if batch is not None:
            self.wakes |= Wake.SENDERS  # what was handed out makes room in the queue
        return batch

    def note_sent(self, count: int, now: float) -> None:
        """Note that the stream took `count` bytes of what it was given."""
        outbox = self.outbox
        outbox.note_sent(count)
        if outbox.unsent:
            if self._deadlines.note_rest(count, now):
                self.wakes |= Wake.DEADLINE
            return
        if self._deadlines.progress_at <= now:
            self._deadlines.note_written()
        self.wakes |= Wake.SENDERS
        # `before_send_frame` may have closed, or raised, as a frame was taken out.
        if self.phase is not _OPEN or not self.endpoint.closing.is_open:
            self._settle(now)

    def lose_writing(self, error: Exception, now: float) -> None:
        """Note that the stream broke with `error` when it was written to.

        What the peer said before can still be read.
        """
        self.outbox.fail(error)
        self._settle(now)

    # ---- from the app ------------------------------------------------------------------------

    def ask(self, wish: Wish) -> None:
        """Note what the app asks for: the rest of a message, or the peer's end, may then come."""
        self.inbox.ask(wish)
        if not self.intake.is_drained:
            self.wakes |= Wake.READER

    def take(self, now: float) -> Message | None:
        """Return the oldest message that was received, or None."""
        was_paused = not self.intake.is_drained and self.is_paused  # the cheap half first
        message = self.inbox.take()
        if message is not None:
            self.handed_over = now
            self.taken += 1
            if was_paused:
                self._make_room(now)
        return message

    def take_next(self, now: float, data: bytes = b"") -> Message | None:
        """Return the next message past the inbox, which is empty, for an app that asks for one.

        `data` has come now, as for `receive_data`.  None if the step makes no message: `advance`.
        """
        # `guard` in place: to call it costs a tenth of a message's instructions.
        outer, self.is_in_step = self.is_in_step, True
        try:
            message = self.intake.step(now, data)
            if isinstance(message, Message):
                self.handed_over = now
                self.taken += 1
                return message
        except Exception as error:  # noqa: BLE001 - the user's, whatever it is
            self.fail_internally(error)
        finally:
            self.is_in_step = outer
        self._settle(now)
        return None

    def take_part(self, now: float) -> bytes:
        """Return what has come of the message that is coming in."""
        was_paused = self.is_paused
        part = self.endpoint.incoming.take_part()
        if part:
            self.handed_over = now
        if was_paused:  # what was taken may be the beginning of a character, and no part
            self._make_room(now)
        return part

    def _make_room(self, now: float) -> None:
        """Let reading go on, which had stopped for the app, if there is room for it."""
        self.wakes |= Wake.READER
        if self.endpoint.held is None and not self.intake.is_full:
            self._resume(now)

    def skip_message(self) -> None:
        """Drop the rest of the message that is coming in, or that waits."""
        if not self.inbox.skip():
            self.endpoint.incoming.skip()
        self.wakes |= Wake.READER

    def send(self, value: str | Buffer | SharedMessage, *, compress: bool) -> None:
        """Queue a message.  Raises as `Endpoint.send_message`; then nothing was queued."""
        self.endpoint.send_message(value, compress=compress)
        self.note_queued()

    def note_queued(self) -> None:
        """Note that a message was queued with the endpoint."""
        self.outbox.note_queued()
        self.wakes |= Wake.WRITER

    def begin_message(self, kind: str, *, compress: bool) -> None:
        """Begin a message that is sent in chunks."""
        self.endpoint.begin_message(kind, compress=compress)

    def send_chunk(self, chunk: str | Buffer, *, final: bool = False) -> None:
        """Queue the next chunk; `final` ends the message."""
        self.endpoint.send_chunk(chunk, final=final)
        if final:
            self.outbox.note_queued()
        self.wakes |= Wake.WRITER | Wake.SENDERS

    def leave_message(self, now: float) -> None:
        """Give up a message in chunks: if one of them has left, the connection ends with 1011.

        Half a message must not be taken for a whole one, and cannot be taken back.
        """
        if self.endpoint.is_open and not self.endpoint.cancel_message():
            reason = "a message was left unfinished"
            self.guard(self.endpoint.close, CloseCode.INTERNAL_ERROR, reason)
        self._settle(now)
        self.wakes |= Wake.SENDERS

    def ping(self, now: float) -> tuple[bytes, Ping]:
        """Queue a ping; return its payload and what tells its outcome."""
        payload = self.endpoint.ping()
        ping = Ping(payload, now + self._timeouts.ping)
        self.pings.add(payload, ping)
        self.wakes |= Wake.WRITER | Wake.DEADLINE
        return payload, ping

    def close(self, code: int | None, reason: str, now: float) -> None:
        """Close for the app, which is gone then: what was received and not taken is dropped."""
        self.inbox.leave()
        self.wakes |= Wake.RECEIVER | Wake.READER
        if self.endpoint.is_open:
            self.guard(self.endpoint.close, code, reason)
        self._settle(now)

    def dismiss(self, code: int, reason: str) -> bool:
        """Let the app say goodbye, because its server stops; False if it cannot be told.

        It can if a task waits for a message, which then gets an error instead.
        """
        if not (self.is_open and self.inbox.is_receiver_waiting):
            return False
        self.farewell = code, reason
        self.inbox.dismiss()
        self.wakes |= Wake.RECEIVER | Wake.READER
        return True

    def abort(self, why: str, now: float) -> None:
        """Give up the connection: the stream is to be closed at once.  Safe at any time."""
        self._abort_with(UnexpectedEOF(why), now)

    # ---- what it tells -----------------------------------------------------------------------

    @property
    def owner(self) -> Owner:
        """What the app does with the connection."""
        return _OWNERS.get(self.inbox.wish, Owner.PRESENT)

    def outcome(self, *, sending: bool = False, is_cut_short: bool = False) -> Outcome:
        """Tell how the connection ended, or is ending.

        `sending`: to a caller that had something to send.  `is_cut_short`: to one that has half a
        message.  For both an orderly end of the peer's is a loss.
        """
        return tell_outcome(
            self.endpoint.closing,
            is_closed_locally=self.inbox.wish is Wish.GONE,
            is_dismissed=self.inbox.wish is Wish.DISMISSED,
            failure=self.failure,
            broken=self.outbox.error,
            may_be_orderly=not (sending or is_cut_short),
        )

    def statistics(self, now: float, *, waiting_senders: int = 0) -> ConnectionStatistics:
        """Return what the connection has done and holds, as an immutable object."""
        closing = self.endpoint.closing
        until = min(now, self.ended_at)
        return ConnectionStatistics(
            inbox_messages=len(self.inbox.messages),
            inbox_bytes=self.inbox.size,
            write_queue_frames=self.outbox.queued_frames,
            write_queue_bytes=self.outbox.queued_bytes,
            tasks_waiting_send=waiting_senders,
            round_trip=self.pings.round_trip,
            opened=self.opened_at,
            age=until - self.opened_at,
            close_code=code_of(closing),
            close_cause=cause_of(closing),
            **fields_of(self.counts()),
        )

    def counts(self) -> Counts:
        """Return what the connection has counted."""
        sent, received = self.outbox, self.intake
        numbers = (sent.messages, self.taken, sent.bytes_sent, received.bytes_received)
        return Counts(*numbers, self.endpoint.traffic)
