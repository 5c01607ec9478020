"""Delivery without history: each topic is a channel of pub/sub."""

from __future__ import annotations

from collections.abc import Callable

import trio
from coredis.patterns.pubsub import PubSub
from coredis.retry import NoRetryPolicy

from trio_wsendpoint.hub.backplane import Entry, Receiver
from trio_wsendpoint.hub.redis.answers import as_dict
from trio_wsendpoint.hub.redis.link import Link
from trio_wsendpoint.hub.redis.log import LOGGER
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
        self._news = Bell()

    def follow(self, topic: str) -> None:
        """Begin to deliver a topic."""
        if self._followed.follow(topic):
            self._news.ring()

    def unfollow(self, topic: str) -> None:
        """Stop to deliver a topic."""
        self._followed.unfollow(topic)
        self._news.ring()

    async def run(self, link: Link, receiver: Receiver, up: Callable[[], None]) -> None:
        """Deliver until the link fails; call `up` when all topics are subscribed to."""
        self._subscribed = set()
        async with link.client.pubsub(
            ignore_subscribe_messages=True,
            retry_policy=NoRetryPolicy(),
            subscription_timeout=link.settings.answer_timeout,
            max_idle_seconds=_IDLE,
        ) as pubsub:
            missed = [*self._followed.places]
            await self._subscribe(link, pubsub, missed)
            up()
            if missed := [topic for topic in missed if topic in self._followed]:
                receiver.gap(missed, "disconnected")
                for topic in missed:
                    receiver.following(topic, None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_subscribed, link, pubsub, receiver)
                while True:
                    self._deliver(link, await pubsub.get_message(), receiver)

    async def _keep_subscribed(self, link: Link, pubsub: PubSub[bytes], receiver: Receiver) -> None:
        """Subscribe to what is new, and unsubscribe from what is followed no more."""
        while True:
            if new := self._followed.new[:_CHUNK]:
                await self._subscribe(link, pubsub, new)
                for topic in new:
                    if self._followed.begin(topic, ORIGIN):
                        receiver.following(topic, None)
            elif gone := [one for one in self._subscribed if one not in self._followed][:_CHUNK]:
                self._subscribed.difference_update(gone)
                await pubsub.unsubscribe(*(link.names.key(topic) for topic in gone))
            else:
                await self._news.wait()

    async def _subscribe(
        self, link: Link, pubsub: PubSub[bytes], topics: list[str] | tuple[str, ...]
    ) -> None:
        for start in range(0, len(topics), _CHUNK):
            chunk = topics[start : start + _CHUNK]
            self._subscribed.update(chunk)
            await pubsub.subscribe(*(link.names.key(topic) for topic in chunk))

    def _deliver(self, link: Link, message: object, receiver: Receiver) -> None:
        what = as_dict(message)
        channel, data = what.get("channel"), what.get("data")
        if what.get("type") != "message" or not isinstance(channel, bytes):
            return
        topic = link.names.topic(channel)
        if topic not in self._followed or not isinstance(data, bytes):
            return
        try:
            sent = from_channel(topic, data)
        except Foreign as error:
            LOGGER.warning("%s; it is passed over", error)
            return
        receiver.deliver([Entry(sent.publication, None, sent.publisher, sent.number)])
