"""Delivery with history: each topic is a stream, and one connection reads all that are followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import coredis.exceptions
import trio
from coredis.connection import BaseConnection

from trio_wsendpoint.hub.backplane import Entry, Receiver
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.redis.link import Command, Link, Value
from trio_wsendpoint.hub.redis.log import logger
from trio_wsendpoint.hub.redis.places import Followed, Found, Pace, judge
from trio_wsendpoint.hub.redis.repeats import is_marked, without_repeats
from trio_wsendpoint.hub.redis.rows import Row, read_facts, read_rows, read_streams
from trio_wsendpoint.hub.redis.waits import Bell
from trio_wsendpoint.hub.redis.wire import Foreign, from_fields

__all__ = ["StreamFeed", "entry_of"]

#: Topics whose places are asked for together.
_CHUNK = 50
#: Seconds between two tries to end a read that does not know of a new topic yet.
_NUDGE = 0.02


def entry_of(topic: str, epoch: str, row: Row) -> Entry | None:
    """Return the message of a stream's row; None for one of another writer, which is logged."""
    try:
        sent = from_fields(topic, row.fields)
    except Foreign as error:
        logger.warning("%s; it is passed over", error)
        return None
    return Entry(sent.publication, Position(topic, epoch, row.id), sent.publisher, sent.number)


class StreamFeed:
    """Reads the streams of all topics that are followed, from where each was left.

    The places outlive a connection: after a new one each is looked at, inclusively, before
    reading goes on there; where it does not hold, that is told as a gap.
    """

    def __init__(self) -> None:
        self._followed = Followed()
        self._epoch = ""
        self._pace = Pace()
        self._news, self._nudges = Bell(), Bell()
        self._reading: int | None = None  # the id of the connection that waits in a read

    def follow(self, topic: str) -> None:
        """Begin to read a topic."""
        if self._followed.follow(topic):
            self._news.ring()
            self._nudges.ring()

    def unfollow(self, topic: str) -> None:
        """Stop to read a topic, with the next read."""
        self._followed.unfollow(topic)

    @trio.lowlevel.enable_ki_protection
    async def run(self, link: Link, receiver: Receiver, up: Callable[[], None]) -> None:
        """Read until the link fails; call `up` when the places have been looked at."""
        is_same = link.epoch == self._epoch
        found = await self._look(link, is_same_epoch=is_same)
        self._epoch = link.epoch
        up()
        self._tell(found, receiver)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._nudge, link)
            async with link.client.connection_pool.acquire() as connection:
                while True:
                    await self._begin_new(link, receiver)
                    if places := self._followed.places:
                        answer = await self._read(link, connection, places)
                        await self._deliver(link, answer, receiver)
                    else:
                        await self._news.wait()

    # ---- places --------------------------------------------------------------------------------

    async def _look(self, link: Link, *, is_same_epoch: bool) -> dict[str, Found]:
        """Return what became of each place."""
        found: dict[str, Found] = {}
        places = iter(self._followed.places.items())
        while chunk := list(islice(places, _CHUNK)):
            commands: list[Command] = []
            for topic, place in chunk:
                key = link.names.key(topic)
                commands.append((b"XINFO STREAM", key))
                commands.append((b"XRANGE", key, place, place))
            answers = await link.try_ask(commands)
            for (topic, place), info, row in zip(chunk, answers[::2], answers[1::2], strict=True):
                found[topic] = judge(
                    place,
                    read_facts(info),
                    is_there=bool(read_rows(row)),
                    is_same_epoch=is_same_epoch,
                )
        return found

    def _tell(self, found: dict[str, Found], receiver: Receiver) -> None:
        """Tell the gaps, those with the same reason together, and where reading goes on."""
        gaps: dict[Found, list[str]] = {}
        for topic, one in found.items():
            if one.gap is not None and self._followed.begin(topic, one.start):
                gaps.setdefault(Found("", one.gap, one.lost), []).append(topic)
        for one, topics in gaps.items():
            if one.gap is not None:
                receiver.gap(topics, one.gap, one.lost)
        for topic in (topic for topics in gaps.values() for topic in topics):
            receiver.following(topic, Position(topic, self._epoch, found[topic].start))

    async def _begin_new(self, link: Link, receiver: Receiver) -> None:
        """Give new topics their places: the end of each stream."""
        for topics in iter(lambda: self._followed.new[:_CHUNK], ()):
            infos = await link.try_ask([(b"XINFO STREAM", link.names.key(one)) for one in topics])
            for topic, info in zip(topics, infos, strict=True):
                place = read_facts(info).last
                if self._followed.begin(topic, place):
                    receiver.following(topic, Position(topic, self._epoch, place))

    # ---- reading -------------------------------------------------------------------------------

    async def _read(self, link: Link, connection: BaseConnection, places: dict[str, str]) -> Value:
        """Wait for news of any topic, `Link.settings.block` seconds at most."""
        count = self._pace.count(len(places))
        block = int(link.settings.block * 1000)
        keys = [link.names.key(topic) for topic in places]
        head: Command = (b"XREAD", b"COUNT", count, b"BLOCK", block, b"STREAMS")
        news = connection.create_request(
            *link.request((*head, *keys, *places.values())), disconnect_on_cancellation=True
        )
        # Answered when the read is: what it brings is of the contents that the link knows.
        proof = connection.create_request(*link.request(link.proof))
        self._reading = connection.client_id
        try:
            answer = await news
        finally:
            self._reading = None
        if not link.is_proven(await proof):
            raise link.stale()
        return answer

    async def _deliver(self, link: Link, answer: Value, receiver: Receiver) -> None:
        """Deliver what a read has brought, without repeats."""
        read = [(link.names.topic(key), rows) for key, rows in read_streams(answer) if rows]
        news: list[list[Row]] = []
        for topic, rows in read:
            news.append(await without_repeats(link, topic, rows) if is_marked(rows) else rows)
        # No wait from here on: what a place has passed is delivered.
        entries: list[Entry] = []
        sizes: list[int] = []
        for (topic, rows), new in zip(read, news, strict=True):
            if not self._followed.has_begun(topic):
                continue
            sizes.extend(sum(map(len, row.fields)) for row in rows)
            entries.extend(_entries(topic, self._epoch, new))
            self._followed.advance(topic, rows[-1].id)
        self._pace.note(sizes)
        if entries:
            receiver.deliver(entries)

    async def _nudge(self, link: Link) -> None:
        """End a read that waits, when a topic is new: it reads that one too then."""
        while True:
            await self._nudges.wait()
            while self._followed.new:
                if self._reading is not None:
                    try:
                        await link.ask([(b"CLIENT UNBLOCK", self._reading)])
                    except coredis.exceptions.ResponseError as error:
                        logger.info("Redis refuses CLIENT UNBLOCK: %a", str(error))
                        break  # the read ends by itself, a second later
                await trio.sleep(_NUDGE)


def _entries(topic: str, epoch: str, rows: Iterable[Row]) -> list[Entry]:
    found = (entry_of(topic, epoch, row) for row in rows)
    return [entry for entry in found if entry is not None]
