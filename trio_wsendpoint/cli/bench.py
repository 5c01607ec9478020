"""`trio-wsendpoint bench`: how many messages a server that echoes takes, and how fast it answers.

A closed loop keeps `in_flight` messages out on each connection; what stalls then is not asked, so
its times look better than a user's.  With `rate` messages are due at fixed times, and the time of
each counts from when it was due, whether or not it could be sent then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from trio_wsendpoint.cli.histogram import Histogram
from trio_wsendpoint.cli.opening import Plan
from trio_wsendpoint.cli.outcome import outcome_of_error
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.connection.connection import Connection

__all__ = ["Bench", "Load", "Result"]

#: Openings that may be under way at a time.
OPENINGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to load a server with.

    `connections`, each with `in_flight` messages of `size` bytes out; for `seconds` (after
    `warmup` seconds that do not count), or until `messages` are answered in all.  `rate`: messages
    that are due in a second in all, None for as many as go.  `ramp`: seconds over which the
    openings are spread evenly, before all else.
    """

    connections: int = 10
    in_flight: int = 1
    size: int = 125
    seconds: float = 10.0
    messages: int | None = None
    rate: float | None = None
    warmup: float = 1.0
    ramp: float = 0.0
    is_binary: bool = False


@dataclass(slots=True)
class Result:
    """What came of a load: `times` are round trips, `cpu` the seconds that this process took."""

    load: Load
    times: Histogram = field(default_factory=Histogram)
    opened: int = 0
    opening_seconds: float = 0.0
    errors: list[str] = field(default_factory=list[str])
    closed: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    #: Messages that were out at the end of each round, summed over time: `in_flight` is its mean.
    waiting_area: float = 0.0

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.times.count / self.seconds if self.seconds else 0.0

    @property
    def in_flight(self) -> float:
        """The mean of messages that were out."""
        return self.waiting_area / self.seconds if self.seconds else 0.0

    @property
    def expected_in_flight(self) -> float:
        """What rate and mean time say that it must have been (Little's law)."""
        return self.rate * self.times.mean

    @property
    def is_consistent(self) -> bool:
        """Whether the two agree within 10 %: else a figure is wrong, or answers are missing."""
        return abs(self.expected_in_flight - self.in_flight) <= 0.1 * max(self.in_flight, 0.1)

    @property
    def busy(self) -> float:
        """The share of one core that this side used."""
        return self.cpu / self.seconds if self.seconds else 0.0

    def lines(self) -> list[str]:
        """Return the report."""
        load, times = self.load, self.times
        both_ways = 2 * self.rate * load.size / 1e6
        rows = [
            f"opened {self.opened} of {load.connections} in {self.opening_seconds:.1f} s",
            (
                f"{self.seconds:.1f} s, {times.count:,} messages, {self.rate:,.0f}/s, "
                f"{load.size:,} B each, {both_ways:.1f} MB/s both ways; "
                f"errors {len(self.errors)}, closed {self.closed}"
            ),
        ]
        if times.count:
            verdict = "consistent" if self.is_consistent else "NOT consistent, trust no figure here"
            rows.append(times.summary())
            rows.append(
                f"{self.rate:,.0f}/s x {times.mean * 1000:.3g} ms = "
                f"{self.expected_in_flight:.3g} in flight, {self.in_flight:.3g} seen: {verdict}"
            )
            limit = ": it is the limit" if self.busy >= 0.9 else ""
            rows.append(f"this side used {100 * self.busy:.0f} % of one core{limit}")
            rows += times.bars()
        return rows + [f"error: {text}" for text in dict.fromkeys(self.errors)]


