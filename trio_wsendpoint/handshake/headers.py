"""The header fields of one request or response (RFC 9110 section 5).

A `Headers` that exists is fit for the wire: names are tokens, values hold no CR, LF, NUL or other
control character, so nobody's data can start a header, or a body, of its own.  Making one raises
`ValueError` that names the field and what is wrong with it (`TypeError` for what is not text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, cast

from trio_wsendpoint.handshake.abnf import OWS, is_token
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["HeaderItems", "Headers"]

# RFC 9110 section 5.5: field-vchar, obs-text, and the blanks between them.  HTAB is the one
# control character; 0x80 to 0xFF are opaque, which ISO-8859-1 keeps byte for byte.
_VALUE = frozenset(map(chr, [9, *range(0x20, 0x7F), *range(0x80, 0x100)]))


class Headers:
    """Header fields, immutable, in their order; names compare without regard to case.

    `items`: a mapping, an iterable of (name, value), or other `Headers`.  Blanks around a value
    are taken off.  Raises `ValueError` for a name or a value that may not go on the wire.
    """

    # No index: a connection keeps its headers for as long as it lives, and there are few of them.
    __slots__ = ("_items",)

    _items: tuple[tuple[str, str], ...]

    def __init__(self, items: HeaderItems = ()) -> None:
        if isinstance(items, Headers):
            # They are immutable and checked already.
            self._items = items._items
            return
        pairs = cast("Iterable[object]", items.items() if isinstance(items, Mapping) else items)
        self._items = tuple(_checked_field(pair) for pair in pairs)

    @classmethod
    def _of_checked(cls, items: Iterable[tuple[str, str]]) -> Headers:
        """Return headers of fields that are known to be fit, and need not be looked at again."""
        headers = cls.__new__(cls)
        headers._items = tuple(items)
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of `name`, or `default`.

        The values of repeated fields come joined with ", " (RFC 9110 section 5.3): right for
        every field that is a list, and recognisably wrong for one that must not repeat, so that
        a second Origin or Host can never hide behind the first.  `get_all` keeps them apart.
        """
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return the value of each field called `name`, in order; empty if there is none."""
        wanted = name.lower()
        size = len(wanted)  # which tells most names apart, and for less
        return tuple(
            [
                value
                for spelled, value in self._items
                if len(spelled) == size and spelled.lower() == wanted
            ]
        )

    def _values(self) -> dict[str, list[str]]:
        """Return the values of each name in lower case, in order; for who asks for many names."""
        found: dict[str, list[str]] = {}
        for name, value in self._items:
            found.setdefault(name.lower(), []).append(value)
        return found

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return every field as (name, value), in order, names spelled as they were given."""
        return self._items

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        return {name: self.get_all(name) for name in self}

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the distinct names, in lower case."""
        return iter(dict.fromkeys(name.lower() for name, _ in self._items))

    def __len__(self) -> int:
        """Return how many distinct names there are."""
        return len({name.lower() for name, _ in self._items})

    def __eq__(self, other: object) -> bool:
        # The order of fields with different names has no meaning; `dict` compares just so.
        if not isinstance(other, Headers):
            return NotImplemented
        return self._by_name() == other._by_name()

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name().items()))

    def __repr__(self) -> str:
        return f"Headers({list(self._items)!a})"


#: What a parameter for header fields takes: a mapping, pairs (names may repeat), or a `Headers`.
HeaderItems: TypeAlias = Headers | Mapping[str, str] | Iterable[tuple[str, str]]


def _checked_field(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(value)):
            pass
        case _:
            raise TypeError(
                f"a header is a pair of strings (name, value), not {quoted(repr(pair))}"
            )
    if not is_token(name):
        raise ValueError(f"header name {quoted(name)} is not a token")
    value = value.strip(OWS)
    if not _VALUE.issuperset(value):
        bad = next(character for character in value if character not in _VALUE)
        raise ValueError(f"header {quoted(name)}: {quoted(bad)} may not stand in {quoted(value)}")
    return name, value
