"""History, then live: what a subscriber gets before its queue, page by page.

The order in each topic: read to the end; join the live messages; read what came between; drop from
the queue what was read.  So the queue fills only during the last of these, however long the
history is and however slowly it is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from trio_wsendpoint.hub.backplane import Entry, Gap, Reading, Replay
from trio_wsendpoint.hub.core import Core
from trio_wsendpoint.hub.delivery import Delivery, Item
from trio_wsendpoint.hub.log import size_of
from trio_wsendpoint.hub.members import Member
from trio_wsendpoint.hub.numbers import Heard
from trio_wsendpoint.hub.policies import Close
from trio_wsendpoint.hub.positions import Position

__all__ = ["PAGE", "Feed"]

#: Entries that are read at a time.
PAGE = 100


@dataclass(slots=True)
class _Course:
    """How far a topic is replayed.

    `place`: up to where it was read.  `first`: a page that was read at the beginning.
    """

    topic: str
    place: Position | None = None
    first: Reading | None = None
    heard: Heard = field(default_factory=Heard)
    is_begun: bool = False
    is_at_end: bool = False
    is_joined: bool = False
    is_done: bool = False


class Feed:
    """The history of one member's topics; afterwards its queue has what follows."""

    def __init__(
        self, core: Core, member: Member, after: Iterable[Position], last: int | None
    ) -> None:
        self._core = core
        self._member = member
        self._after = {position.topic: position for position in after}
        self._last = last
        self._courses: deque[_Course] = deque()
        policy = member.queue.policy
        # Bytes of history that may be replayed: to one that may be cut, no more than would cut it.
        self._budget = policy.bytes if isinstance(policy, Close) else None

    async def begin(self) -> None:
        """Fix where each topic begins: what is published from now on comes.

        Raises `BackplaneDown`.
        """
        backplane = self._core.backplane
        if not backplane.has_history:
            topics = [self._core.join(self._member, name) for name in self._member.topics]
            for topic in topics:
                await self._core.wait_followed(topic)
            for name in self._after:
                gap = Gap(name, "trimmed")
                self._courses.append(_Course(name, first=Reading((), None, gap=gap), is_done=True))
            return
        for name in self._member.topics:
            course = _Course(name, self._after.get(name))
            if course.place is None:
                course.first = await backplane.read(name, last=self._last or 0)
                course.place = course.first.end
            self._courses.append(course)

    async def next_page(self) -> list[Item]:
        """Return what comes next; nothing when the history is over.

        Raises `BackplaneDown`.  If cancelled, nothing was taken.
        """
        while self._courses:
            course = self._courses[0]
            items: list[Item] = []
            if course.first is not None:
                reading, course.first = course.first, None
                items = self._items(course, reading)
            elif course.is_at_end and not course.is_joined:
                await self._core.wait_followed(self._core.join(self._member, course.topic))
                course.is_joined = True
            else:
                items = await self._read(course)
            if course.is_done:
                self._courses.popleft()
            if items:
                return items
        return []

    async def _read(self, course: _Course) -> list[Item]:
        read = self._core.backplane.read
        reading = await read(course.topic, after=course.place, limit=PAGE)
        if self._budget is not None and course.topic in self._after and not course.is_joined:
            size = sum(size_of(entry.publication) for entry in reading.entries)
            if size > self._budget:
                end = await read(course.topic, last=0)
                reading = Reading((), end.end, gap=Gap(course.topic, "slow"))
            else:
                self._budget -= size
        items = self._items(course, reading)
        course.place = reading.end
        course.is_at_end = reading.is_end
        if reading.is_end and course.is_joined:
            self._member.note_shown(Replay(course.topic, reading.end))
            course.is_done = True
        return items

    def _items(self, course: _Course, reading: Reading) -> list[Item]:
        """Return what a page is to a subscriber."""
        items: list[Item] = []
        if not course.is_begun:
            course.is_begun = True
            is_whole = reading.gap is None and course.topic in self._after
            begin = None if reading.entries else reading.end
            items.append(Replay(course.topic, course.place if is_whole else begin, reading.gap))
        elif reading.gap is not None:
            items.append(reading.gap)
        for entry in reading.entries:
            items += self._item(course, entry)
        return items

    def _item(self, course: _Course, entry: Entry) -> list[Item]:
        missing = course.heard.judge(entry.publisher, entry.number)
        if missing is None:
            return []
        self._member.delivered += 1
        delivery = Delivery(entry)
        return [Gap(course.topic, "unsure", missing), delivery] if missing else [delivery]
