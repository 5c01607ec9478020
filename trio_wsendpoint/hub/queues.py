"""A subscriber's queue: bounded in bytes, with a policy; no Trio, no clock.

Rule 1: what is dropped leaves a `Gap` in the place where it was, before the next message of its
topic.  Gaps of a topic that meet become one.
Rule 2: no more than `Policy.bytes` wait, unless it is one message alone.
Rule 3: under any policy except `Latest` messages keep their order.
"""

from __future__ import annotations

from collections import deque

from trio_wsendpoint.hub.backplane import Gap, Reason, Replay
from trio_wsendpoint.hub.delivery import Delivery, Item
from trio_wsendpoint.hub.log import MESSAGE_OVERHEAD
from trio_wsendpoint.hub.policies import Close, DropOldest, Latest, Policy

__all__ = ["Place", "Queue", "join_gaps"]

#: Of two gaps that become one, the reason that comes later here is told.
_WEIGHT: dict[Reason, int] = {
    "slow": 0,
    "unsure": 1,
    "trimmed": 2,
    "disconnected": 3,
    "restarted": 4,
}


def join_gaps(one: Gap | None, other: Gap) -> Gap:
    """Return the gap that two gaps of a topic are together."""
    if one is None:
        return other
    lost = None if one.lost is None or other.lost is None else one.lost + other.lost
    return Gap(one.topic, max(one.reason, other.reason, key=_WEIGHT.__getitem__), lost)


class Place:
    """The place of an item that waits, and when it began to wait, in seconds.

    One of a message serves all queues in which it waits, except those with `Latest`.
    """

    __slots__ = ("came", "item")

    def __init__(self, item: Delivery | Gap, came: float) -> None:
        self.item = item
        self.came = came


def _size(item: Item) -> int:
    return item.size if isinstance(item, Delivery) else MESSAGE_OVERHEAD


