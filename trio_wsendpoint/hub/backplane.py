"""What a hub and its backplane tell each other: the protocol, and the values that pass.

A backplane carries messages between the hubs of many processes, and keeps history.  The hub calls
`Backplane`; the backplane calls `Receiver`, the hub's ear.  Rules for both sides:

Rule 1: the calls of `Receiver` are synchronous, cheap, raise nothing, and come from a task of the
backplane's or from within a call of the hub's, in the order of what happened.
Rule 2: a message reaches `deliver`, or a call of `gap` names its topic before the next message of
that topic is delivered.  Nothing is lost silently.
Rule 3: a backplane may deliver a message twice.  Both have the same publisher and number, and the
hub drops the second.  A history has each message once: what a server has stored again, because its
publisher had no answer and sent it again, is neither read nor delivered behind its first place, so
that a client which comes back between the two gets the message once.
Rule 4: entries of one topic that have positions are delivered in the order of these.
Rule 5: no call of the hub's waits for a subscriber, nor for longer than the backplane's own
timeouts: a server that answers nothing is an error, not a wait.

tests/hub/backplane_conformance.py has the tests that each implementation must pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import trio

from trio_wsendpoint.hub.positions import Position

__all__ = [
    "Backplane",
    "Entry",
    "Gap",
    "Publication",
    "Reading",
    "Reason",
    "Receipt",
    "Receiver",
    "Replay",
]

#: Why messages are missing.  `trimmed`: the history is bounded, and they were the oldest.
#: `restarted`: the topic's history began anew, so that the position means nothing any more.
#: `disconnected`: the backplane was not connected when they were published.  `slow`: the
#: subscriber took too little.  `unsure`: a publisher's numbers have a hole, because a publish had
#: no answer, or the server lost what it had acknowledged.
Reason = Literal["trimmed", "restarted", "disconnected", "slow", "unsure"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A message as it is published: to which topic, and, for `Latest`, as the value of which key.

    `message`: a `str` is a text message, `bytes` a binary one; both survive the way unchanged.
    """

    topic: str
    message: str | bytes
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it was published.

    `position`: behind it; None if the backplane keeps no history.  `publisher`, `number`: the
    random name of the process that published it, and how many messages that process has sent to
    this topic before, plus one.  A repeat has both in common with what it repeats; a hole in the
    numbers is a loss.  A process that begins anew has a new name.
    """

    publication: Publication
    position: Position | None
    publisher: str
    number: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of `topic` are missing at this place, because of `reason`.

    `lost`: how many; None if that is unknown, and then it may even be none.
    """

    topic: str
    reason: Reason
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a subscriber is told before the history that it asked for.

    `position`: the place before what follows; None if that is unknown, and then messages follow
    that have positions of their own.  `gap`: what is missing between the place that the subscriber
    named and what follows; None if nothing is.  With a gap, an app that keeps a state loads it
    anew, and a client forgets its old place.
    """

    topic: str
    position: Position | None
    gap: Gap | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the subscriber gets each message since its position."""
        return self.gap is None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `publish` returns: the message is stored at `position`, or None without history."""

    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A page of a topic's history.

    `entries`: in their order.  `end`: where to read on: behind the last of them; without entries,
    the place that was asked for, or the topic's end.  None without history.  `is_end`: nothing
    more was there at the moment of the reading.  `gap`: what is missing before the first entry.
    """

    entries: tuple[Entry, ...]
    end: Position | None
    is_end: bool = True
    gap: Gap | None = None


class Receiver(Protocol):
    """The hub's ear.  Nothing here waits or raises."""

    def up(self, epoch: str) -> None:
        """Hear that messages can be published, read and delivered again.

        `epoch`: that of the server's contents.  Told once after `run` has begun, and after each
        `down`.  Another one than before says that positions of before mean nothing; the
        backplane tells `gap(topics, "restarted")` as well.
        """
        ...

    def down(self, error: Exception) -> None:
        """Hear that the backplane lost its server; told once, until the next `up`.

        No gap follows from this alone: what was missed is told by `gap` when it is `up` again.
        """
        ...

    def following(self, topic: str, position: Position | None) -> None:
        """Hear that delivery of a topic has begun, or gone on after `gap`.

        `position` is the end of the topic at this moment, None without history.  From now on each
        message that is published, or stored behind `position`, is delivered or told as a gap.
        Called once for each `follow`, at once or later.  Called again after a gap behind which
        messages are missing too, before the next message is delivered.
        """
        ...

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Hear messages of topics that are followed; others are ignored."""
        ...

    def gap(self, topics: Iterable[str], reason: Reason, lost: int | None = None) -> None:
        """Hear that messages of each of these topics, `lost` of each, will not be delivered."""
        ...


class Backplane(Protocol):
    """What carries messages between hubs, and keeps history.

    Made by the app without I/O, given to `open_hub(backplane=...)`, used by one hub once.
    """

    @property
    def has_history(self) -> bool:
        """Whether entries have positions, and `read` returns some."""
        ...

    async def run(
        self,
        receiver: Receiver,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep the connection to the server, and tell `receiver` what comes, until cancelled.

        A task of the hub's.  It calls `started()` after the first `up`.  From then on a lost server
        is told by `down`, and the backplane tries again, for ever.

        If cancelled: it ends within 1 s, with nothing of its own left running.
        Raises: before `started()` `BackplaneRefused` if the server's configuration is not what is
            needed, `BackplaneDown` if there is no server; nothing later, except for bugs.
        """
        ...

    def follow(self, topic: str) -> None:
        """Begin to deliver a topic.  Never waits; `Receiver.following` answers.

        To follow a topic that is followed already does nothing, and is not answered again.
        """
        ...

    def unfollow(self, topic: str) -> None:
        """Stop to deliver a topic, soon.  Never waits.  Nothing happens for an unknown topic."""
        ...

    async def publish_many(self, publications: Sequence[Publication]) -> list[Receipt]:
        """Publish messages in their order; return a receipt for each when the server has it.

        Waits until the server has answered, for room in a queue bounded in bytes before that, and
        never for longer than its own timeouts.  Numbers go to messages that leave, so that one
        which failed leaves no hole.

        If cancelled: each message may have been published or not, but those of one topic only from
            the first on.
        Raises: `PublishFailed`: none of them was sent, nor will be; `PublishUnsure`: any of them
            may have been, or may yet be.
        """
        ...

    async def read(
        self,
        topic: str,
        *,
        after: Position | None = None,
        last: int | None = None,
        limit: int = 500,
    ) -> Reading:
        """Read a page of history: the messages after a place, or the last ones; one of the two.

        `after`: at most `limit` messages behind that place.  `last`: the `last` messages at most,
        up to `limit` of them, the oldest first; 0 tells the topic's end.  A message that was
        stored and is not in a history as long as asked for is a gap with `after`, not with `last`.
        The gap of a place is found inclusively: the message at `after` itself is there yet, or
        nothing tells what has gone behind it.  A place of another epoch, or behind the topic's
        end, has a gap `restarted`, and the page begins with the oldest message.

        Without history: no entries, and with `after` a gap `trimmed`.

        If cancelled: nothing has changed.
        Raises: `BackplaneDown`.
        """
        ...
