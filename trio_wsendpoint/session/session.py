"""A whole connection without I/O: endpoint, inbox, outbox, deadlines, and how it ends.

A `Session` is told what happens: bytes of the peer's come, the stream takes bytes, time passes,
the app asks for something.  It tells what is to be done: which bytes to write (`next_batch`),
when to be woken (`deadline`), what to do with the stream at the end (`ending`), and which waiting
tasks have something to look at (`take_wakes`).  It never waits and never raises what a stream
raised, so any loop can drive it.

Rule 1: after each call, the owner does what `take_wakes` says.
Rule 2: a callback of the user runs inside one step (`guard`).  If it raises, the error is logged
once and this connection is closed with 1011.  If it calls the session, what it asks for is queued
and done when the step has ended.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from enum import Enum
from typing import TypeVar, TypeVarTuple, Unpack

from trio_wsendpoint.errors import PeerTooSlow, UnexpectedEOF
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.closing import State
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Buffer, Frame, PingFrame, PongFrame
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.session.beat import Beat
from trio_wsendpoint.session.ending import Outcome, tell_loss, tell_outcome
from trio_wsendpoint.session.inbox import Inbox, Wish
from trio_wsendpoint.session.intake import Intake
from trio_wsendpoint.session.outbox import Batch, Outbox
from trio_wsendpoint.session.phases import TRANSITIONS, Change, Phase
from trio_wsendpoint.session.pings import Ping, Pings
from trio_wsendpoint.session.statistics import (
    ConnectionStatistics,
    Counts,
    cause_of,
    code_of,
    fields_of,
)

__all__ = ["Ending", "Need", "Owner", "Session", "Wake"]

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]

_OPEN = Phase.OPEN


class Wake:
    """What has changed since `Session.take_wakes()` was called last, as bits of an int.

    `RECEIVER`, the lowest bit: there may be something for the task that waits in `receive()`.
    `READER`: reading may go on.  `WRITER`: there is something to write.  `SENDERS`: there may be
    room to send.  `PINGS`: a ping has an outcome.  `PHASE`: the phase, or `ending`, has changed.
    `DEADLINE`: the deadline has become earlier.
    """

    RECEIVER = 1
    READER = 2
    WRITER = 4
    SENDERS = 8
    PINGS = 16
    PHASE = 32
    DEADLINE = 64


class Need(Enum):
    """What reading needs to go on.

    `DATA`: more bytes.  `TURN`: nothing; other tasks should run first.  `APP`: the app, which has
    to take what came, or to answer it.  `END`: nothing more will be read.
    """

    __hash__ = object.__hash__

    DATA = "more bytes"
    TURN = "a turn of the other tasks"
    APP = "the app"
    END = "nothing more"


class Owner(Enum):
    """What the app does with the connection.

    `PRESENT`: it uses it.  `DISMISSED`: its server stops, and it may only say goodbye.  `GONE`: it
    has closed the connection, or left its block.
    """

    PRESENT = "present"
    DISMISSED = "dismissed"
    GONE = "gone"


class Ending(Enum):
    """What is to be done with the stream now.

    `NOTHING`: it is in use.  `END_OURS`: end our bytes, and call `note_ours_ended`.  `READ`: read
    to the end of the peer's bytes.  `CLOSE`: close it in order, and call `note_closed`.  `ABORT`:
    close it at once, and call `note_closed`.
    """

    NOTHING = "nothing"
    END_OURS = "end our bytes"
    READ = "read to the end"
    CLOSE = "close"
    ABORT = "close at once"


class _Due(Enum):
    """The deadlines of `Timeouts` that are running."""

    __hash__ = object.__hash__

    ANSWER = "answer"
    WRITE = "write"
    DRAIN = "drain"
    CLOSE = "close"
    LINGER = "linger"


class Session:
    """One connection at work, around an `endpoint` made with `hold_end=True`.

    `half_closes`: the stream can end our bytes and still read.  `now`: the time, in seconds, by
    the owner's clock; all other times are by the same one.  `logger`: where a failure is logged.

    What it holds: `inbox`, `outbox`, `intake`, `pings`.  How far it is: `phase`, `owner`,
    `failure` (what a callback raised, which ended it).
    """

    __slots__ = (
        "_beat",
        "_due",
        "_half_closes",
        "_held_since",
        "_is_aborted",
        "_is_in_step",
        "_is_ours_ended",
        "_logger",
        "_now",
        "_paused_since",
        "_progress_at",
        "_sees_data",
        "_timeouts",
        "ended_at",
        "endpoint",
        "failure",
        "farewell",
        "inbox",
        "intake",
        "opened_at",
        "outbox",
        "owner",
        "phase",
        "pings",
        "wakes",
    )

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
        limits = limits or Limits()
        self.endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._half_closes = half_closes
        self._logger = logger or logging.getLogger("trio_wsendpoint")
        # ---- the parts
        self.inbox = Inbox(endpoint.incoming, limits.receive_buffer)
        self.intake = Intake(endpoint, self.inbox, limits, now)
        self.outbox = Outbox(endpoint, limits, self._shift)
        self.pings = Pings()
        self._beat = Beat(endpoint, heartbeat, now)
        endpoint.listen_to_pongs(self._take_pong)
        # ---- how far it is
        self.phase = Phase.OPEN
        self.owner = Owner.PRESENT
        self.farewell: tuple[int, str] | None = None  # what a server that stops tells the peer
        self.failure: Exception | None = None
        self._is_aborted = False  # by `abort`: the stream is to be closed at once
        self._is_ours_ended = False  # by `note_ours_ended`: our bytes have ended
        # ---- time
        self._now = now  # of the call that runs
        self._due: dict[_Due, float] = {}
        self._held_since: float | None = None  # the peer's end waits for the app
        self._progress_at = now  # when the stream last took a byte
        self._paused_since: float | None = None  # nothing is read until the app takes something
        self.opened_at = now
        self.ended_at: float | None = None
        # ---- what it tells
        self.wakes = 0
        self._is_in_step = False  # a callback of the user may be running
        self._sees_data = type(endpoint).receive_data is not Endpoint.receive_data

    # ---- what to do next ---------------------------------------------------------------------

    def take_wakes(self) -> int:
        """Return the bits of `Wake` that were set since the last call; 0 within a callback."""
        if self._is_in_step:
            return 0
        wakes, self.wakes = self.wakes, 0
        return wakes

    def notice(self, now: float) -> None:
        """Look at what the app has done to `endpoint` itself: queued a frame, or closed."""
        if not self._is_in_step:
            self._settle(now)

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways."""
        return self.phase is _OPEN

    @property
    def ending(self) -> Ending:
        """Return what is to be done with the stream now."""
        if self.phase is Phase.OVER:
            return Ending.NOTHING
        if self._is_aborted:
            return Ending.ABORT
        if self.phase is not Phase.ENDING:
            return Ending.NOTHING
        if self.intake.is_eof or self.outbox.error is not None:
            return Ending.CLOSE
        is_failed = self.endpoint.state is State.FAILED
        # The server ends its bytes first (RFC 6455 section 7.1.1); so does a side that fails.
        if self._is_ours_ended or (self.endpoint.masks and not is_failed):
            return Ending.READ
        if self._half_closes:
            return Ending.END_OURS
        # No bytes of the peer's can follow its Close frame: there is nothing to wait for.
        return Ending.READ if is_failed else Ending.CLOSE

    # ---- from the stream ---------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take the next bytes of the peer's; `b""` is their end.  `advance` handles them."""
        if self._sees_data:
            self.guard(self.intake.take, data, now)
        else:
            self.intake.take(data, now)
        if self.intake.is_eof:
            self._settle(now)
            self.wakes |= Wake.PHASE

    def lose(self, error: Exception, now: float) -> None:
        """Note that the stream broke with `error` when it was read."""
        lost = UnexpectedEOF(tell_loss(error))
        lost.__cause__ = error
        self._fail_with(lost)
        self._settle(now)
        self.wakes |= Wake.PHASE | Wake.RECEIVER

    def _fail_with(self, lost: UnexpectedEOF) -> None:
        """Fail the endpoint, after what the peer said last has taken effect."""
        if self.endpoint.held is not None:
            self.guard(self.endpoint.release_end)
        self.guard(self.endpoint.fail, lost)
        self.intake.end()

    def advance(self, now: float) -> Need:
        """Handle some of what has come; return what reading needs to go on."""
        self._now = now
        progress = self.guard(self.intake.pump, now)
        if progress is Progress.HELD and self._may_release(now):
            self.guard(self.endpoint.release_end)
            progress = Progress.HANDLED
        self._settle(now)
        if self.inbox.has_answer:
            self.wakes |= Wake.RECEIVER
        need = self._need_of(progress, now)
        if need is not Need.APP:
            self._resume(now)
        return need

    def _resume(self, now: float) -> None:
        """Note that reading goes on: the peer is not judged by the time in which it did not."""
        if self._paused_since is not None:
            self.intake.live(now)
            self.intake.spare(now - self._paused_since)
            self._paused_since = None

    def _need_of(self, progress: Progress | None, now: float) -> Need:
        if self.phase is Phase.OVER:
            return Need.END
        if progress is Progress.ENDED or not (
            self.endpoint.is_open or self.endpoint.closing.expects_frames
        ):
            return Need.END if self.intake.is_eof else Need.DATA
        if progress is Progress.HELD:
            self._set(_Due.ANSWER, self._answer_due)
        elif progress is Progress.NEED_DATA:
            return Need.DATA
        elif not self.intake.is_full:
            return Need.TURN
        if self._paused_since is None:
            self._paused_since = now
        return Need.APP

    def _may_release(self, now: float) -> bool:
        """Tell whether the end that is held takes effect: the app asks for more, or is late."""
        if self.phase is not _OPEN:
            return True
        if self._held_since is None:
            self._held_since = now
        is_asked = self.inbox.is_receiver_waiting and not self.inbox.is_unanswered
        return is_asked or self._answer_due <= now

    @property
    def _answer_due(self) -> float:
        """When the end that is held takes effect, whatever the app does."""
        held, began = self._held_since or 0.0, self.inbox.handed_over
        if self.inbox.is_unanswered:
            began = max(held, began)
        return min(began + self._timeouts.answer, held + self._timeouts.close)

    # ---- to the stream -----------------------------------------------------------------------

    def next_batch(self, now: float) -> Batch | None:
        """Return what is to be written next, or None; `note_sent` tells what became of it.

        The next batch may be asked for when all of this one was taken.
        """
        self._now = now
        if self.outbox.is_failed:
            return None
        batch = self.outbox.next_batch()
        if batch is not None:
            self.wakes |= Wake.SENDERS  # what was handed out makes room in the queue
        return batch

    def _shift(self) -> Frame | None:
        frame = self.guard(self._shift_queue)
        if frame is None and self.endpoint.get_write_queue_size():
            frame = self.guard(self._shift_queue)  # a callback raised; its frame is next
        if isinstance(frame, PingFrame):
            self.pings.leave(frame.payload, self._now)
        return frame

    def _shift_queue(self) -> Frame | None:
        return self.endpoint.shift_write_queue(copy=False)

    def note_sent(self, count: int, now: float) -> None:
        """Note that the stream took `count` bytes of what it was given."""
        outbox = self.outbox
        outbox.note_sent(count)
        if outbox.unsent:
            if _Due.WRITE not in self._due:
                self._progress_at = now
                self._set(_Due.WRITE, now + self._timeouts.write)
            elif count:
                self._progress_at = now  # to take a byte is progress
            return
        self._progress_at = now
        self.wakes |= Wake.SENDERS
        if self.phase is not _OPEN:
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
        if wish is Wish.PART:
            self.inbox.ask_for_part()
        else:
            self.inbox.ask(wish)
        if self._paused_since is not None:
            self.wakes |= Wake.READER

    def take(self, now: float) -> Message | None:
        """Return the oldest message that was received, or None."""
        message = self.inbox.take(now)
        if message is not None:
            self._make_room(now)
        return message

    def _make_room(self, now: float) -> None:
        """Let reading go on, if it had stopped for want of room."""
        if self._paused_since is not None:
            self.wakes |= Wake.READER
            if self.endpoint.held is None and not self.intake.is_full:
                self._resume(now)

    def take_part(self, now: float) -> bytes:
        """Return what has come of the message that is coming in."""
        part = self.inbox.take_part(now)
        if part:
            self._make_room(now)
        return part

    def skip_message(self) -> None:
        """Drop the rest of the message that is coming in, or that waits."""
        if not self.inbox.skip():
            self.endpoint.incoming.skip()
        self.wakes |= Wake.READER

    def send(self, value: str | Buffer | SharedMessage, *, compress: bool) -> None:
        """Queue a message.  Raises as `Endpoint.send_message`; then nothing was queued."""
        self.endpoint.send_message(value, compress=compress)
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
            self.guard(
                self.endpoint.close, CloseCode.INTERNAL_ERROR, "a message was left unfinished"
            )
        self._settle(now)
        self.wakes |= Wake.SENDERS

    def ping(self, now: float) -> tuple[bytes, Ping]:
        """Queue a ping; return its payload and what tells its outcome."""
        payload = self.endpoint.ping()
        ping = Ping(now + self._timeouts.ping)
        self.pings.add(payload, ping)
        self.wakes |= Wake.WRITER | Wake.DEADLINE
        return payload, ping

    def close(self, code: int | None, reason: str, now: float) -> None:
        """Close for the app, which is gone then: what was received and not taken is dropped."""
        self.owner = Owner.GONE
        self.inbox.discard()
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
        self.owner = Owner.DISMISSED
        self.farewell = code, reason
        self.inbox.shut()
        self.wakes |= Wake.RECEIVER | Wake.READER
        return True

    def abort(self, why: str, now: float) -> None:
        """Give up the connection: the stream is to be closed at once.  Safe at any time."""
        self._abort_with(UnexpectedEOF(why), now)

    def _abort_with(self, error: UnexpectedEOF, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        self._is_aborted = True
        self._fail_with(error)
        self._settle(now)
        self.wakes |= Wake.PHASE

    def fail_internally(self, error: Exception) -> None:
        """End this connection with 1011: a callback of the user's, or our own code, has raised."""
        if self.failure is None:
            self.failure = error
            # A logger that raises is the user's as well.
            with contextlib.suppress(Exception):
                self._logger.error("the connection fails with an internal error", exc_info=error)
        if self.endpoint.is_open:
            # What a callback raises now is a second error of a connection that ends already.
            with contextlib.suppress(Exception):
                self.endpoint.close(CloseCode.INTERNAL_ERROR)
        self.wakes |= Wake.WRITER | Wake.PHASE

    # ---- the end -----------------------------------------------------------------------------

    def note_ours_ended(self, now: float) -> None:
        """Note that our bytes have ended."""
        self._is_ours_ended = True
        self._set(_Due.LINGER, now + self._timeouts.linger)

    def stop(self) -> None:
        """Note that no byte comes or goes any more: the stream is about to be closed."""
        closing = self.endpoint.closing
        if not closing.is_over:
            why = "our answer to its close was lost"
            if self.outbox.error is not None:
                why = tell_loss(self.outbox.error)
            elif closing.received is None:
                why = "the peer did not close in time"
            self.guard(self.endpoint.fail, UnexpectedEOF(why))
        self.outbox.fail()
        self.intake.end()

    def note_closed(self, now: float) -> None:
        """Note that the stream is closed."""
        if self.phase is Phase.OVER:
            return
        if self.phase is _OPEN:
            self._move(Change.CLOSE_BEGINS, now)
        self.stop()
        self._move(Change.STREAM_CLOSES, now)
        self.ended_at = now
        self._due.clear()
        self.pings.close(now)
        self.wakes |= Wake.RECEIVER | Wake.READER | Wake.SENDERS | Wake.PINGS | Wake.PHASE

    def _settle(self, now: float) -> None:
        """Follow the table as far as what has happened leads."""
        endpoint, outbox = self.endpoint, self.outbox
        if endpoint.has_frames:
            self.wakes |= Wake.WRITER
        if self.phase is _OPEN:
            if endpoint.closing.state is State.OPEN and not outbox.is_failed:
                return
            self._move(Change.CLOSE_BEGINS, now)
        if self.phase is Phase.CLOSING:
            self._limit_closing(now)
            if outbox.is_done and not endpoint.closing.expects_frames:
                self._move(Change.FRAMES_END, now)

    def _limit_closing(self, now: float) -> None:
        """Set the deadline of the closing: for what is to be written, then for the peer.

        A peer that has been given up, or has broken a rule, gets no more time to read.
        """
        closing = self.endpoint.closing
        if self.outbox.is_done or closing.is_given_up or closing.state is State.FAILED:
            self._due.pop(_Due.DRAIN, None)
            if _Due.CLOSE not in self._due:
                self._set(_Due.CLOSE, now + self._timeouts.close)
        elif _Due.DRAIN not in self._due:
            self._set(_Due.DRAIN, now + self._timeouts.drain)

    def _move(self, change: Change, now: float) -> None:
        following = TRANSITIONS[self.phase].get(change)
        if following is None:
            return
        self.phase = following
        self.wakes |= Wake.PHASE | Wake.RECEIVER | Wake.READER | Wake.SENDERS
        if following is Phase.ENDING and self.ending is Ending.READ:
            self._set(_Due.LINGER, now + self._timeouts.linger)

    # ---- time --------------------------------------------------------------------------------

    def _set(self, due: _Due, when: float) -> None:
        before = self._due.get(due)
        self._due[due] = when
        if before is None or when < before:
            self.wakes |= Wake.DEADLINE

    @property
    def deadline(self) -> float:
        """When `tick` is to be called next, in seconds; `inf` if never."""
        if self.phase is Phase.OVER:
            return float("inf")
        earliest = min(self._due.values(), default=float("inf"))
        if self.phase is _OPEN:
            earliest = min(earliest, self._beat.due)
        return min(earliest, self.pings.due) if self.pings.waiting else earliest

    def tick(self, now: float) -> None:
        """Do what is due at `now`."""
        self._now = now
        if self.pings.waiting and self.pings.due <= now:
            self.pings.expire(now)
            self.wakes |= Wake.PINGS
        for due in [due for due, when in self._due.items() if when <= now]:
            self._act_on(due, now)
        if self.phase is _OPEN and self._beat.due <= now:
            self.guard(self._beat.beat, self.intake, self._paused_since is not None, now)
        self._settle(now)

    def _act_on(self, due: _Due, now: float) -> None:
        if due is _Due.ANSWER:
            if self.endpoint.held is not None and self._answer_due > now:
                self._due[due] = self._answer_due
                return
            self.guard(self.endpoint.release_end)
            self.wakes |= Wake.READER
        elif due is _Due.WRITE and not self.outbox.unsent:
            pass  # it has all been taken
        elif due is _Due.WRITE and self._progress_at + self._timeouts.write > now:
            self._due[due] = self._progress_at + self._timeouts.write
            return
        elif due is _Due.WRITE:
            late = f"the peer accepted nothing for {self._timeouts.write:g} s"
            self._abort_with(PeerTooSlow(late), now)
        elif due is _Due.DRAIN:
            late = f"the peer did not accept all within {self._timeouts.drain:g} s"
            self._abort_with(PeerTooSlow(late), now)
        elif due is _Due.CLOSE or due is _Due.LINGER:
            self._is_aborted = True
            self.wakes |= Wake.PHASE
        self._due.pop(due, None)

    # ---- what it tells -----------------------------------------------------------------------

    def outcome(self, *, sending: bool = False, is_cut_short: bool = False) -> Outcome:
        """Tell how the connection ended, or is ending.

        `sending`: to a caller that had something to send.  `is_cut_short`: to one that has half a
        message.  For both an orderly end of the peer's is a loss.
        """
        return tell_outcome(
            self.endpoint.closing,
            is_closed_locally=self.owner is Owner.GONE,
            is_dismissed=self.owner is Owner.DISMISSED,
            failure=self.failure,
            broken=self.outbox.error,
            may_be_orderly=not (sending or is_cut_short),
        )

    def statistics(self, now: float, *, waiting_senders: int = 0) -> ConnectionStatistics:
        """Return what the connection has done and holds, as an immutable object."""
        closing = self.endpoint.closing
        until = now if self.ended_at is None else self.ended_at
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
        return Counts(
            self.outbox.messages,
            self.inbox.taken,
            self.outbox.bytes_sent,
            self.intake.bytes_received,
            self.endpoint.traffic,
        )

    # ---- callbacks ---------------------------------------------------------------------------

    def guard(self, step: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T | None:
        """Run a step in which callbacks of the user may be called; return its value.

        The one place that guards them.  If one raises, returns None: the connection then ends
        with 1011, and only this one.
        """
        outer, self._is_in_step = self._is_in_step, True
        try:
            return step(*args)
        except Exception as error:  # noqa: BLE001 - the user's, whatever it is
            self.fail_internally(error)
            return None
        finally:
            self._is_in_step = outer

    def _take_pong(self, frame: PongFrame) -> None:
        if self.pings.waiting:
            self.pings.answer(frame, self._now)
            self.wakes |= Wake.PINGS
