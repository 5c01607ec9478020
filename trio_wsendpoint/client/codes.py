"""What a service's own close codes mean: `Codes`, and presets for four services.

3000 to 4999 belong to libraries and applications (RFC 6455 section 7.4.2), and services
contradict each other: 4004 is final at Discord and at Pusher, 4001 is retried at Discord and final
at Pusher, 4401 is retried at Centrifugo and final at graphql-ws.  So none of them is retried
unless a table says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from trio_wsendpoint.client.backoff import Delay

__all__ = ["PRESETS", "Codes", "Service", "Verdict", "checked_verdict"]

#: What is done about an end: "stop", or wait and try again as `Delay` says.
Verdict = Literal["stop"] | Delay
_VERDICTS: frozenset[str] = frozenset(("stop", *get_args(Delay)))

#: The services of which there are presets.
Service = Literal["discord", "centrifugo", "pusher", "graphql-ws"]

#: For each service its close codes (first, last) and what is done about them.  What is not
#: mentioned is left to the table of `retries`.
PRESETS: Mapping[Service, Mapping[tuple[int, int], Verdict]] = {
    "discord": {
        (4000, 4003): "later",
        (4004, 4004): "stop",
        (4005, 4005): "later",
        (4007, 4009): "later",
        (4010, 4014): "stop",
    },
    "centrifugo": {
        (3000, 3499): "later",
        (3500, 3999): "stop",
        (4000, 4499): "later",
        (4500, 4999): "stop",
    },
    "pusher": {
        (4000, 4099): "stop",
        (4100, 4199): "busy",
        (4200, 4299): "now",
    },
    "graphql-ws": {
        (1011, 1011): "stop",
        (4004, 4005): "stop",
        (4400, 4401): "stop",
        (4403, 4403): "later",
        (4406, 4406): "stop",
        (4408, 4408): "later",
        (4409, 4409): "stop",
        (4429, 4429): "stop",
        (4499, 4499): "later",
        (4500, 4500): "stop",
        (4504, 4504): "later",
    },
}


class Codes:
    """What is done about close codes: `Codes({4000: "later", range(4100, 4200): "busy"})`.

    A key is a code or a range of codes, 1000 to 4999; a value is "stop", "later", "spread", "busy"
    or "now" (see `Backoff`).  It decides before the rows of the library:
    `Codes({1000: "stop"})` ends with the server's orderly close.  `Codes.preset("discord")` is a
    service's table; `|` joins two, of which the second goes first.
    Raises `ValueError` (`TypeError`) for a code or a word that makes no sense.
    """

    def __init__(self, table: Mapping[int | range, Verdict]) -> None:
        # Those that came last are looked at first.
        self._rows: tuple[tuple[range, Verdict], ...] = tuple(
            (_codes(key), checked_verdict(verdict)) for key, verdict in reversed([*table.items()])
        )

    @classmethod
    def preset(cls, service: Service) -> Codes:
        """Return the table of a service; raises `ValueError` for one that there is none of."""
        if service not in PRESETS:
            raise ValueError(f"there are presets for {', '.join(PRESETS)}, not {service!r}")
        return cls({range(a, b + 1): verdict for (a, b), verdict in PRESETS[service].items()})

    def find(self, code: int) -> tuple[str, Verdict] | None:
        """Return the codes of the row that has `code`, as text, and its word; None without one."""
        for codes, verdict in self._rows:
            if code in codes:
                first, last = codes[0], codes[-1]
                return (f"{first}" if first == last else f"{first}-{last}"), verdict
        return None

    def __or__(self, other: Codes) -> Codes:
        table: dict[int | range, Verdict] = {}
        for codes, verdict in (*reversed(self._rows), *reversed(other._rows)):
            table.pop(codes, None)  # so that the later one is looked at first
            table[codes] = verdict
        return Codes(table)

    def __repr__(self) -> str:
        rows = (f"{codes[0]}-{codes[-1]}: {verdict}" for codes, verdict in reversed(self._rows))
        return f"<Codes {', '.join(rows)}>"


def _codes(key: object) -> range:
    if isinstance(key, int) and not isinstance(key, bool):
        key = range(key, key + 1)
    if not isinstance(key, range):
        raise TypeError(f"a key of Codes is a close code or a range of them, not {key!r}")
    if not key or min(key) < 1000 or max(key) > 4999:
        raise ValueError(f"close codes are 1000 to 4999, not {key!r}")
    return key


def checked_verdict(word: object) -> Verdict:
    """Return `word` if it is one of those that there are; else raise `ValueError`."""
    if word not in _VERDICTS:
        raise ValueError(f"what is done is one of {', '.join(sorted(_VERDICTS))}, not {word!r}")
    return word  # type: ignore[return-value] # one of its words
