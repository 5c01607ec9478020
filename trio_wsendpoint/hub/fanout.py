"""Which subscriber gets what: topics, their members, and what is missing; no Trio, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from trio_wsendpoint.hub.backplane import Entry, Gap, Reason
from trio_wsendpoint.hub.delivery import Delivery
from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.hub.numbers import Heard
from trio_wsendpoint.hub.policies import Block
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.queues import Place
from trio_wsendpoint.hub.statistics import Drop, TopicStatistics

__all__ = ["Fanout", "Losses", "Topic"]


class Losses(Protocol):
    """What is told of messages that found no room.  Nothing here raises."""

    def note_drop(self, drop: Drop) -> None:
        """Hear that messages were dropped."""
        ...

    def note_cut(self, member: Member) -> None:
        """Hear that a member was given up."""
        ...


class Topic:
    """A topic that has members here.

    `is_followed`: the backplane delivers it.  `is_late`: it has a member that came while it was
    not followed, so that messages may have been missed.  The rest counts.
    """

    __slots__ = (
        "delivered",
        "dropped",
        "gaps",
        "heard",
        "is_followed",
        "is_late",
        "members",
        "messages",
        "name",
        "repeats",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[Member, None] = {}
        self.heard = Heard()
        self.is_followed = False
        self.is_late = False
        self.messages = self.delivered = self.dropped = self.gaps = self.repeats = 0

    def note_following(self) -> bool:
        """Note that it is delivered from now on; return whether messages may have been missed."""
        was_late, self.is_followed, self.is_late = self.is_late, True, False
        return was_late

    def note_late(self) -> None:
        """Note that a member does not wait until it is followed."""
        self.is_late = not self.is_followed

    def deliver(self, entry: Entry, now: float, losses: Losses) -> None:
        """Queue a message for each member, unless it is a repeat."""
        missing = self.heard.judge(entry.publisher, entry.number)
        if missing is None:
            self.repeats += 1
            return
        if missing:
            self.tell(Gap(self.name, "unsure", missing), now)
        self.messages += 1
        delivery = Delivery(entry)
        place = Place(delivery, now)
        # Most have nothing that waits: that costs 5 calls, where the rest costs 20.
        others = [one for one in self.members if not one.offer_alone(place, delivery)]
        self.delivered += len(self.members) - len(others)
        for member in others:
            if not member.queue.is_cut:
                self._offer(member, delivery, now, losses)

    def _offer(self, member: Member, delivery: Delivery, now: float, losses: Losses) -> None:
        """Queue a message behind others, and tell what found no room."""
        dropped = member.offer(delivery, now)
        if dropped is not None:
            self.delivered += 1
        if dropped:
            self.note_dropped(member, dropped, losses)
        if member.queue.is_cut:
            losses.note_cut(member)

    def note_dropped(self, member: Member, dropped: list[Delivery], losses: Losses) -> None:
        """Count what was dropped for a member, and tell it, a topic at a time."""
        self.dropped += len(dropped)
        for name in {delivery.topic: None for delivery in dropped}:
            sizes = [delivery.size for delivery in dropped if delivery.topic == name]
            losses.note_drop(Drop(name, member.name, len(sizes), sum(sizes), member.queue.is_cut))

    def tell(self, gap: Gap, now: float) -> None:
        """Queue a gap for each member."""
        self.gaps += 1
        for member in self.members:
            member.tell(gap, now)

    @property
    def full(self) -> list[Member]:
        """The members with `Block` that have no room for a small message."""
        return [
            member
            for member in self.members
            if isinstance(member.queue.policy, Block)
            and not member.queue.is_cut
            and not member.queue.has_room_for(1)
        ]

    def statistics(self) -> TopicStatistics:
        """Return its numbers."""
        return TopicStatistics(
            topic=self.name,
            subscribers=len(self.members),
            messages=self.messages,
            delivered=self.delivered,
            dropped=self.dropped,
            gaps=self.gaps,
            repeats=self.repeats,
        )


class Fanout:
    """The topics of one hub: the `Receiver` that its backplane calls.

    `clock` tells the time in seconds.  `changed` is called when the backplane comes or goes, or
    begins to deliver a topic.  `losses` is told of each drop.
    `is_up`: the backplane has its server.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        changed: Callable[[], object],
        losses: Losses,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._losses = losses
        self.topics: dict[str, Topic] = {}
        self.is_up = False

    # ---- members -----------------------------------------------------------------------------

    def join(self, member: Member, name: str) -> Topic:
        """Add a member to a topic; the topic is new if it has no other member."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name)
        topic.members[member] = None
        return topic

    def leave(self, member: Member) -> list[str]:
        """Take a member out of its topics; return those that have no member any more."""
        empty: list[str] = []
        for name in member.topics:
            topic = self.topics.get(name)
            if topic is not None and topic.members.pop(member, self) is None and not topic.members:
                del self.topics[name]
                empty.append(name)
        return empty

    def note_dropped(self, member: Member, dropped: list[Delivery]) -> None:
        """Count what was dropped when a member was cut."""
        for name in member.topics:
            mine = [delivery for delivery in dropped if delivery.topic == name]
            if mine and (topic := self.topics.get(name)) is not None:
                topic.note_dropped(member, mine, self._losses)

    # ---- what the backplane tells ------------------------------------------------------------

    def up(self, epoch: str) -> None:
        """Hear that the backplane has its server."""
        self.is_up = True
        self._changed()

    def down(self, error: Exception) -> None:
        """Hear that it has lost it."""
        self.is_up = False
        self._changed()

    def following(self, topic: str, position: Position | None) -> None:
        """Hear that a topic is delivered from now on."""
        found = self.topics.get(topic)
        if found is not None and found.note_following():
            self.gap([topic], "disconnected")
        self._changed()

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Hear messages, and queue each for the members of its topic."""
        now = self._clock()
        for entry in entries:
            topic = self.topics.get(entry.publication.topic)
            if topic is not None:
                topic.deliver(entry, now, self._losses)

    def gap(self, topics: Iterable[str], reason: Reason, lost: int | None = None) -> None:
        """Hear that messages are missing, and tell the members."""
        now = self._clock()
        for name in topics:
            topic = self.topics.get(name)
            if topic is not None:
                topic.heard.forgive()
                topic.tell(Gap(name, reason, lost), now)
