"""The query of a target as names and values, and the cookies of a request.

Both readers are lenient, as browsers and forms need it: what makes no pair is passed over, and
nothing raises, whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote_plus

from trio_wsendpoint.handshake.abnf import OWS
from trio_wsendpoint.handshake.secrecy import hide_in_url

__all__ = ["Query", "parse_cookies"]


class Query(Mapping[str, str]):
    """The names and values of a query (`application/x-www-form-urlencoded`), decoded.

    `query["room"]` is the first value of `room`, `get_all("room")` has all of them; `raw` is the
    query as it came.  `+` is a blank; what is not UTF-8 becomes U+FFFD.  `repr` shows no value.
    """

    __slots__ = ("_values", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._values: dict[str, list[str]] = {}
        for part in raw.split("&"):
            if part:
                name, _, value = part.partition("=")
                self._values.setdefault(unquote_plus(name), []).append(unquote_plus(value))

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return each value of `name`, in order; empty if there is none."""
        return tuple(self._values.get(name, ()))

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many distinct names there are."""
        return len(self._values)

    def __repr__(self) -> str:
        return f"Query({hide_in_url('?' + self.raw)[1:]!a})"


def parse_cookies(values: Iterable[str]) -> dict[str, str]:
    """Return the cookies of Cookie headers (RFC 6265 section 4.2.1), by name.

    Of cookies with one name the first counts: a browser sends the one of the longest path first.
    """
    found: dict[str, str] = {}
    for value in values:
        for part in value.split(";"):
            name, equals, text = part.partition("=")
            name = name.strip(OWS)
            if equals and name:
                found.setdefault(name, text.strip(OWS))
    return found
