"""The backplane in memory: what a hub has by default, and what tests break on purpose.

A `MemoryServer` stands for the server, and a `MemoryBackplane` for one process's way to it.  Each
fault of a real server has a switch here, so that the hub, and an app, can be tried on it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence

import trio

from trio_wsendpoint.hub.backplane import Entry, Gap, Publication, Reading, Receipt, Receiver
from trio_wsendpoint.hub.errors import BackplaneDown, PublishFailed, PublishUnsure
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.log import Log
from trio_wsendpoint.hub.numbers import Numbers
from trio_wsendpoint.hub.positions import Position

__all__ = ["MemoryBackplane", "MemoryServer"]


class MemoryServer:
    """What the backplanes of one process share: the topics' histories, and the faults.

    `history`: how much of each topic is kept; None keeps nothing, and gives no positions.
    `topics`: of how many topics; one more, and the history of the topic that was quiet longest is
    dropped, which its clients are told as a gap.  `random_bytes` makes names and epochs.

    The faults, by which tests learn what their program does:

    `stop()`, `start()`: the server is gone for all, and comes back with what it had.
    `wipe()`: it loses everything, as a server without persistence that was restarted.
    `lose(topic, count)`: it loses the newest messages of a topic, which it had acknowledged.
    `freeze()`, `thaw()`: it answers nothing, and executes what came when it thaws.
    `repeats`: while it is True, each message is delivered twice.
    `drops`: the next so many deliveries get lost on the way.
    """

    def __init__(
        self,
        *,
        history: History | None = None,
        topics: int = 10_000,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if topics < 1:
            raise ValueError(f"topics must be at least 1, not {topics}")
        self.history = history
        self.repeats = False
        self.drops = 0
        self.is_up = True
        self.is_frozen = False
        self._topics = topics
        self._random_bytes = random_bytes
        self._logs: OrderedDict[str, Log] = OrderedDict()
        self._lives = 0  # how many logs there have been, for epochs that differ
        self._frozen: list[tuple[MemoryBackplane, Sequence[Publication]]] = []
        self._backplanes: list[MemoryBackplane] = []
        self.epoch = self.make_name()

    def make_name(self) -> str:
        """Return a random name: of an epoch, of a publisher."""
        return self._random_bytes(8).hex()

    # ---- what backplanes ask -----------------------------------------------------------------

    def attach(self, backplane: MemoryBackplane) -> None:
        """Deliver to a backplane from now on."""
        self._backplanes.append(backplane)

    def detach(self, backplane: MemoryBackplane) -> None:
        """Deliver to it no more."""
        self._backplanes.remove(backplane)

    def log(self, topic: str) -> Log | None:
        """Return the history of a topic, an empty one for a new topic; None without histories."""
        if self.history is None:
            return None
        log = self._logs.get(topic)
        if log is None:
            self._lives += 1
            log = self._logs[topic] = Log(topic, f"{self.epoch}_{self._lives}", self.history)
        self._logs.move_to_end(topic)
        if len(self._logs) > self._topics:
            self._forget(self._logs.popitem(last=False)[0])
        return log

    def _forget(self, topic: str) -> None:
        """Tell those who follow a topic that it begins anew."""
        for backplane in self._backplanes:
            backplane.hear_restart([topic])

    def store(
        self, backplane: MemoryBackplane, publications: Sequence[Publication], now: float
    ) -> list[Receipt]:
        """Store messages and deliver them; return a receipt for each."""
        entries: list[Entry] = []
        for publication in publications:
            number = backplane.numbers.take(publication.topic)
            log = self.log(publication.topic)
            if log is None:
                entries.append(Entry(publication, None, backplane.numbers.publisher, number))
            else:
                entries.append(log.append(publication, backplane.numbers.publisher, number, now))
        sent = [entry for entry in entries for _ in range(1 + self.repeats)]
        dropped = min(self.drops, len(sent))
        self.drops -= dropped
        for other in [*self._backplanes]:
            other.hear(sent[dropped:])
        return [Receipt(entry.position) for entry in entries]

    def keep_frozen(self, backplane: MemoryBackplane, publications: Sequence[Publication]) -> None:
        """Keep messages until the server thaws."""
        self._frozen.append((backplane, publications))

    # ---- faults ------------------------------------------------------------------------------

    def stop(self) -> None:
        """Go down."""
        self.is_up = False
        for backplane in self._backplanes:
            backplane.disconnect()

    def start(self) -> None:
        """Come back."""
        self.is_up = True
        for backplane in self._backplanes:
            backplane.reconnect()

    def wipe(self) -> None:
        """Lose everything: another epoch begins."""
        self._logs.clear()
        self.epoch = self.make_name()
        for backplane in self._backplanes:
            backplane.hear_wipe()

    def lose(self, topic: str, count: int) -> None:
        """Lose the newest messages of a topic."""
        if (log := self._logs.get(topic)) is not None:
            log.lose(count)

    def freeze(self) -> None:
        """Answer nothing any more."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Execute what came meanwhile, and answer again."""
        self.is_frozen = False
        frozen, self._frozen = self._frozen, []
        for backplane, publications in frozen:
            self.store(backplane, publications, trio.current_time())


