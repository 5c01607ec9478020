"""How long a stream may become, from the bounds of its history: no I/O."""

from __future__ import annotations

import math
from collections import OrderedDict

from trio_wsendpoint.hub.history import History

__all__ = ["Bounds"]

#: Topics of which the mean size is known; the one that was quiet longest is forgotten.
_MOST_TOPICS = 10_000
#: How much of the mean the newest message is.
_WEIGHT = 0.05
#: Seconds between two trims of a topic by age.
_TRIM_EACH = 1.0


class Bounds:
    """Turns a `History` into what Redis can do: a length, an oldest id, a time to live.

    The bytes of a stream are estimated: entries by the mean size of what this process publishes.
    """

    __slots__ = ("_history", "_means", "_trimmed")

    def __init__(self, history: History) -> None:
        self._history = history
        self._means: OrderedDict[str, float] = OrderedDict()
        self._trimmed: dict[str, float] = {}

    def length(self, topic: str, size: int) -> int:
        """Note the size of a message, in bytes; return how many entries its stream may have."""
        mean = self._means.get(topic, float(size))
        mean += (size - mean) * _WEIGHT
        self._means[topic] = mean
        self._means.move_to_end(topic)
        if len(self._means) > _MOST_TOPICS:
            gone, _ = self._means.popitem(last=False)
            self._trimmed.pop(gone, None)
        return max(1, min(self._history.entries, int(self._history.bytes / mean)))

    @property
    def is_aged(self) -> bool:
        """Whether messages become too old."""
        return not math.isinf(self._history.age)

    def is_due(self, topic: str, now: float) -> bool:
        """Tell whether to trim a topic by age now, in seconds, and note that it is done."""
        if not self.is_aged or now - self._trimmed.get(topic, -math.inf) < _TRIM_EACH:
            return False
        self._trimmed[topic] = now
        return True

    def oldest(self, server_ms: int) -> str:
        """Return the id before which an entry is too old, from the server's time."""
        return f"{max(0, server_ms - int(self._history.age * 1000))}-0"

    @property
    def lifetime(self) -> int:
        """Milliseconds after which a topic without messages is dropped whole."""
        return int((self._history.age + max(60.0, self._history.age)) * 1000)
