"""How far a connection has come, and what is due when."""

from __future__ import annotations

from trio_wsendpoint.errors import PeerTooSlow, UnexpectedEOF
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.closing import State
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Frame, PingFrame, PongFrame
from trio_wsendpoint.session.beat import Beat
from trio_wsendpoint.session.deadlines import Deadlines, Due
from trio_wsendpoint.session.ending import tell_loss
from trio_wsendpoint.session.guard import Guard, Logger
from trio_wsendpoint.session.held import HeldEnd
from trio_wsendpoint.session.inbox import Inbox
from trio_wsendpoint.session.intake import Intake
from trio_wsendpoint.session.outbox import Outbox
from trio_wsendpoint.session.phases import TRANSITIONS, Change, Phase
from trio_wsendpoint.session.pings import Pings
from trio_wsendpoint.session.signals import Ending, Wake

__all__ = ["Lifecycle"]

# Globals: each end of a connection compares them fifty times, and on Python 3.11 a member of an
# enum takes ten times as long to look up (79 and 8 ns).
_OPEN, _CLOSING, _OVER = Phase.OPEN, Phase.CLOSING, Phase.OVER
_ENDING, _LINGERING, _GIVEN_UP = Phase.ENDING, Phase.LINGERING, Phase.GIVEN_UP
_FAILED, _DRAIN, _CLOSE, _READ = State.FAILED, Due.DRAIN, Due.CLOSE, Ending.READ
_NEVER = float("inf")
#: What may go on, or has to end, in another phase.
_MOVED = Wake.PHASE | Wake.RECEIVER | Wake.READER | Wake.SENDERS
_WRITER = Wake.WRITER


