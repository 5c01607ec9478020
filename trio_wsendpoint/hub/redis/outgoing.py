"""What waits to be published: numbers, repeats, and what became of each; no I/O, no Trio.

An unsure message goes back to the front with the number that it has, and says behind which id its
first may be: if both arrive, the readers drop the second.  The number of a message that the server
has not taken is used again, unless a later one of its topic is in use; then the message gets a new
one, and readers tell a gap of a message that is not missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from trio_wsendpoint.hub.backplane import Publication
from trio_wsendpoint.hub.numbers import Numbers
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.redis.places import ORIGIN
from trio_wsendpoint.hub.redis.wire import Sent, size_of

__all__ = ["Answer", "Fate", "Item", "Job", "Outgoing"]


class Fate(Enum):
    """What became of a message that was handed out."""

    STORED = "the server has it"
    REFUSED = "the server has not taken it, and would not another time"
    NOT_NOW = "the server has not got it, or cannot take it in its present state"
    UNSURE = "it left, and no answer came"


@dataclass(frozen=True, slots=True)
class Answer:
    """The fate of a message: `position` if it was stored in a history, `error` if refused."""

    fate: Fate
    position: Position | None = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class Item:
    """A message of a call.

    `number`: 0 while it has none.  `floor`: what was stored last in its topic when it was handed
    out first.  `is_open`: neither answered nor given up.  `is_out`: handed
    out, and not settled.  `is_unsure`: it was handed out before, and may have arrived.
    """

    job: Job
    publication: Publication
    size: int
    number: int = 0
    floor: str = ORIGIN
    is_open: bool = True
    is_out: bool = False
    is_unsure: bool = False
    answer: Answer | None = None


@dataclass(slots=True, eq=False)
class Job:
    """The messages of one call; `left`: how many are neither answered nor given up."""

    items: list[Item] = field(default_factory=list["Item"])
    left: int = 0

    @property
    def may_have_arrived(self) -> bool:
        """Whether any message may be with the server, or come there yet."""
        return any(
            item.is_out
            or item.is_unsure
            or (item.answer is not None and item.answer.fate is Fate.STORED)
            for item in self.items
        )

    @property
    def refusal(self) -> BaseException | None:
        """Why the server has not taken a message, if that is so."""
        answers = (item.answer for item in self.items)
        return next((one.error for one in answers if one and one.fate is Fate.REFUSED), None)


class Outgoing:
    """The queue of one publisher, in the order of the calls; `bytes`: of what is not answered."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._waiting: deque[Item] = deque()
        self._stored: dict[str, str] = {}  # by topic, the id of the message that was stored last
        self.bytes = 0

    def __bool__(self) -> bool:
        """Tell whether a message waits to be handed out."""
        return bool(self._waiting)

    def add(self, publications: Sequence[Publication]) -> Job:
        """Append the messages of one call."""
        job = Job(left=len(publications))
        job.items.extend(Item(job, one, size_of(one)) for one in publications)
        self._waiting.extend(job.items)
        self.bytes += sum(item.size for item in job.items)
        return job

    def take(self, most: int, most_bytes: int) -> list[tuple[Item, Sent]]:
        """Hand messages out, each with its number: at least one, if one waits."""
        batch: list[tuple[Item, Sent]] = []
        size = 0
        while self._waiting and len(batch) < most and (not batch or size < most_bytes):
            item = self._waiting.popleft()
            size += item.size
            if item.number == 0:
                item.number = self._numbers.take(item.publication.topic)
                item.floor = self._stored.get(item.publication.topic, ORIGIN)
            item.is_out = True
            floor = item.floor if item.is_unsure else None
            sent = Sent(item.publication, self._numbers.publisher, item.number, floor)
            batch.append((item, sent))
        return batch

    def forget_places(self) -> None:
        """Forget the ids of what was stored: the server has other contents now."""
        self._stored.clear()
        for item in self._waiting:
            item.floor = ORIGIN

    def settle(self, items: Sequence[Item], answers: Sequence[Answer]) -> list[Job]:
        """Note what became of messages that were handed out together; return the calls answered."""
        again: list[Item] = []
        done: list[Job] = []
        newest = _newest(items, answers)
        for item, answer in zip(items, answers, strict=True):
            item.is_out = False
            if answer.position is not None:
                self._stored[item.publication.topic] = answer.position.id
            if answer.fate is Fate.UNSURE:
                item.is_unsure = True
            if not item.is_open:
                continue
            is_overtaken = item.number < newest.get(item.publication.topic, 0)
            if answer.fate is Fate.UNSURE or (
                answer.fate is Fate.NOT_NOW and not (item.is_unsure and is_overtaken)
            ):
                again.append(item)
            else:
                # Overtaken, it would be dropped as a repeat, and with a new number be one.
                item.answer = answer
                self._close(item)
                if item.job.left == 0:
                    done.append(item.job)
        self._give_back(items, answers)
        again.sort(key=lambda item: item.number == 0)  # later numbers leave later
        self._waiting.extendleft(reversed(again))
        return done

    def withdraw(self, job: Job) -> None:
        """Give a call up: what was not handed out never is, and nothing is sent again."""
        mine = {id(item) for item in job.items}
        self._waiting = deque(item for item in self._waiting if id(item) not in mine)
        for item in job.items:
            if item.is_open:
                self._close(item)

    def _close(self, item: Item) -> None:
        item.is_open = False
        item.job.left -= 1
        self.bytes -= item.size

    def _give_back(self, items: Sequence[Item], answers: Sequence[Answer]) -> None:
        """Take numbers back from messages that have not arrived: the last of a topic first."""
        for item, answer in zip(reversed(items), reversed(answers), strict=True):
            if answer.fate in {Fate.REFUSED, Fate.NOT_NOW} and not item.is_unsure:
                self._numbers.give_back(item.publication.topic, item.number)
                item.number = 0


def _newest(items: Sequence[Item], answers: Sequence[Answer]) -> dict[str, int]:
    """Return for each topic the greatest number of a batch that is, or may be, with the server."""
    newest: dict[str, int] = {}
    for item, answer in zip(items, answers, strict=True):
        if answer.fate in {Fate.STORED, Fate.UNSURE}:
            newest[item.publication.topic] = item.number
    return newest