class Queue:
    """What waits for one subscriber.

    `bytes`: what the items count for.  `dropped`, `dropped_bytes`: messages that found no room.
    `replaced`: messages in whose place a newer one came.  `is_cut`: it was given up because it was
    full, or by `cut`; it takes nothing any more.
    """

    __slots__ = (
        "_after",
        "_before",
        "_is_latest",
        "_places",
        "_progressed",
        "_waiting",
        "bytes",
        "dropped",
        "dropped_bytes",
        "is_cut",
        "policy",
        "replaced",
    )

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._waiting: deque[Place] = deque()
        self._is_latest = isinstance(policy, Latest)
        # With `Latest`, the places of values by topic and key.
        self._places: dict[tuple[str, str | None], Place] = {}
        self._before: dict[str, Gap] = {}  # what is missing before all that waits, by topic
        self._after: dict[str, Gap] = {}  # what is missing behind all that waits, by topic
        self._progressed = 0.0  # when it was empty, or something was taken
        self.bytes = 0
        self.dropped = 0
        self.dropped_bytes = 0
        self.replaced = 0
        self.is_cut = False

    # ---- in ----------------------------------------------------------------------------------

    def offer(self, delivery: Delivery, now: float, *, is_excused: bool = False) -> list[Delivery]:
        """Put a message at the end; return those that were dropped, it may be among them.

        `is_excused`: the subscriber is held up by its own app, so that `Close` drops instead.
        """
        if self.is_cut:
            return []
        if self.is_empty:
            self._progressed = now
        if (
            self._is_latest
            and (place := self._places.get((delivery.topic, delivery.key))) is not None
        ):
            return self._replace(place, delivery)
        missing = self._after.get(delivery.topic) if self._after else None
        size = delivery.size + (MESSAGE_OVERHEAD if missing is not None else 0)
        dropped: list[Delivery] = []
        if not self.has_room_for(size):
            if isinstance(self.policy, Close) and not is_excused:
                return self.cut(delivery)
            if not isinstance(self.policy, (DropOldest, Latest)):
                self._note_lost(self._after, delivery)
                return [delivery]
            dropped = self._make_room(size)
        if missing is not None:
            del self._after[delivery.topic]
            self._append(Place(missing, now))
        place = Place(delivery, now)
        if self._is_latest:
            self._places[delivery.topic, delivery.key] = place
        self._append(place)
        return dropped

    # Few calls: most deliveries of a hub pass here.
    def offer_alone(self, place: Place, delivery: Delivery) -> bool:
        """Put a message where nothing waits; return False if something does, or it was cut."""
        if self._waiting or self._before or self._after or self.is_cut:
            return False
        if self._is_latest:
            place = Place(delivery, place.came)  # its message may be replaced
            self._places[delivery.topic, delivery.key] = place
        self._waiting.append(place)
        self._progressed = place.came
        self.bytes = delivery.size
        return True

    def tell(self, gap: Gap, now: float) -> None:
        """Put a gap at the end."""
        if not self.is_cut:
            if self.is_empty:
                self._progressed = now
            self._after[gap.topic] = join_gaps(self._after.get(gap.topic), gap)

    def _append(self, place: Place) -> None:
        self._waiting.append(place)
        self.bytes += _size(place.item)

    def _pop(self, index: int) -> Delivery | Gap:
        """Take out the item at an index."""
        item = self._waiting[index].item
        del self._waiting[index]
        self.bytes -= _size(item)
        if self._places and isinstance(item, Delivery):
            del self._places[item.topic, item.key]
        return item

    def _replace(self, place: Place, delivery: Delivery) -> list[Delivery]:
        self.bytes += delivery.size - _size(place.item)
        place.item = delivery
        self.replaced += 1
        return self._make_room(0, but=place) if self.bytes > self.policy.bytes else []

    def _make_room(self, size: int, *, but: Place | None = None) -> list[Delivery]:
        """Drop the oldest, except the one in the place `but`, until there is room."""
        dropped: list[Delivery] = []
        while not self.has_room_for(size):
            index = 1 if self._waiting[0] is but else 0
            if index == len(self._waiting):
                break
            item = self._pop(index)
            if isinstance(item, Gap):
                self._before[item.topic] = join_gaps(self._before.get(item.topic), item)
            else:
                self._note_lost(self._before, item)
                dropped.append(item)
        return dropped

    def _note_lost(self, gaps: dict[str, Gap], delivery: Delivery) -> None:
        gaps[delivery.topic] = join_gaps(gaps.get(delivery.topic), Gap(delivery.topic, "slow", 1))
        self.dropped += 1
        self.dropped_bytes += delivery.size

    # ---- out ---------------------------------------------------------------------------------

    def take(self, now: float) -> Delivery | Gap | None:
        """Take out the item that comes next, None if nothing waits."""
        self._progressed = now
        if self._before:
            topic = next(iter(self._before))
            gap = self._before.pop(topic)
            if not self._has_waiting(topic) and topic in self._after:
                gap = join_gaps(gap, self._after.pop(topic))
            return gap
        if self._waiting:
            return self._pop(0)
        if self._after:
            return self._after.pop(next(iter(self._after)))
        return None

    def peek_alone(self) -> Delivery | None:
        """Return the message that waits, if nothing else does."""
        if len(self._waiting) != 1 or self._before:
            return None
        item = self._waiting[0].item
        return item if isinstance(item, Delivery) else None

    def take_alone(self) -> None:
        """Take out the message that `peek_alone` has just returned."""
        self._waiting.clear()
        self.bytes = 0
        if self._places:
            self._places.clear()

    def _has_waiting(self, topic: str) -> bool:
        return any(place.item.topic == topic for place in self._waiting)

    def forget(self, had: Replay) -> None:
        """Drop those messages of a topic that the subscriber has had, up to a position."""
        for index in reversed(range(len(self._waiting))):
            item = self._waiting[index].item
            if isinstance(item, Delivery) and is_had(item, had):
                self._pop(index)

    def cut(self, *others: Delivery) -> list[Delivery]:
        """Give it up: drop all that waits, and `others`, and take nothing any more."""
        waited = [place.item for place in self._waiting]
        dropped = [item for item in waited if isinstance(item, Delivery)]
        dropped += others
        self.dropped += len(dropped)
        self.dropped_bytes += sum(item.size for item in dropped)
        self.is_cut = True
        self._waiting.clear()
        self._places.clear()
        self._before.clear()
        self._after.clear()
        self.bytes = 0
        return dropped

    # ---- what waits --------------------------------------------------------------------------

    def has_room_for(self, size: int) -> bool:
        """Tell whether `size` more bytes may wait."""
        return not self._waiting or self.bytes + size <= self.policy.bytes

    def note_progress(self, now: float) -> None:
        """Note that the subscriber took something, or that the delay is not its own."""
        self._progressed = now

    @property
    def stalled_at(self) -> float:
        """When the subscriber has stalled, if it takes nothing until then, in seconds."""
        return float("inf") if self.is_empty else self._progressed + self.policy.stalled

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self._waiting or self._before or self._after)

    def lag(self, now: float) -> float:
        """Return how long the item that comes next has waited, in seconds."""
        return now - self._waiting[0].came if self._waiting else 0.0

    def __len__(self) -> int:
        return len(self._waiting)


def is_had(delivery: Delivery, had: Replay) -> bool:
    """Tell whether a replay that ended at `had.position` has shown this message."""
    position, end = delivery.position, had.position
    if delivery.topic != had.topic or position is None or end is None:
        return False
    return position.epoch == end.epoch and position.order <= end.order