class Lifecycle(Guard):
    """The parts of a `Session`, and how they go from one phase to the next.

    The arguments and attributes are those of `Session`.
    """

    __slots__ = (
        "_beat",
        "_deadlines",
        "_half_closes",
        "_held",
        "_now",
        "_timeouts",
        "_unread_since",
        "ended_at",
        "handed_over",
        "inbox",
        "intake",
        "outbox",
        "phase",
        "pings",
        "taken",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        now: float,
        limits: Limits,
        timeouts: Timeouts,
        heartbeat: Heartbeat | None,
        half_closes: bool,
        logger: Logger | None,
    ) -> None:
        super().__init__(endpoint, logger)
        self._timeouts = timeouts
        self._half_closes = half_closes
        # ---- the parts
        self.inbox = Inbox(endpoint.incoming, limits.receive_buffer)
        self.intake = Intake(endpoint, self.inbox, limits, now)
        self.outbox = Outbox(endpoint, limits, self)
        self.pings = Pings()
        self._beat = Beat(endpoint, heartbeat, now)
        self._held: HeldEnd | None = None  # made when an end is held
        endpoint.listen_to_pongs(self._take_pong)
        # ---- how far it is
        # By the table of `phases`; moved by `_move` alone, and read by all that drive the session.
        self.phase = Phase.OPEN
        self.taken: int = 0  # messages that the app was given
        # ---- time
        self._now = now  # of the call that runs
        self._deadlines = Deadlines(timeouts.write)
        self.handed_over = -_NEVER  # when the app was last given something
        self.ended_at = _NEVER  # when the stream was closed
        # When reading last stopped for the app, in seconds; `inf` once that time is accounted for.
        self._unread_since = _NEVER

    # ---- what to do next ---------------------------------------------------------------------

    def notice(self, now: float) -> None:
        """Look at what the app has done to an open `endpoint` itself: queued a frame, or closed."""
        if self.phase is _OPEN and not self.is_in_step:
            self._settle(now)

    @property
    def is_open(self) -> bool:
        """Whether messages may go both ways.

        The phase follows the endpoint at the end of a step; a callback in it asks for both.
        """
        return self.phase is _OPEN and self.endpoint.closing.is_open

    @property
    def needs_data(self) -> bool:
        """Whether all that has come was handled, and more may come."""
        return self.phase is _OPEN and self.intake.is_drained

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read until the app has taken something, or asks for more."""
        intake = self.intake
        return not intake.is_drained and (self.endpoint.held is not None or intake.is_full)

    @property
    def ending(self) -> Ending:
        """Return what is to be done with the stream now."""
        phase = self.phase
        if phase is not _ENDING and phase is not _LINGERING:
            return Ending.ABORT if phase is _GIVEN_UP else Ending.NOTHING
        if self.intake.is_eof or self.outbox.error is not None:
            return Ending.CLOSE
        is_failed = self.endpoint.closing.state is _FAILED
        # The server ends its bytes first (RFC 6455 section 7.1.1); so does a side that fails.
        if phase is _LINGERING or (self.endpoint.masks and not is_failed):
            return _READ
        if self._half_closes:
            return Ending.END_OURS
        # No bytes of the peer's can follow its Close frame: there is nothing to wait for.
        return _READ if is_failed else Ending.CLOSE

    # ---- callbacks ---------------------------------------------------------------------------

    def shift_frame(self) -> Frame | None:
        """Take the next frame out of the endpoint's queue, or return None; for the outbox."""
        frame = self.guard(self._shift_queue)
        if frame is None and self.endpoint.get_write_queue_size():
            frame = self.guard(self._shift_queue)  # a callback raised; its frame is next
        if isinstance(frame, PingFrame):
            self.pings.leave(frame.payload, self._now)
        return frame

    def _shift_queue(self) -> Frame | None:
        return self.endpoint.shift_write_queue(copy=False)

    def _take_pong(self, frame: PongFrame) -> None:
        if self.pings.waiting:
            self.wakes |= Wake.PINGS
        self.pings.answer(frame, self._now)

    # ---- how far it is -----------------------------------------------------------------------

    def _abort_with(self, error: UnexpectedEOF, now: float) -> None:
        if self.phase is _OVER:
            return
        self._fail_with(error)
        self._settle(now)
        self._give_up(now)

    def _give_up(self, now: float) -> None:
        """Ask for the stream to be closed at once, unless that was done or is over."""
        if Change.GIVE_UP in TRANSITIONS[self.phase]:
            self._move(Change.GIVE_UP, now)

    def _fail_with(self, lost: UnexpectedEOF) -> None:
        """Fail the endpoint, after what the peer said last has taken effect."""
        if self.endpoint.held is not None:
            self.guard(self.endpoint.release_end)
        self.guard(self.endpoint.fail, lost)
        self.intake.end()

    def note_ours_ended(self, now: float) -> None:
        """Note that our bytes have ended."""
        if Change.OURS_END in TRANSITIONS[self.phase]:
            self._move(Change.OURS_END, now)
            self._set(Due.LINGER, now + self._timeouts.linger)

    def _held_end(self) -> HeldEnd:
        """Return when the end that the endpoint holds takes effect."""
        if self._held is None:
            self._held = HeldEnd(self.inbox, self._timeouts)
        return self._held

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
        if self.phase is _OVER:
            return
        if self.phase is _OPEN:
            self._move(Change.CLOSE_BEGINS, now)
        self.stop()
        self._move(Change.STREAM_CLOSES, now)
        self.ended_at = now
        self._deadlines.clear()
        self.pings.close(now)
        self.wakes |= Wake.RECEIVER | Wake.READER | Wake.SENDERS | Wake.PINGS | Wake.PHASE

    def _settle(self, now: float) -> None:
        """Follow the table as far as what has happened leads."""
        endpoint, outbox = self.endpoint, self.outbox
        has_frames = endpoint.has_frames and outbox.end is None
        if has_frames:
            self.wakes |= _WRITER
        if self.phase is _OPEN:
            if endpoint.closing.is_open and outbox.end is None:
                return
            self._move(Change.CLOSE_BEGINS, now)
        if self.phase is _CLOSING:
            is_done = not has_frames and outbox.is_done
            if is_done and not endpoint.closing.expects_frames:
                self._move(Change.FRAMES_END, now)
            else:
                self._limit_closing(is_done, now)

    def _limit_closing(self, is_done: bool, now: float) -> None:
        """Set the deadline of the closing: for what is to be written, then for the peer.

        `is_done`: all that was committed has been written.  A peer that has been given up, or has
        broken a rule, gets no more time to read.
        """
        closing = self.endpoint.closing
        if is_done or closing.is_given_up or closing.state is _FAILED:
            self._deadlines.drop(_DRAIN)
            if _CLOSE not in self._deadlines:
                self._set(_CLOSE, now + self._timeouts.close)
        elif _DRAIN not in self._deadlines:
            self._set(_DRAIN, now + self._timeouts.drain)

    def _move(self, change: Change, now: float) -> None:
        self.phase = TRANSITIONS[self.phase][change]
        self.wakes |= _MOVED
        if self.phase is _ENDING:
            self._deadlines.drop(_DRAIN)
            if self.ending is _READ:
                self._set(Due.LINGER, now + self._timeouts.linger)
            elif _CLOSE not in self._deadlines:  # to end our bytes may take waiting
                self._set(_CLOSE, now + self._timeouts.close)

    def _pause(self, now: float) -> None:
        """Note that nothing is read until the app takes something."""
        self._unread_since = min(self._unread_since, now)

    def _resume(self, now: float) -> None:
        """Note that reading goes on: the peer is not judged by the time in which it did not."""
        if self._unread_since <= now:
            self.intake.live(now)
            self.intake.spare(now - self._unread_since)
            self._unread_since = _NEVER

    # ---- time --------------------------------------------------------------------------------

    def _set(self, due: Due, when: float) -> None:
        if self._deadlines.set(due, when):
            self.wakes |= Wake.DEADLINE

    @property
    def deadline(self) -> float:
        """When `tick` is to be called next, in seconds; `inf` if never."""
        if self.phase is _OVER:
            return _NEVER
        earliest = self._deadlines.earliest
        if self.phase is _OPEN and self._beat.due < earliest:
            earliest = self._beat.due
        return min(earliest, self.pings.due) if self.pings.waiting else earliest

    def tick(self, now: float) -> None:
        """Do what is due at `now`."""
        self._now = now
        if self.pings.waiting and self.pings.due <= now:
            self.pings.expire(now)
            self.wakes |= Wake.PINGS
        for due in self._deadlines.passed(now):
            self._act_on(due, now)
        self._settle(now)  # the app may have closed the endpoint itself
        if self.phase is _OPEN and self._beat.due <= now:
            self.guard(self._beat.beat, self.intake, self.is_paused, now)
        self._settle(now)

    def _act_on(self, due: Due, now: float) -> None:
        if due is Due.ANSWER:
            if (
                self.endpoint.held is not None
                and (later := self._held_end().due(self.handed_over)) > now
            ):
                self._set(due, later)
                return
            self.guard(self.endpoint.release_end)
            self.wakes |= Wake.READER
        elif due is Due.WRITE and self.outbox.unsent:  # else it has all been taken
            if not self._deadlines.is_stalled(now):
                return
            late = f"the peer accepted nothing for {self._timeouts.write:g} s"
            self._abort_with(PeerTooSlow(late), now)
        elif due is _DRAIN:
            late = f"the peer did not accept all within {self._timeouts.drain:g} s"
            self._abort_with(PeerTooSlow(late), now)
        elif due is _CLOSE or due is Due.LINGER:
            self._give_up(now)
        self._deadlines.drop(due)
