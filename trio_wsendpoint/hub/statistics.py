"""What a hub has done and holds, as immutable values."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Drop", "HubStatistics", "SubscriberStatistics", "TopicStatistics"]


@dataclass(frozen=True, slots=True)
class Drop:
    """What `on_drop` is told: `messages` of `topic` found no room with the subscriber `name`.

    `bytes`: what they counted for.  `is_cut`: the subscriber was given up.
    """

    topic: str
    name: str
    messages: int
    bytes: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """One subscriber that is there now.

    `delivered`: messages that it took, or its connection was given.  `dropped`, `dropped_bytes`:
    those that found no room.  `replaced`: those in whose place a newer one came (`Latest`).
    `waiting`, `waiting_bytes`: those that wait.  `lag`: seconds that the first of these has waited.
    """

    name: str
    topics: tuple[str, ...]
    delivered: int
    dropped: int
    dropped_bytes: int
    replaced: int
    waiting: int
    waiting_bytes: int
    lag: float


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """One topic that has subscribers here.

    `messages`: that came while it had.  `delivered`: how often one was queued for a subscriber;
    `dropped`: how often one found no room.  `gaps`: that the backplane told, or a publisher's
    numbers showed.  `repeats`: messages that came again and were dropped.
    """

    topic: str
    subscribers: int
    messages: int
    delivered: int
    dropped: int
    gaps: int
    repeats: int


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What `Hub.statistics()` returns.

    `is_up`: the backplane has its server.  `published`: messages of this hub that the backplane
    took; `failed`, `unsure`: those that it did not, or perhaps not.  `cut`: subscribers that were
    given up.
    """

    is_up: bool
    published: int
    failed: int
    unsure: int
    cut: int
    topics: tuple[TopicStatistics, ...]
    subscribers: tuple[SubscriberStatistics, ...]
