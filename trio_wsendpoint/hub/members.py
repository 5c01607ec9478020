"""`Member`: one subscriber as the fan-out sees it; no Trio, no clock."""

from __future__ import annotations

from typing import Protocol

from trio_wsendpoint.hub.backplane import Gap, Replay
from trio_wsendpoint.hub.delivery import Delivery
from trio_wsendpoint.hub.policies import Close, Policy
from trio_wsendpoint.hub.queues import Place, Queue, is_had
from trio_wsendpoint.hub.statistics import SubscriberStatistics

__all__ = ["Holder", "Member"]


class Holder(Protocol):
    """What a member belongs to: a subscription, or a connection that is served."""

    def wake(self) -> None:
        """Do what is to be done: something came into the queue, or the queue was cut."""
        ...

    @property
    def is_excused(self) -> bool:
        """Whether its own app holds it up, while its peer has taken all."""
        ...

    def has_progressed(self) -> bool:
        """Tell whether its peer has taken something since the last call, or had nothing to take."""
        ...


class Member:
    """A subscriber: its `queue`, its `topics`, and the `holder` that takes from the queue.

    `name`: as statistics and `on_drop` show it.  `delivered`: messages that it took.
    """

    __slots__ = ("_floors", "_may_be_excused", "delivered", "holder", "name", "queue", "topics")

    def __init__(
        self,
        name: str,
        topics: tuple[str, ...],
        policy: Policy,
        holder: Holder,
    ) -> None:
        self.name = name
        self.topics = topics
        self.queue = Queue(policy)
        self.holder = holder
        self.delivered = 0
        self._may_be_excused = isinstance(policy, Close)
        self._floors: dict[str, Replay] = {}  # up to where a replay has shown a topic

    def offer(self, delivery: Delivery, now: float) -> list[Delivery] | None:
        """Queue a message; return what was dropped for it, or None if a replay has shown it."""
        if self._floors:
            floor = self._floors.get(delivery.topic)
            if floor is not None:
                if is_had(delivery, floor):
                    return None
                del self._floors[delivery.topic]
        is_excused = self._may_be_excused and self.holder.is_excused
        dropped = self.queue.offer(delivery, now, is_excused=is_excused)
        self.holder.wake()
        return dropped

    def offer_alone(self, place: Place, delivery: Delivery) -> bool:
        """Queue a message if nothing waits; False if something does, and that takes `offer`."""
        if self._floors or not self.queue.offer_alone(place, delivery):
            return False
        self.holder.wake()
        return True

    def tell(self, gap: Gap, now: float) -> None:
        """Queue a gap."""
        self.queue.tell(gap, now)
        self.holder.wake()

    def note_shown(self, replay: Replay) -> None:
        """Note that a replay has shown a topic up to `replay.position`: nothing comes twice."""
        self._floors[replay.topic] = replay
        self.queue.forget(replay)

    def take(self, now: float) -> Delivery | Gap | None:
        """Take out what comes next, None if nothing waits."""
        item = self.queue.take(now)
        self.delivered += isinstance(item, Delivery)
        return item

    def take_alone(self) -> None:
        """Take out the message that `Queue.peek_alone` has just returned."""
        self.queue.take_alone()
        self.delivered += 1

    def cut(self) -> list[Delivery]:
        """Give it up; return what waited."""
        dropped = self.queue.cut()
        self.holder.wake()
        return dropped

    def statistics(self, now: float) -> SubscriberStatistics:
        """Return its numbers."""
        queue = self.queue
        return SubscriberStatistics(
            name=self.name,
            topics=self.topics,
            delivered=self.delivered,
            dropped=queue.dropped,
            dropped_bytes=queue.dropped_bytes,
            replaced=queue.replaced,
            waiting=len(queue),
            waiting_bytes=queue.bytes,
            lag=queue.lag(now),
        )
