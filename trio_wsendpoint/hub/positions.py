"""Positions: up to where a client has read a topic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from trio_wsendpoint.hub.errors import InvalidPosition

__all__ = ["MAX_TOPIC", "Position", "check_topic"]

#: The most characters in a topic's name.
MAX_TOPIC = 255
#: The most characters in the text of a position: an epoch, an id, a topic.
_MAX_TEXT = 64 + 1 + 64 + 1 + MAX_TOPIC
_TEXT = re.compile(r"([A-Za-z0-9_]{1,64}):([0-9]{1,20}(?:-[0-9]{1,20}){0,2}):(.+)", re.DOTALL)


def check_topic(topic: object) -> None:
    """Raise `TypeError` or `ValueError` for what cannot be the name of a topic.

    A name is a `str` of 1 to 255 characters without lone surrogates.
    """
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not {type(topic).__name__}")
    if not 1 <= len(topic) <= MAX_TOPIC:
        raise ValueError(f"a topic has 1 to {MAX_TOPIC} characters, not {len(topic)}")
    if any("\ud800" <= letter <= "\udfff" for letter in topic):
        raise ValueError(f"a topic is valid Unicode, unlike {topic!a}")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a topic: behind the message with the id `id`, before the next one.

    `epoch`: which life of the topic the id belongs to: 1 to 64 letters, digits or `_`, made at
    random when the topic's history began.  Ids of different epochs say nothing about each other.
    `id`: 1 to 3 decimal numbers joined with `-`, as `17` or `1732780000000-3`.  Within an epoch
    later messages have greater ones.  An id of zeros is the place before the first message.

    `str(position)` is what a client keeps; `Position.parse` reads it.  It is opaque to the client:
    `epoch:id:topic` today.  Raises `InvalidPosition` for parts that have another form.

    >>> Position.parse("k3f:17:news").topic
    'news'
    """

    topic: str
    epoch: str
    id: str

    def __post_init__(self) -> None:
        try:
            check_topic(self.topic)
        except ValueError as error:
            raise InvalidPosition(str(error)) from None
        if _TEXT.fullmatch(str(self)) is None:
            raise InvalidPosition(f"no position has the epoch {self.epoch!a}, the id {self.id!a}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a position, which a client has sent.

        Raises `InvalidPosition`, which shows no more than the beginning of the text, escaped.
        Compare `topic` with the topics that the client may read: a client may have made it up.
        """
        match = _TEXT.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise InvalidPosition(f"this is the text of no position: {text[:40]!a}")
        return cls(match[3], match[1], match[2])

    @property
    def order(self) -> tuple[int, ...]:
        """The id as numbers: of two positions of an epoch, the later one has the greater."""
        return tuple(int(part) for part in self.id.split("-"))

    @property
    def is_origin(self) -> bool:
        """Whether it is before the first message of the epoch."""
        return not any(self.order)

    def is_before(self, other: Position) -> bool:
        """Tell whether `other` is a later place in the same epoch of the same topic."""
        return ((self.topic, self.epoch) == (other.topic, other.epoch)) and self.order < other.order

    def __str__(self) -> str:
        """Return the text that a client keeps."""
        return f"{self.epoch}:{self.id}:{self.topic}"