class MemoryBackplane:
    """A backplane within one process; see `Backplane` for what its methods promise.

    `server`: what it shares with others; by default it has one of its own, with `history`.
    `numbers`: of the messages that it publishes.
    `timeout`: seconds that a call waits for a frozen server.

    `disconnect()`, `reconnect()`: this way alone is gone, and comes back: the others' is not.
    """

    def __init__(
        self,
        server: MemoryServer | None = None,
        *,
        history: History | None = None,
        timeout: float = 2.0,
    ) -> None:
        if server is not None and history is not None:
            raise ValueError("the server has the history: give history= to MemoryServer")
        self.server = MemoryServer(history=history) if server is None else server
        self.numbers = Numbers(self.server.make_name())
        self._timeout = timeout
        self._receiver: Receiver | None = None
        self._is_connected = False
        self._followed: dict[str, Position | None] = {}  # with the end of what was delivered

    @property
    def has_history(self) -> bool:
        """Whether entries have positions, and `read` returns some."""
        return self.server.history is not None

    async def run(
        self,
        receiver: Receiver,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Deliver to `receiver` until cancelled.

        If cancelled: it ends at once.
        Raises: `BackplaneDown` if the server is stopped.
        """
        if not self.server.is_up:
            raise BackplaneDown("the server is stopped")
        self._receiver = receiver
        self.server.attach(self)
        try:
            self._is_connected = True
            receiver.up(self.server.epoch)
            for topic in [*self._followed]:
                self._begin(topic)
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._is_connected = False
            self.server.detach(self)

    def follow(self, topic: str) -> None:
        """Begin to deliver a topic."""
        if topic not in self._followed:
            self._followed[topic] = None
            if self._is_connected:
                self._begin(topic)

    def unfollow(self, topic: str) -> None:
        """Stop to deliver a topic."""
        self._followed.pop(topic, None)

    async def publish_many(self, publications: Sequence[Publication]) -> list[Receipt]:
        """Publish messages: at once, unless the server is frozen.

        If cancelled: the messages were published, all of them or none.
        Raises: `PublishFailed` without a connection; `PublishUnsure` if the server is frozen.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_up(PublishFailed)
        if self.server.is_frozen:
            self.server.keep_frozen(self, publications)
            await trio.sleep(self._timeout)
            raise PublishUnsure(f"the server has not answered for {self._timeout} s")
        receipts = self.server.store(self, publications, trio.current_time())
        await trio.lowlevel.cancel_shielded_checkpoint()
        return receipts

    async def read(
        self,
        topic: str,
        *,
        after: Position | None = None,
        last: int | None = None,
        limit: int = 500,
    ) -> Reading:
        """Read a page of history.

        If cancelled: nothing has changed.
        Raises: `BackplaneDown` without a connection, or if the server is frozen.
        """
        await trio.lowlevel.checkpoint()
        self._check_up(BackplaneDown)
        if self.server.is_frozen:
            await trio.sleep(self._timeout)
            raise BackplaneDown(f"the server has not answered for {self._timeout} s")
        log, now = self.server.log(topic), trio.current_time()
        if log is None:
            return Reading((), None, gap=None if after is None else Gap(topic, "trimmed"))
        if after is not None:
            return log.read(after, limit, now)
        return log.read_last(min(last or 0, limit), now)

    def _check_up(self, error: type[Exception]) -> None:
        if not self._is_connected:
            raise error("there is no connection to the server")

    # ---- what the server tells ---------------------------------------------------------------

    def hear(self, entries: Sequence[Entry]) -> None:
        """Deliver those messages whose topics are followed."""
        if self._receiver is None or not self._is_connected:
            return
        heard = [entry for entry in entries if entry.publication.topic in self._followed]
        for entry in heard:
            self._followed[entry.publication.topic] = entry.position
        if heard:
            self._receiver.deliver(heard)

    def hear_restart(self, topics: Sequence[str]) -> None:
        """Tell that topics begin anew."""
        followed = [topic for topic in topics if topic in self._followed]
        if self._receiver is not None and self._is_connected and followed:
            self._receiver.gap(followed, "restarted")
            for topic in followed:
                self._begin(topic)

    def hear_wipe(self) -> None:
        """Tell that everything begins anew, in another epoch."""
        if self._receiver is not None and self._is_connected:
            self._receiver.down(BackplaneDown("the server was wiped"))
            self._receiver.up(self.server.epoch)
            self.hear_restart([*self._followed])

    # ---- faults of this way ------------------------------------------------------------------

    def disconnect(self) -> None:
        """Lose the connection to the server."""
        if self._is_connected and self._receiver is not None:
            self._is_connected = False
            self._receiver.down(BackplaneDown("the connection was lost"))

    def reconnect(self) -> None:
        """Connect again, and deliver what was missed as far as it is there."""
        if self._is_connected or self._receiver is None or not self.server.is_up:
            return
        self._is_connected = True
        self._receiver.up(self.server.epoch)
        for topic, place in [*self._followed.items()]:
            self._catch_up(topic, place)

    def _begin(self, topic: str) -> None:
        """Tell where delivery of a topic begins."""
        log = self.server.log(topic)
        end = self._followed[topic] = None if log is None else log.end
        if self._receiver is not None:
            self._receiver.following(topic, end)

    def _catch_up(self, topic: str, place: Position | None) -> None:
        """Deliver what was missed of a topic, or tell that it is missing."""
        log, receiver = self.server.log(topic), self._receiver
        if receiver is None:
            return
        if log is None or place is None:
            receiver.gap([topic], "disconnected")
            self._begin(topic)
            return
        missed = log.read(place, len(log) + 1, trio.current_time())
        if missed.gap is not None:
            receiver.gap([topic], missed.gap.reason, missed.gap.lost)
        self.hear(missed.entries)