class Bench:
    """One run of a load; `result` grows while it runs, and is right when `run` has returned."""

    def __init__(self, plan: Plan, load: Load) -> None:
        self.result = Result(load)
        self._plan = plan
        self._load = load
        self._message: str | bytes = b"x" * load.size if load.is_binary else "x" * load.size
        self._scope = trio.CancelScope()
        self._is_counting = False
        self._out = 0
        self._out_since = 0.0

    def stop(self) -> None:
        """End the run now; what was counted stays."""
        self._scope.cancel()

    async def run(self, on_progress: Callable[[Result], object] | None = None) -> Result:
        """Open the connections, load them, close them, and return what came of it.

        `on_progress` is told five times a second.  If stopped, it returns too.
        """
        began = trio.current_time()
        ready: list[trio.Event] = [trio.Event() for _ in range(self._load.connections)]
        go = trio.Event()
        with self._scope:
            async with trio.open_nursery() as nursery:
                limiter = trio.CapacityLimiter(OPENINGS)
                for number in range(self._load.connections):
                    await trio.sleep_until(began + self._load.ramp * number / len(ready))
                    nursery.start_soon(self._connection, number, limiter, ready[number], go)
                for event in ready:
                    await event.wait()
                self.result.opening_seconds = trio.current_time() - began
                if self.result.opened:
                    await self._measure(go, on_progress)
                nursery.cancel_scope.cancel()
        if self._is_counting:
            self._end()
        return self.result

    async def _measure(
        self, go: trio.Event, on_progress: Callable[[Result], object] | None
    ) -> None:
        go.set()
        load, result = self._load, self.result
        await trio.sleep(load.warmup)
        self._is_counting = True
        self._out = 0  # those of the warm-up are not looked at, when they are answered either
        self._started = self._out_since = trio.current_time()
        self._cpu = time.process_time()
        end = self._started + load.seconds
        while trio.current_time() < end and result.opened > result.closed:
            if load.messages is not None and result.times.count >= load.messages:
                break
            await trio.sleep(min(0.2, max(0.0, end - trio.current_time())))
            result.seconds = trio.current_time() - self._started
            if on_progress is not None:
                on_progress(result)
        self._end()

    def _end(self) -> None:
        self._count_out(0)
        self.result.seconds = trio.current_time() - self._started
        self.result.cpu = time.process_time() - self._cpu
        self._is_counting = False

    def _count_out(self, change: int) -> None:
        """Note that so many more messages of those that count are out from now on."""
        now = trio.current_time()
        self.result.waiting_area += self._out * (now - self._out_since)
        self._out_since = now
        self._out += change

    async def _connection(
        self, number: int, limiter: trio.CapacityLimiter, ready: trio.Event, go: trio.Event
    ) -> None:
        """Open one connection, load it, and close it; its errors are noted, and end it alone."""
        try:
            async with limiter:
                manager = self._plan.open()
                connection = await manager.__aenter__()
        except Exception as error:  # noqa: BLE001 - each is a line of the report
            self.result.errors.append(outcome_of_error(error).line or type(error).__name__)
            ready.set()
            return
        self.result.opened += 1
        ready.set()
        try:
            await go.wait()
            await self._load_one(connection, number)
        finally:
            await manager.__aexit__(None, None, None)

    async def _load_one(self, connection: Connection, number: int) -> None:
        due: deque[float] = deque()
        slots = trio.Semaphore(self._load.in_flight)
        async with trio.open_nursery() as nursery:
            if self._load.rate is None:
                nursery.start_soon(self._send_at_will, connection, due, slots)
            else:
                nursery.start_soon(self._send_when_due, connection, due, number)
            await self._receive(connection, due, slots)
            nursery.cancel_scope.cancel()
        if self._is_counting:
            self._count_out(-sum(began >= self._started for began in due))
        self.result.closed += 1

    async def _send_at_will(
        self, connection: Connection, due: deque[float], slots: trio.Semaphore
    ) -> None:
        while True:
            await slots.acquire()
            if not await self._send(connection, due, trio.current_time()):
                return

    async def _send_when_due(self, connection: Connection, due: deque[float], number: int) -> None:
        every = self._load.connections / (self._load.rate or 1.0)
        at = trio.current_time() + every * number / self._load.connections
        while True:
            await trio.sleep_until(at)
            if not await self._send(connection, due, at):
                return
            at += every

    async def _send(self, connection: Connection, due: deque[float], at: float) -> bool:
        due.append(at)
        if self._is_counting and at >= self._started:
            self._count_out(1)
            self.result.waiting_area += max(0.0, trio.current_time() - at)  # out since it was due
        try:
            await connection.send(self._message)
        except ConnectionClosed:
            return False
        return True

    async def _receive(
        self, connection: Connection, due: deque[float], slots: trio.Semaphore
    ) -> None:
        while True:
            try:
                await connection.receive()
            except ConnectionClosed as error:
                self.result.errors.append(str(error))
                return
            if not due:
                self.result.errors.append("a message came that answers none of ours")
                return
            began = due.popleft()
            if self._is_counting and began >= self._started:
                self._count_out(-1)
                self.result.times.add(trio.current_time() - began)
            if self._load.rate is None and not self._send_next(connection, due):
                slots.release()

    def _send_next(self, connection: Connection, due: deque[float]) -> bool:
        """Send the next message at once, without a switch of tasks; return whether it could be."""
        # Before the peer can have it: this process may have to wait for a core meanwhile.
        due.append(trio.current_time())
        if self._is_counting:
            self._count_out(1)
        try:
            connection.send_nowait(self._message)
        except (trio.WouldBlock, ConnectionClosed):
            due.pop()
            if self._is_counting:
                self._count_out(-1)
            return False
        return True
