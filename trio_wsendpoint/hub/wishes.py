"""What a subscriber asks for, checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trio_wsendpoint.hub.policies import Latest, Policy
from trio_wsendpoint.hub.positions import Position, check_topic

__all__ = ["Wishes"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which topics, with which policy, and from where: `after` places or the `last` messages."""

    topics: tuple[str, ...]
    policy: Policy
    after: tuple[Position, ...]
    last: int | None

    @classmethod
    def check(
        cls,
        topics: str | Iterable[str],
        policy: Policy,
        after: Position | Iterable[Position] | None,
        last: int | None,
    ) -> Wishes:
        """Return the wishes; raise `TypeError` or `ValueError` for those that make no sense."""
        names = (topics,) if isinstance(topics, str) else tuple(dict.fromkeys(topics))
        for name in names:
            check_topic(name)
        if not names:
            raise ValueError("a subscriber has at least one topic")
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy as DropOldest(), not {policy!r}")
        places = (after,) if isinstance(after, Position) else () if after is None else tuple(after)
        for place in places:
            if not isinstance(place, Position):
                raise TypeError(f"after must be a Position: parse it first, unlike {place!r:.60}")
            if place.topic not in names:
                raise ValueError(f"after is a place in {place.topic!a}, which is not subscribed to")
        if places and isinstance(policy, Latest):
            raise ValueError(
                "Latest skips and reorders messages, so that no place tells what is missing: "
                "use last= in place of after="
            )
        if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 0):
            raise ValueError(f"last must be a number of messages, not {last!r}")
        return cls(names, policy, places, last)
