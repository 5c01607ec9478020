"""Publishing: a queue bounded in bytes, and a task that empties it over the link of the moment."""

from __future__ import annotations

from collections.abc import Sequence

import coredis.exceptions
import trio

from trio_wsendpoint.hub.backplane import Publication, Receipt
from trio_wsendpoint.hub.errors import PublishFailed, PublishUnsure
from trio_wsendpoint.hub.numbers import Numbers
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.redis.bounds import Bounds
from trio_wsendpoint.hub.redis.errors import LinkStale, is_passing
from trio_wsendpoint.hub.redis.link import Command, Link, Value
from trio_wsendpoint.hub.redis.outgoing import Answer, Fate, Item, Job, Outgoing
from trio_wsendpoint.hub.redis.settings import RedisSettings
from trio_wsendpoint.hub.redis.waits import Bell
from trio_wsendpoint.hub.redis.wire import Names, Sent, size_of, to_channel, to_fields

__all__ = ["Publisher"]

#: Messages that are sent together, and the bytes after which no more are added.
_BATCH = 100
_BATCH_BYTES = 1024 * 1024


class Publisher:
    """Publishes what calls have queued, in order, one batch at a time.

    A call waits for room, then for the answer, `publish_timeout` seconds in all.  A message
    without an answer is sent again over the next link, until its call gives it up.
    """

    def __init__(self, settings: RedisSettings, names: Names, numbers: Numbers) -> None:
        self._settings = settings
        self._names = names
        self._bounds = None if settings.history is None else Bounds(settings.history)
        self._outgoing = Outgoing(numbers)
        self._bell = Bell()
        self._room = trio.lowlevel.ParkingLot()
        self._answered: dict[Job, trio.Event] = {}
        self._server_ms = 0  # the server's time, as the newest id tells it
        self._epoch = ""

    async def publish(self, publications: Sequence[Publication]) -> list[Receipt]:
        """Publish messages; see `Backplane.publish_many`."""
        size = sum(size_of(publication) for publication in publications)
        with trio.move_on_after(self._settings.publish_timeout) as scope:
            await trio.lowlevel.checkpoint()
            while self._outgoing.bytes and self._outgoing.bytes + size > self._settings.queue_bytes:
                await self._room.park()
        if scope.cancelled_caught:
            waiting = f"{self._outgoing.bytes} bytes wait to be published"
            raise PublishFailed(f"no room in {self._settings.publish_timeout:g} s: {waiting}")
        job = self._outgoing.add(publications)
        if job.left:
            await self._wait(job, scope.deadline)
        return self._receipts(job)

    async def _wait(self, job: Job, deadline: float) -> None:
        """Wait until a call is answered; give it up when its time is over, or if cancelled."""
        event = self._answered[job] = trio.Event()
        self._bell.ring()
        try:
            with trio.move_on_at(deadline):
                await event.wait()
        finally:
            del self._answered[job]
            if job.left:
                self._outgoing.withdraw(job)
            self._room.unpark_all()

    def _receipts(self, job: Job) -> list[Receipt]:
        """Return the receipts of a call, or raise what became of it."""
        if all(item.answer and item.answer.fate is Fate.STORED for item in job.items):
            return [Receipt(item.answer.position) for item in job.items if item.answer]
        error = PublishUnsure if job.may_have_arrived else PublishFailed
        if job.refusal is not None:
            text = f"Redis at {self._settings.address} refuses: {ascii(str(job.refusal))[1:-1]}"
        else:
            place, seconds = self._settings.address, self._settings.publish_timeout
            text = f"Redis at {place} has not answered for {seconds:g} s"
        raise error(text) from job.refusal

    # ---- the task ------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def run(self, link: Link) -> None:
        """Send what is queued until the link fails."""
        self._server_ms = 0  # another server has another clock
        if link.epoch != self._epoch:
            self._epoch = link.epoch
            self._outgoing.forget_places()
        async with link.client.connection_pool.acquire() as connection:
            while True:
                if not self._outgoing:
                    await self._bell.wait()
                    continue
                batch = self._outgoing.take(_BATCH, _BATCH_BYTES)
                items = [item for item, _ in batch]
                answers = [Answer(Fate.NOT_NOW)] * len(items)
                try:
                    request = link.batch(connection, [*self._commands(batch), link.proof])
                    answers = [Answer(Fate.UNSURE)] * len(items)
                    results = await request
                    answers = self._judge(link, items, results)
                finally:
                    self._settle(items, answers)
                self._raise_failure(results, answers)

    def _settle(self, items: Sequence[Item], answers: Sequence[Answer]) -> None:
        for job in self._outgoing.settle(items, answers):
            if (event := self._answered.get(job)) is not None:
                event.set()
        self._room.unpark_all()

    def _commands(self, batch: Sequence[tuple[Item, Sent]]) -> list[Command]:
        """Return the commands for a batch: one for each message, then what keeps the age."""
        bounds = self._bounds
        if bounds is None:
            return [(b"PUBLISH", self._key(one), to_channel(one)) for _, one in batch]
        commands: list[Command] = []
        due: dict[str, bytes] = {}
        for item, one in batch:
            topic, key = one.publication.topic, self._key(one)
            length = bounds.length(topic, item.size)
            commands.append((b"XADD", key, b"MAXLEN", b"=", length, b"*", *to_fields(one)))
            if bounds.is_due(topic, trio.current_time()):
                due[topic] = key
        for key in due.values():
            oldest = bounds.oldest(self._server_ms)
            # XADD does not renew a time to live.
            commands += [
                (b"XTRIM", key, b"MINID", b"=", oldest),
                (b"PEXPIRE", key, bounds.lifetime),
            ]
        return commands

    def _key(self, sent: Sent) -> bytes:
        return self._names.key(sent.publication.topic)

    def _judge(self, link: Link, items: Sequence[Item], results: Sequence[Value]) -> list[Answer]:
        """Return the fate of each message of a batch."""
        answers = [
            _answer(link, item.publication.topic, result)
            for item, result in zip(items, results, strict=False)
        ]
        if not link.is_proven(results[-1]):
            unsure = Answer(Fate.UNSURE, error=link.stale())
            return [unsure if one.fate is Fate.STORED else one for one in answers]
        for position in (answer.position for answer in answers):
            if position is not None:
                self._server_ms = max(self._server_ms, position.order[0])
        return answers

    def _raise_failure(self, results: Sequence[Value], answers: Sequence[Answer]) -> None:
        """Raise what ends the link, if an answer says so."""
        for answer in answers:
            if answer.fate in {Fate.UNSURE, Fate.NOT_NOW}:
                raise answer.error or LinkStale("a command has had no answer")
        for result in results:
            if isinstance(result, (coredis.exceptions.ConnectionError, TimeoutError)):
                raise result


def _answer(link: Link, topic: str, result: Value) -> Answer:
    if isinstance(result, bytes):
        return Answer(Fate.STORED, Position(topic, link.epoch, result.decode("ascii", "replace")))
    if not isinstance(result, BaseException):
        return Answer(Fate.STORED)
    if is_passing(result):
        return Answer(Fate.NOT_NOW, error=result)
    if isinstance(result, coredis.exceptions.ResponseError):
        return Answer(Fate.REFUSED, error=result)
    return Answer(Fate.UNSURE, error=result)
