"""`RedisBackplane`: carries a hub's messages through Redis, and keeps their history there."""

from __future__ import annotations

import random
import secrets
import ssl
from collections.abc import Sequence
from functools import partial

import coredis.exceptions
import trio

from trio_wsendpoint.hub.backplane import Gap, Publication, Reading, Receipt, Receiver
from trio_wsendpoint.hub.errors import (
    BackplaneDown,
    BackplaneError,
    BackplaneRefused,
    PublishFailed,
)
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.numbers import Numbers
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.redis.channels import ChannelFeed
from trio_wsendpoint.hub.redis.errors import tell
from trio_wsendpoint.hub.redis.link import Link, hold
from trio_wsendpoint.hub.redis.log import logger
from trio_wsendpoint.hub.redis.pages import read_after, read_last
from trio_wsendpoint.hub.redis.publisher import Publisher
from trio_wsendpoint.hub.redis.settings import Durability, RedisSettings
from trio_wsendpoint.hub.redis.streams import StreamFeed
from trio_wsendpoint.hub.redis.waits import Waits
from trio_wsendpoint.hub.redis.wire import Names

__all__ = ["RedisBackplane"]

#: Seconds between two looks at the server while the link works.
_LOOK_EACH = 1.0
#: A link that has lasted so many seconds makes the waits short again.
_HEALTHY = 1.0


