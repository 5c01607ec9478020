"""The task that keeps a channel connected: it alone opens connections, and decides what follows.

Rule 1: one try at a time, whatever tasks send, receive or wait meanwhile.
Rule 2: a connection is healthy when it has lasted `Backoff.healthy` seconds after `on_connect`
returned; any that ends sooner is a failure, and failures in a row lengthen the wait.
Rule 3: each end is judged by one row of the table in `retries`, which is counted and logged.
Rule 4: a connection that has ended is closed while the next one is waited for, not before.
Rule 5: while the app has not read what ended connections have received, no further one is opened
once that exceeds `Limits.receive_buffer`: what a channel holds is bounded.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.client.attempts import GaveUp, ReconnectStatistics, Retry
from trio_wsendpoint.client.lines import Line
from trio_wsendpoint.client.reconnect_settings import ReconnectSettings
from trio_wsendpoint.client.record import Record, Stop
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.client.states import ReconnectState, check_transition
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["Keeper"]

#: Characters of an error that a log line shows.
LOGGED = 300
#: A connection is closed for its age up to this part of `max_age` before it.
AGE_SPREAD = 0.1
#: The states in which no further connection is opened.
_ENDS = (ReconnectState.STOPPED, ReconnectState.CLOSED)


class Keeper:
    """Keeps one channel connected; `run` is its task, `changed` wakes what waits for it.

    Its lines run in `nursery`.  `on_app_error` is called when a function of the app has raised
    something, for the block to raise.
    """

    def __init__(
        self,
        settings: ReconnectSettings,
        nursery: trio.Nursery,
        on_app_error: Callable[[], object],
    ) -> None:
        # Where it stands.
        # What it does, by the table of `states`; moved by `_move` alone.
        self.state = ReconnectState.CONNECTING
        self.changed = ParkingLot()
        # What leaving the block is to raise: what a function of the app has raised first, or a
        # `Stop`, until a call has raised `GaveUp`.  Set by `run` and `_fail`, taken by `tell_end`.
        self._untold: Exception | None = None
        # Its connections.
        self._current: Line | None = None  # the line in use, while it is CONNECTED or RENEWING
        self._sources: deque[Line] = deque()  # to be read, in this order
        self._lines: dict[Line, None] = {}  # that run
        self.record = Record(settings, trio.current_time())
        # What it was made with.
        self._settings = settings
        self._connect = ConnectSettings(**settings.options)
        self._name = _name(settings.url)
        self._nursery = nursery
        self._on_app_error = on_app_error
        self._scope = trio.CancelScope()
        self._pause_scope = trio.CancelScope()  # around the wait for the next try

    # ---- what the channel asks ---------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection that is in use, None without one."""
        line = self.line_to_send
        return None if line is None else line.connection

    @property
    def line_to_send(self) -> Line | None:
        """The line that takes messages now, None without one."""
        line = self._current
        return line if line is not None and line.can_send else None

    @property
    def line_to_read(self) -> Line | None:
        """The line that has the next message, or will have it; None: wait for `changed`."""
        while self._sources and self._sources[0].is_exhausted:
            self._sources.popleft()
        line = self._sources[0] if self._sources else None
        return line if line is not None and line.can_receive else None

    @property
    def unread(self) -> int:
        """Bytes that ended connections have received, and the app has not taken."""
        return sum(line.unread for line in self._sources)

    def hurry(self) -> None:
        """Make the next try now, if one is waited for."""
        if self.state is ReconnectState.WAITING:
            self._pause_scope.cancel()

    def tell_end(self) -> GaveUp | None:
        """Return a new error that says why it has given up; None if it has not.

        The caller raises it, so leaving the block does not.
        """
        if isinstance(self._untold, Stop):
            self._untold = None
        return self.record.gave_up()

    @property
    def untold_end(self) -> GaveUp | None:
        """Why it has given up, if no call has raised that, for the block to raise."""
        return self.record.gave_up() if isinstance(self._untold, Stop) else None

    @property
    def app_error(self) -> Exception | None:
        """What a function of the app has raised, for the block to raise; None if none has."""
        return None if isinstance(self._untold, Stop) else self._untold

    def statistics(self, *, waiting: tuple[int, int]) -> ReconnectStatistics:
        """Return the numbers; `waiting`: senders, and the bytes that they hold."""
        return self.record.statistics(
            state=self.state,
            now=trio.current_time(),
            ready_at=None if self._current is None else self._current.ready_at,
            present=[line.traffic() for line in self._lines],
            waiting=waiting,
            unread=self.unread,
        )

    # ---- starting and ending -----------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection until there must be none."""
        if self.state in _ENDS:
            return
        try:
            with self._scope:
                await self._keep()
        except Stop as stop:
            self._untold = stop
            self._move(ReconnectState.STOPPED, _shown(self.record.gave_up()))
        except Exception as error:  # noqa: BLE001 - the block raises it
            self._fail(error)

    async def close(self, code: int | None, reason: str) -> None:
        """Close in order: no further try, and all connections closed with `code`.

        Returns when their streams are closed.  If cancelled, they are closed at once.  Raises
        `ConnectionLost` if messages that were sent have not left.
        """
        if self.state is not ReconnectState.CLOSED:
            self._move(ReconnectState.CLOSED, "the app closes it")
        lines = [*self._lines]
        self._end_lines(code, reason)
        try:
            while self._lines:
                await self.changed.park()
        except BaseException:
            self._nursery.cancel_scope.cancel()
            raise
        for line in lines:
            if line.end.loss is not None:
                raise line.end.loss

    def abandon(self) -> None:
        """End at once: peers are told as far as that takes no waiting."""
        if self.state is not ReconnectState.CLOSED:
            self._move(ReconnectState.CLOSED, "the app leaves it")
        self._nursery.cancel_scope.cancel()

    def _fail(self, error: Exception) -> None:
        """End because a function of the app has raised `error`."""
        if self.app_error is None:
            self._untold = error
        if self.state not in _ENDS:
            self._move(ReconnectState.STOPPED, f"a function of the app raised {_shown(error)}")
        self._end_lines(CloseCode.INTERNAL_ERROR, "")
        self._on_app_error()

    def _end_lines(self, code: int | None, reason: str) -> None:
        self._scope.cancel()
        for line in self._lines:
            line.say_goodbye(code, reason)

    # ---- the task ----------------------------------------------------------------------------

    async def _keep(self) -> None:
        line = self._start()
        while True:
            await self._until(lambda: line.ready_at is not None or line.is_over)  # noqa: B023
            following: Line | None = None
            if line.ready_at is not None:
                self._current = line
                self.record.note_connection()
                self._move(ReconnectState.CONNECTED, f"by try {line.attempt.number}")
                following = await self._stay(line, line.ready_at)
            else:
                self.record.note_failure()
            if following is None:
                await self._pause(line)
                following = self._start()
            line = following

    def _start(self, *, renewing: bool = False) -> Line:
        """Begin a try, in a task of its own."""
        attempt = self.record.begin(trio.current_time(), renewing=renewing)
        if attempt.number > 1:  # the first one begins in this state
            state = ReconnectState.RENEWING if renewing else ReconnectState.CONNECTING
            self._move(state, f"try {attempt.number}")
        line = Line(self._settings, attempt, self.changed.unpark_all)
        self._lines[line] = None
        self._sources = deque(source for source in self._sources if not source.is_exhausted)
        self._sources.append(line)
        self._nursery.start_soon(self._run_line, line, name="trio_wsendpoint line")
        return line

    async def _run_line(self, line: Line) -> None:
        try:
            await line.run()
        finally:
            del self._lines[line]
            self.record.note_gone(line.traffic())
            self.changed.unpark_all()
        if line.end.app_error is not None:
            self._fail(line.end.app_error)

    async def _stay(self, line: Line, ready_at: float) -> Line | None:
        """Wait until `line` ends, or is too old; return the line that follows, if there is one."""
        age = self._settings.max_age
        renew_at = math.inf
        if age is not None:
            renew_at = ready_at + self._uniform((1 - AGE_SPREAD) * age, age)
        following: Line | None = None
        while not await self._until(lambda: line.is_over, renew_at):
            following = await self._renew(line)
            if following is not None:
                break
            renew_at = trio.current_time() + self.record.note_renewal()
        self._current = None
        ended_at = min(trio.current_time(), line.ended_at)
        self.record.note_end(ready_at, ended_at, line.traffic(), has_failed=line.is_over)
        return following

    async def _renew(self, line: Line) -> Line | None:
        """Open the next connection while `line` is in use; return it, None if that failed."""
        following = self._start(renewing=True)
        await self._until(
            lambda: line.is_over or following.ready_at is not None or following.is_over
        )
        if line.is_over:
            self._move(ReconnectState.CONNECTING, f"try {following.attempt.number} goes on")
        elif following.is_over:
            trouble = following.end.trouble
            error = None if trouble is None else trouble.error
            self._move(ReconnectState.CONNECTED, f"the next one failed: {_shown(error)}")
            return None
        else:
            line.retire()
        return following

    async def _pause(self, line: Line) -> None:
        """Decide what is done about the end of `line`, and wait; raises `Stop`."""
        trouble = line.end.trouble
        if trouble is None:
            raise RuntimeError("a line has ended for no reason")
        row, delay = self.record.decide(trouble, trio.current_time())
        failures = self.record.failures
        if self._settings.on_retry is not None:
            retry = Retry(error=trouble.error, row=row, delay=delay, failures=failures)
            self._settings.on_retry(retry)
        until = trio.current_time() + delay
        self._pause_scope = trio.CancelScope(deadline=until)
        self._move(
            ReconnectState.WAITING,
            f"{delay:.1f} s, row {row.name!r}, failures {failures}: {_shown(trouble.error)}",
        )
        with self._pause_scope:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._until(lambda: self.unread <= self._connect.limits.receive_buffer)

    # ---- small things ------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], bool], deadline: float = math.inf) -> bool:
        """Wait until `condition`, or the deadline; return whether it was the condition."""
        with trio.CancelScope(deadline=deadline):
            while not condition():
                await self.changed.park()
        await trio.lowlevel.checkpoint_if_cancelled()
        return condition()

    def _move(self, state: ReconnectState, text: str) -> None:
        check_transition(self.state, state)
        self.state = state
        self._connect.logger.info("%s is %s: %s", self._name, state, text)
        self.changed.unpark_all()

    def _uniform(self, least: float, most: float) -> float:
        return self._settings.backoff.rng.uniform(least, most)


def _name(url: str) -> str:
    """Return what a log line calls the channel: no userinfo and no query, which may be secrets."""
    target = WebSocketURL.parse(url)
    return f"{'wss' if target.secure else 'ws'}://{target.host_header}"


def _shown(error: Exception | None) -> str:
    """Return an error on one line of printable ASCII, for what it says may be the peer's."""
    text = f"{type(error).__name__}: {error}" if error is not None else "nothing is known"
    return ascii(text)[1:-1][:LOGGED]
