"""Numbers of messages: each process counts what it publishes, so that others see a loss."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Heard", "Numbers"]

#: Publishers of one topic of which the last number is remembered; the longest silent one is
#: forgotten first, and is then taken for a new one.
MOST_PUBLISHERS = 1024


class Numbers:
    """Gives the messages of one process their numbers, 1, 2, 3 in each topic.

    `publisher`: the random name of the process.
    """

    __slots__ = ("_last", "publisher")

    def __init__(self, publisher: str) -> None:
        self.publisher = publisher
        self._last: dict[str, int] = {}

    def take(self, topic: str) -> int:
        """Return the number of the next message to `topic`."""
        number = self._last[topic] = self._last.get(topic, 0) + 1
        return number

    def give_back(self, topic: str, number: int) -> bool:
        """Use a number again, because its message has not left; False if a later one is in use."""
        if self._last.get(topic) != number:
            return False
        self._last[topic] = number - 1
        return True


class Heard:
    """The last number of each publisher of one topic."""

    __slots__ = ("_forgiven", "_last")

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()
        self._forgiven: set[str] = set()  # publishers whose next hole has been told already

    def judge(self, publisher: str, number: int) -> int | None:
        """Note a number; return how many are missing before it, or None for a repeat.

        The first number of a publisher that is new here says nothing about those before it.
        """
        last = self._last.get(publisher)
        if last is not None and number <= last:
            return None
        self._last[publisher] = number
        self._last.move_to_end(publisher)
        if len(self._last) > MOST_PUBLISHERS:
            self._forgiven.discard(self._last.popitem(last=False)[0])
        if publisher in self._forgiven:
            self._forgiven.remove(publisher)
            return 0
        return 0 if last is None else number - last - 1

    def forgive(self) -> None:
        """Take the next hole of each publisher for one that is told already."""
        self._forgiven = set(self._last)
