"""Delivery without history: each topic is a channel of pub/sub."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from coredis.patterns.pubsub import PubSub
from coredis.retry import NoRetryPolicy

from trio_wsendpoint.hub.backplane import Entry, Receiver
from trio_wsendpoint.hub.redis.answers import as_dict
from trio_wsendpoint.hub.redis.link import Link
from trio_wsendpoint.hub.redis.log import logger
from trio_wsendpoint.hub.redis.places import ORIGIN, Followed
from trio_wsendpoint.hub.redis.waits import Bell
from trio_wsendpoint.hub.redis.wire import Foreign, from_channel

__all__ = ["ChannelFeed"]

#: Channels that are subscribed to together.
_CHUNK = 100
#: Seconds between two pings of an idle subscriber.
_IDLE = 1.0


class ChannelFeed:
    """Subscribes to the channels of all topics that are followed.

    Nothing tells what was published while there was no connection, so each new connection is a
    gap of every topic.
    """

    def __init__(self) -> None:
        self._followed = Followed()
        self._subscribed: set[str] = set()  # over the present connection
        self._awaited: set[str] = set()  # the answers to these subscriptions are not read yet
        self._news, self._answers = Bell(), Bell()

    def follow(self, topic: str) -> None:
        """Begin to deliver a topic."""
        if self._followed.follow(topic):
            self._news.ring()

    def unfollow(self, topic: str) -> None:
        """Stop to deliver a topic."""
        self._followed.unfollow(topic)
        self._news.ring()

    @trio.lowlevel.enable_ki_protection
    async def run(self, link: Link, receiver: Receiver, up: Callable[[], None]) -> None:
        """Deliver until the link fails; call `up` when all topics are subscribed to."""
        self._subscribed, self._awaited = set(), set()
        async with link.client.pubsub(
            retry_policy=NoRetryPolicy(),
            subscription_timeout=link.settings.answer_timeout,
            max_idle_seconds=_IDLE,
        ) as pubsub:
            missed = [*self._followed.places]
            for start in range(0, len(missed), _CHUNK):
                await self._subscribe(link, pubsub, missed[start : start + _CHUNK])
            up()
            if missed := [topic for topic in missed if topic in self._followed]:
                receiver.gap(missed, "disconnected")
                for topic in missed:
                    receiver.following(topic, None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_subscribed, link, pubsub)
                while True:
                    self._take(link, as_dict(await pubsub.get_message()), receiver)

    async def _keep_subscribed(self, link: Link, pubsub: PubSub[bytes]) -> None:
        """Subscribe to what is new, and unsubscribe from what is followed no more."""
        while True:
            # What the server has sent before an answer is taken before it, too.
            while self._awaited:
                await self._answers.wait()
            if new := self._followed.new[:_CHUNK]:
                await self._subscribe(link, pubsub, new)
            elif gone := [one for one in self._subscribed if one not in self._followed][:_CHUNK]:
                self._subscribed.difference_update(gone)
                await pubsub.unsubscribe(*(link.names.key(topic) for topic in gone))
            else:
                await self._news.wait()

    async def _subscribe(self, link: Link, pubsub: PubSub[bytes], topics: Sequence[str]) -> None:
        self._subscribed.update(topics)
        self._awaited.update(topics)
        await pubsub.subscribe(*(link.names.key(topic) for topic in topics))

    def _take(self, link: Link, what: dict[object, object], receiver: Receiver) -> None:
        """Take a message, or the answer to a subscription: with it a new topic begins."""
        channel, data = what.get("channel"), what.get("data")
        if not isinstance(channel, bytes):
            return
        topic = link.names.topic(channel)
        if what.get("type") == "subscribe" and topic in self._awaited:
            self._awaited.discard(topic)
            self._answers.ring()
            if self._followed.is_new(topic) and self._followed.begin(topic, ORIGIN):
                receiver.following(topic, None)
        elif what.get("type") == "message" and isinstance(data, bytes):
            self._deliver(topic, data, receiver)

    def _deliver(self, topic: str, data: bytes, receiver: Receiver) -> None:
        if not self._followed.has_begun(topic):
            return
        try:
            sent = from_channel(topic, data)
        except Foreign as error:
            logger.warning("%s; it is passed over", error)
            return
        receiver.deliver([Entry(sent.publication, None, sent.publisher, sent.number)])
