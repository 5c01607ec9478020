"""Policies: what becomes of messages for a subscriber that takes them too slowly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trio_wsendpoint.protocol.frames import CloseFrame
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["Block", "Close", "DropNewest", "DropOldest", "Latest", "Policy"]

KIB = 1024


class Policy:
    """The base of the policies, each of which is a frozen dataclass.

    `bytes`: what may wait for one subscriber: payloads, keys, 400 more for each message.  One
    message is always let in if nothing else waits.  `stalled`: seconds in which the subscriber
    takes nothing while something waits, after which it is cut; `math.inf` is allowed.
    """

    __slots__ = ()

    bytes: int
    stalled: float

    def __post_init__(self) -> None:
        self._check_count("bytes", self.bytes)
        name = f"{type(self).__name__}.stalled"
        if isinstance(self.stalled, bool) or not isinstance(self.stalled, (int, float)):
            raise TypeError(f"{name} must be seconds, not {self.stalled!r}")
        if not self.stalled > 0:
            raise ValueError(f"{name} must be more than 0 s, not {self.stalled}")

    def _check_count(self, name: str, value: object) -> None:
        name = f"{type(self).__name__}.{name}"
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an int, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


@dataclass(frozen=True, slots=True)
class Block(Policy):
    """Nothing is lost, if publishers wait: `await hub.wait_room(topic)` before each message.

    `publish` itself never waits for a subscriber: one that is stuck would stop the publisher, and
    with it all the others.  A message that comes although there is no room is dropped for this
    subscriber, which is told as a gap.  The subscriber that stalls is cut, so that the wait ends.
    """

    bytes: int = 1024 * KIB
    stalled: float = 10.0


@dataclass(frozen=True, slots=True)
class DropOldest(Policy):
    """The messages that have waited longest make room for a new one."""

    bytes: int = 1024 * KIB
    stalled: float = math.inf


@dataclass(frozen=True, slots=True)
class DropNewest(Policy):
    """A message that finds no room is dropped."""

    bytes: int = 1024 * KIB
    stalled: float = math.inf


@dataclass(frozen=True, slots=True)
class Latest(Policy):
    """The newest message of each topic and key takes the place of the one that waits.

    A message without a key replaces the last one without a key in its topic.  Values come in the
    order in which their keys began to wait, so that a key that changes often starves no other.
    If there are too many keys, the oldest value makes room, which is told as a gap.

    `ahead`: bytes that may be on their way to the peer: no more is handed to the connection
    until the peer has answered a ping behind them.  So a peer that begins to read again has at
    most that much to read before what is new, and one message.  It also bounds the rate: `ahead`
    for each round trip.
    """

    bytes: int = 256 * KIB
    stalled: float = math.inf
    ahead: int = 16 * KIB

    def __post_init__(self) -> None:
        # `super()` would not find the class, which `slots=True` has made anew.
        Policy.__post_init__(self)
        self._check_count("ahead", self.ahead)


@dataclass(frozen=True, slots=True)
class Close(Policy):
    """A subscriber that has no room is cut: its connection is closed with `code`.

    What waited for it is dropped.  A client comes back later, as 1013 asks it to, and begins at the
    end, with a gap: a history of more than `bytes` would cut it again, and is not replayed.
    """

    code: int = CloseCode.TRY_AGAIN_LATER
    bytes: int = 1024 * KIB
    stalled: float = 10.0

    def __post_init__(self) -> None:
        Policy.__post_init__(self)
        CloseFrame(self.code)  # which checks it
