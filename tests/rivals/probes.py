"""The probes: what is done to a connection, and how it is judged.

Each run has a clock that jumps and a seed that decides in which order Trio runs its tasks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio
import trio.testing
from trio._core import _run

from tests.rivals.adapters import Adapter, Talker
from tests.rivals.peer import (
    ANSWER,
    BINARY,
    CONTINUATION,
    QUESTION,
    Peer,
    server_frame,
    socket_pair,
)

__all__ = ["CHECKPOINTS", "OUTCOMES", "PROBES", "SCHEDULES", "Probe", "probe", "run_once"]

#: What can come of a run.  `corrupt`: the peer saw a message that was not sent, a part of one, or
#: missed one whose `send` had returned; or the application missed one.  `hung`: something waits
#: still when the deadline has passed.  `closed`: the connection was closed, with an error, though
#: neither side had asked for it.
OUTCOMES = ("corrupt", "hung", "closed", "fine")
CHECKPOINTS = range(1, 31)
SCHEDULES = range(8)
#: Seconds, by the clock of the run, after which whatever waits is hung.  The longest that one of
#: the libraries takes by its own deadlines is 60 s, for a peer that answers no ping.
DEADLINE = 100.0
MIB = 1024 * 1024


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when the task that has entered it yields for the `count`-th time."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._task: trio.lowlevel.Task | None = None
        self._scope = trio.CancelScope()

    def arm(self) -> trio.CancelScope:
        """Return the scope for the current task to enter; the counting begins."""
        self._task = trio.lowlevel.current_task()
        return self._scope

    def disarm(self) -> None:
        """Count no more."""
        self._task = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


@dataclass
class Run:
    """One run of a probe: what it may use."""

    connection: Talker
    peer: Peer
    closed: tuple[type[Exception], ...]  # what the library raises when the connection is over
    cancel_at: CancelAt
    nursery: trio.Nursery


Scenario = Callable[[Run], Awaitable[str]]


async def _ask(run: Run) -> str:
    """Make a round trip more; return one of `OUTCOMES`."""
    with trio.move_on_after(DEADLINE):
        try:
            await run.connection.send(QUESTION.decode())
            answer = await run.connection.receive()
        except run.closed:
            return "closed"
        return "fine" if answer == ANSWER.decode() else "corrupt"
    return "hung"


# ---- cancelling --------------------------------------------------------------------------------


def _cancelled_send(size: int) -> Scenario:
    """A task sends and is cancelled, while the peer reads slowly; then a round trip."""

    async def scenario(run: Run) -> str:
        run.nursery.start_soon(run.peer.read, max(200, size // 10), 0.01)
        sent: list[bytes] = []
        message = b""
        with run.cancel_at.arm():
            for number in itertools.count():
                message = (b"%08d" % number) * (size // 8)
                await run.connection.send(message)
                sent.append(message)
        run.cancel_at.disarm()
        outcome = await _ask(run)
        if outcome == "closed":
            await trio.sleep(DEADLINE)  # let the peer read what was sent before
        # The one that was cancelled may have been sent or not: but whole.
        seen = run.peer.messages
        is_whole = seen in (sent, [*sent, message])
        has_begun = seen == [*sent, message][: len(seen)] and not run.peer.is_amid_message
        if run.peer.violation or not (is_whole if outcome == "fine" else has_begun):
            return "corrupt"
        return outcome

    return scenario


def _cancelled_receive(size: int) -> Scenario:
    """A task receives and is cancelled, then goes on; the messages come in small pieces."""

    async def scenario(run: Run) -> str:
        messages = [(b"%08d" % number) * (size // 8) for number in range(40)]
        frames = [
            server_frame(BINARY, message[: size // 2], fin=False)
            + server_frame(CONTINUATION, message[size // 2 :])
            for message in messages
        ]
        run.nursery.start_soon(run.peer.read)
        run.nursery.start_soon(run.peer.write, b"".join(frames), max(7, size // 5), 0.01)
        received: list[str | bytes] = []
        with run.cancel_at.arm():
            while len(received) < len(messages):
                received.append(await run.connection.receive())
        run.cancel_at.disarm()
        with trio.move_on_after(DEADLINE) as waiting:
            while len(received) < len(messages):
                received.append(await run.connection.receive())
        if received != messages[: len(received)]:
            return "corrupt"
        return "hung" if waiting.cancelled_caught else await _ask(run)

    return scenario


# ---- peers that do not do their part -----------------------------------------------------------


def _crossing(count: int) -> Scenario:
    """Both send `count` messages of 1 MiB, and only then receive."""

    async def scenario(run: Run) -> str:
        message = b"x" * MIB

        async def be_the_peer() -> None:
            await run.peer.write(server_frame(BINARY, message) * count)
            await run.peer.read()

        run.nursery.start_soon(be_the_peer)
        with trio.move_on_after(DEADLINE) as waiting:
            for _ in range(count):
                await run.connection.send(message)
            for _ in range(count):
                if await run.connection.receive() != message:
                    return "corrupt"
        return "hung" if waiting.cancelled_caught else "fine"

    return scenario


async def _deaf_peer(run: Run) -> str:
    """The peer stops reading; we send until we are told that it makes no sense."""
    with trio.move_on_after(DEADLINE):
        try:
            while True:
                await run.connection.send(b"x" * 65536)
        except run.closed:
            return "fine"
    return "hung"


async def _silent_peer(run: Run) -> str:
    """The peer reads and says nothing any more, no pong either; we wait for a message."""
    run.peer.answers_pings = False
    run.nursery.start_soon(run.peer.read)
    with trio.move_on_after(DEADLINE):
        try:
            await run.connection.receive()
        except run.closed:
            return "fine"
    return "hung"


def _closing_beside(call: str) -> Scenario:
    """One task closes while another sends to, or receives from, a peer that does nothing."""

    async def scenario(run: Run) -> str:
        ended = trio.Event()

        async def work() -> None:
            try:
                while True:
                    if call == "send":
                        await run.connection.send(b"x" * 65536)
                    else:
                        await run.connection.receive()
            except run.closed:
                ended.set()

        run.nursery.start_soon(work)
        await trio.sleep(0.1)
        with trio.move_on_after(DEADLINE):
            await run.connection.aclose()
            await ended.wait()
            return "fine"
        return "hung"

    return scenario


@dataclass(frozen=True)
class Probe:
    """What is done, and how often: at each of `checkpoints`, under each of `SCHEDULES`."""

    title: str
    scenario: Scenario
    checkpoints: Iterable[int] = (0,)


PROBES = (
    Probe("a `send` of 96 B cancelled", _cancelled_send(96), CHECKPOINTS),
    Probe("a `send` of 64 KB cancelled", _cancelled_send(64_000), CHECKPOINTS),
    Probe("a `receive` of 96 B cancelled", _cancelled_receive(96), CHECKPOINTS),
    Probe("a `receive` of 64 KB cancelled", _cancelled_receive(64_000), CHECKPOINTS),
    Probe("both send 2 MiB before they receive", _crossing(2)),
    Probe("both send 24 MiB before they receive", _crossing(24)),
    Probe("the peer stops reading while we send", _deaf_peer),
    Probe("the peer answers no ping", _silent_peer),
    Probe("`aclose` while another task sends to a peer that does nothing", _closing_beside("send")),
    Probe("`aclose` while another task receives from such a peer", _closing_beside("receive")),
)


def run_once(adapter: Adapter, scenario: Scenario, checkpoint: int, seed: int) -> str:
    """Run one scenario; return one of `OUTCOMES`."""
    cancel_at = CancelAt(checkpoint)
    outcome: list[str] = []

    async def main() -> None:
        ours, theirs = socket_pair()
        peer = Peer(theirs)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.shake_hands)
                async with adapter.connect(ours) as connection:
                    run = Run(connection, peer, adapter.closed, cancel_at, nursery)
                    try:
                        outcome.append(await scenario(run))
                    except adapter.closed:
                        outcome.append("closed")
                    nursery.cancel_scope.cancel()  # how it leaves is another question
        except Exception:  # noqa: BLE001 - whatever a library raises
            if not outcome:  # a task of the library's that failed took the block with it
                outcome.append("closed")
        finally:
            await trio.aclose_forcefully(theirs)
            await trio.aclose_forcefully(ours)

    with seeded(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[cancel_at])
    return outcome[0]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let `seed` decide in which order Trio runs its tasks, which otherwise is left to chance.

    The one private thing of Trio's that is used here; pytest-trio uses it in the same way.
    """
    was = _run._ALLOW_DETERMINISTIC_SCHEDULING
    vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    state = _run._r.getstate()
    _run._r.seed(seed)
    try:
        yield
    finally:
        _run._r.setstate(state)
        vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = was


def probe(adapter: Adapter, what: Probe, schedules: Iterable[int] = SCHEDULES) -> Counter[str]:
    """Run a probe at each of its checkpoints under each schedule; count the outcomes."""
    return Counter(
        run_once(adapter, what.scenario, checkpoint, seed)
        for checkpoint in what.checkpoints
        for seed in schedules
    )