class RedisBackplane:
    """A backplane on one Redis server, 7.0 or later; see `Backplane` for what its methods promise.

    `url`: `redis://[user[:password]@]host[:port][/db]`, `rediss://` for TLS, `unix:///path[?db=n]`.
    `history`: how much of each topic is kept, in a stream; entries and age hold exactly, bytes by
    estimate.  None keeps nothing: topics are channels of pub/sub, and whatever is published while
    a process is not connected is a gap there.
    `durability`: what the server must promise for the history, checked at the start.  "aof", the
    default: appendonly yes.  "always": appendfsync always as well, under which nothing is lost
    that was acknowledged.  "none": the history may be lost with the server.
    `prefix`: what all keys and channels begin with; hubs that differ in it share nothing.
    `ssl_context`: for `rediss://`; by default one that verifies the server's name.
    `connect_timeout`: seconds for a connection.
    `answer_timeout`: seconds for an answer of the server.
    `publish_timeout`: seconds for a whole call of `publish_many`.
    `queue_bytes`: what may wait to be published; a call waits for room.
    `longest_wait`: seconds between two attempts to connect, at most.
    `rng`: draws these waits; by default one that nothing else uses.

    A server that answers nothing is given up after `answer_timeout` and a second more.  Raises
    `ValueError` or `TypeError` for options that make no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        history: History | None = None,
        durability: Durability | None = None,
        prefix: str = "wsendpoint",
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 1.0,
        answer_timeout: float = 2.0,
        publish_timeout: float = 5.0,
        queue_bytes: int = 8 * 1024 * 1024,
        longest_wait: float = 0.5,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = RedisSettings(
            url=url,
            history=history,
            durability=durability,
            prefix=prefix,
            ssl_context=ssl_context,
            connect_timeout=connect_timeout,
            answer_timeout=answer_timeout,
            publish_timeout=publish_timeout,
            queue_bytes=queue_bytes,
            longest_wait=longest_wait,
            rng=random.SystemRandom() if rng is None else rng,
        )
        self._names = Names(prefix)
        self._name = secrets.token_hex(8)
        self._publisher = Publisher(self.settings, self._names, Numbers(self._name))
        self._feed = ChannelFeed() if history is None else StreamFeed()
        self._link: Link | None = None  # while it works
        self._is_running = False  # between the first `up` and the end of `run`

    def __repr__(self) -> str:
        return f"<RedisBackplane {self.settings.address}>"

    @property
    def has_history(self) -> bool:
        """Whether entries have positions, and `read` returns some."""
        return self.settings.history is not None

    def follow(self, topic: str) -> None:
        """Begin to deliver a topic."""
        self._feed.follow(topic)

    def unfollow(self, topic: str) -> None:
        """Stop to deliver a topic."""
        self._feed.unfollow(topic)

    async def publish_many(self, publications: Sequence[Publication]) -> list[Receipt]:
        """Publish messages: wait for room, for a link, and for the server's answer.

        What had no answer is sent again with the same numbers, until the call's time is over.

        If cancelled: each message may have been published or not, but those of one topic only from
            the first on.
        Raises: `PublishFailed`: none of them was sent, nor will be; `PublishUnsure`: any of them
            may have been, or may yet be.
        """
        if not self._is_running:
            await trio.lowlevel.checkpoint()
            raise PublishFailed("the backplane does not run")
        return await self._publisher.publish(publications)

    async def read(
        self,
        topic: str,
        *,
        after: Position | None = None,
        last: int | None = None,
        limit: int = 500,
    ) -> Reading:
        """Read a page of history: the messages after a place, or the last ones.

        If cancelled: nothing has changed.
        Raises: `BackplaneDown` if there is no connection, or it was lost meanwhile.
        """
        link, history = self._link, self.settings.history
        if link is None:
            await trio.lowlevel.checkpoint()
            raise BackplaneDown(f"there is no connection to Redis at {self.settings.address}")
        if history is None:
            await trio.lowlevel.checkpoint()
            return Reading((), None, gap=None if after is None else Gap(topic, "trimmed"))
        try:
            if after is not None:
                return await read_after(link, history, topic, after, limit)
            return await read_last(link, history, topic, min(last or 0, limit))
        except (coredis.exceptions.RedisError, OSError) as error:
            await trio.lowlevel.checkpoint_if_cancelled()  # it may be what coredis made of that
            raise BackplaneDown(str(tell(error, self.settings.address))) from error

    # ---- the connection ------------------------------------------------------------------------

    async def run(
        self,
        receiver: Receiver,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep a link to the server until cancelled.

        If cancelled: it ends within 1 s, with nothing of its own left running.
        Raises: before `started()` what the first attempt met: `BackplaneRefused` if the server is
            not configured as it must be, `BackplaneDown` if there is none; later nothing.
        """
        waits = Waits(self.settings.longest_wait, self.settings.rng)
        is_first = True
        try:
            while True:
                began = trio.current_time()
                use = partial(self._use, receiver, task_status if is_first else None)
                error = await hold(self.settings, self._names, use)
                was_up, self._link = self._link is not None, None
                if is_first and not was_up:
                    raise error
                is_first = False
                if was_up:
                    receiver.down(error)
                if was_up and trio.current_time() - began > _HEALTHY:
                    waits.reset()
                _log(error, was_up=was_up)
                await trio.sleep(waits.next())
        finally:
            self._link, self._is_running = None, False

    @trio.lowlevel.enable_ki_protection
    async def _use(
        self, receiver: Receiver, status: trio.TaskStatus[None] | None, link: Link
    ) -> None:
        """Deliver, publish and look at the server until the link fails."""
        async with trio.open_nursery() as nursery:

            def up() -> None:
                self._link, self._is_running = link, True
                logger.info("connected to Redis at %s", self.settings.address)
                receiver.up(link.epoch or self._name)
                nursery.start_soon(self._publisher.run, link)
                nursery.start_soon(_watch, link)
                if status is not None:
                    status.started()

            await self._feed.run(link, receiver, up)


async def _watch(link: Link) -> None:
    """Look at the server each second, so that one that is frozen or replaced is noticed."""
    while True:
        await trio.sleep(_LOOK_EACH)
        await link.check()


def _log(error: BackplaneError, *, was_up: bool) -> None:
    """Log why a link has ended: what is new, what an operator has to do, what nobody expects."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, (coredis.exceptions.RedisError, OSError)):
        logger.error("the link to Redis failed unexpectedly", exc_info=cause)
    elif was_up or isinstance(error, BackplaneRefused):
        logger.warning("%s; trying again", error)
    else:
        logger.debug("%s; trying again", error)
