"""`Delivery`: a message on its way to subscribers, made once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from trio_wsendpoint.hub.backplane import Entry, Gap, Replay
from trio_wsendpoint.hub.log import size_of
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.protocol.shared import SharedMessage

__all__ = ["Delivery", "Item", "Wrap"]


class Delivery:
    """A message of a topic; `size`: the bytes that it counts for in a queue.

    `entry`: the message as the backplane delivered it.
    """

    __slots__ = ("_shared", "entry", "size")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.size: int = size_of(entry.publication)
        # By the function that made it; a dict when the first is made, for most wait without one.
        self._shared: dict[Wrap | None, SharedMessage | None] | None = None

    @property
    def topic(self) -> str:
        """The topic to which it was published."""
        return self.entry.publication.topic

    @property
    def message(self) -> str | bytes:
        """The message: a `str` is a text, `bytes` are a binary one."""
        return self.entry.publication.message

    @property
    def key(self) -> str | None:
        """Of which value it is the newest, or None."""
        return self.entry.publication.key

    @property
    def position(self) -> Position | None:
        """The place behind it; None without history."""
        return self.entry.position

    def shared(self, wrap: Wrap | None) -> SharedMessage | None:
        """Return what is sent for it, made by `wrap` once for all that have the same `wrap`."""
        if self._shared is None:
            self._shared = {}
        if wrap not in self._shared:
            wrapped = self.message if wrap is None else wrap(self)
            self._shared[wrap] = None if wrapped is None else SharedMessage(wrapped)
        return self._shared[wrap]

    def __repr__(self) -> str:
        return f"<Delivery of {self.topic!a}: {self.message[:40]!a}>"


#: What a subscriber gets: messages, and what is missing between them.
Item: TypeAlias = Delivery | Gap | Replay

#: Makes what a served connection is sent for an item, or None for nothing.
Wrap: TypeAlias = Callable[[Item], str | bytes | None]
