"""The header fields of one request or response (RFC 9110 section 5).

A `Headers` that exists is fit for the wire: names are tokens, values hold no CR, LF, NUL or other
control character, so nobody's data can start a header, or a body, of its own.  Making one raises
`ValueError` that names the field and what is wrong with it (`TypeError` for what is not text).
No value stands in these errors, for it may be a credential.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from trio_wsendpoint.handshake.abnf import OWS, TOKEN, is_token
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import SECRET_HEADERS, hide_in_value, name_character

__all__ = ["HeaderItems", "Headers", "split_field", "split_lines"]

# RFC 9110 section 5.5: field-vchar, obs-text, and the blanks between them.  HTAB is the one
# control character; 0x80 to 0xFF are opaque, which ISO-8859-1 keeps byte for byte.
_VALUE = frozenset(map(chr, [9, *range(0x20, 0x7F), *range(0x80, 0x100)]))
# What joins the values of repeated fields, if that is no comma.
_SEPARATORS = {"cookie": "; "}


class Headers:
    """Header fields, immutable, in their order; names compare without regard to case.

    `items`: a mapping, an iterable of (name, value), or other `Headers`.  Blanks around a value
    are taken off.  Raises `ValueError` for a name or a value that may not go on the wire.
    `repr` hides credentials: the values of Authorization, Cookie and the like.

    >>> Headers([("Accept", "a"), ("Cookie", "id=7")])
    Headers([('Accept', 'a'), ('Cookie', '...')])
    >>> Headers({"Host": " example.com "})["host"]
    'example.com'
    """

    # No index: a connection keeps its headers for as long as it lives, and there are few of them.
    # Those of a request, and of its 101, are their bytes until they are asked for: a quarter of the
    # memory.
    __slots__ = ("_held",)

    _held: tuple[tuple[str, str], ...] | bytes

    def __init__(self, items: HeaderItems = ()) -> None:
        if isinstance(items, Headers):
            # They are immutable and checked already.
            self._held = items._held
            return
        if not isinstance(items, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "headers are a mapping, or pairs (name, value), not "
                f"{type(items).__name__}: leave them out if there are none"
            )
        pairs = cast("Iterable[object]", items.items() if isinstance(items, Mapping) else items)
        self._held = tuple(_checked_field(pair) for pair in pairs)

    @classmethod
    def of_checked(cls, items: Iterable[tuple[str, str]]) -> Headers:
        """Return headers of fields that the caller knows to be fit; nothing is checked."""
        headers = cls.__new__(cls)
        headers._held = tuple(items)
        return headers

    @classmethod
    def of_lines(cls, lines: bytes) -> Headers:
        """Return the headers of good field `lines`, CRLF between them; nothing is checked."""
        headers = cls.__new__(cls)
        headers._held = lines
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of `name`, or `default`.

        The values of repeated fields come joined with ", " (RFC 9110 section 5.3): right for
        every field that is a list, and recognisably wrong for one that must not repeat, so that
        a second Origin or Host can never hide behind the first.  Those of Cookie, which a proxy
        in front may have split, come joined with "; " (RFC 9113 section 8.2.3).  `get_all` keeps
        them apart, as it takes for Set-Cookie, whose values have commas in them.
        """
        values = self.get_all(name)
        return _joined(name, values) if values else default

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return the value of each field called `name`, in order; empty if there is none."""
        wanted = name.lower()
        size = len(wanted)  # which tells most names apart, and for less
        return tuple(
            [
                value
                for spelled, value in self.items()
                if len(spelled) == size and spelled.lower() == wanted
            ]
        )

    def values_by_name(self) -> dict[str, list[str]]:
        """Return the values of each name, in order, by the name in lower case."""
        found: dict[str, list[str]] = {}
        for name, value in self.items():
            found.setdefault(name.lower(), []).append(value)
        return found

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return every field as (name, value), in order, names spelled as they were given."""
        held = self._held
        if isinstance(held, bytes):
            held = self._held = tuple(map(split_field, split_lines(held)))
        return held

    def lines(self) -> bytes:
        """Return the field lines, CRLF between them."""
        held = self._held
        if isinstance(held, bytes):
            return held
        return "\r\n".join([f"{name}: {value}" for name, value in held]).encode("iso-8859-1")

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        return {name: self.get_all(name) for name in self}

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return _joined(name, values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the distinct names, in lower case."""
        return iter(dict.fromkeys(name.lower() for name, _ in self.items()))

    def __len__(self) -> int:
        """Return how many distinct names there are."""
        return len({name.lower() for name, _ in self.items()})

    def __eq__(self, other: object) -> bool:
        # The order of fields with different names has no meaning; `dict` compares just so.
        if not isinstance(other, Headers):
            return NotImplemented
        return self._by_name() == other._by_name()

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name().items()))

    def __repr__(self) -> str:
        shown = [(name, hide_in_value(name, value)) for name, value in self.items()]
        return f"Headers({shown!a})"


#: What a parameter for header fields takes: a mapping, pairs (names may repeat), or a `Headers`.
HeaderItems: TypeAlias = Headers | Mapping[str, str] | Iterable[tuple[str, str]]


def split_lines(lines: bytes) -> list[str]:
    """Return each of the lines of a head.

    ISO-8859-1 maps each byte to one character and cannot fail; RFC 9110 section 5.5 says to treat
    what is not ASCII as opaque.
    """
    return lines.decode("iso-8859-1").split("\r\n")


def split_field(line: str) -> tuple[str, str]:
    """Return name and value of a good field `line`."""
    name, _, value = line.partition(":")
    return name, value.strip(OWS)


def _joined(name: str, values: tuple[str, ...]) -> str:
    return _SEPARATORS.get(name.lower(), ", ").join(values)


def _checked_field(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(value)):
            pass
        case _:
            raise TypeError(f"a header is a pair of strings (name, value), not {_kind_of(pair)}")
    if not is_token(name):
        raise ValueError(f"a header name is not a token: {_what_is_wrong(name, value)}")
    value = value.strip(OWS)
    if not _VALUE.issuperset(value):
        at = next(at for at, character in enumerate(value) if character not in _VALUE)
        # A token that was read from a file is the usual case.
        hint = ": strip() it" if not value[at:].strip("\r\n") else ""
        raise ValueError(
            f"header {quoted(name)}: {name_character(value[at])} may not stand in its value, "
            f"at {at} of {len(value)}{hint}"
        )
    return name, value


def _what_is_wrong(name: str, value: str) -> str:
    if not name:
        return "it is empty"
    # What follows the name is no more shown than a value: it may be one, as in "Cookie: a=b".
    size = next(at for at, character in enumerate(name) if character not in TOKEN)
    is_swapped = value.strip().lower() in SECRET_HEADERS
    where = f" behind {quoted(name[:size])}" if size and not is_swapped else ""
    return f"it has {name_character(name[size])} in it{where}"


def _kind_of(pair: object) -> str:
    """Say of which types `pair` is, and nothing of what it holds."""
    if not isinstance(pair, (tuple, list)):
        return type(pair).__name__
    members = cast("Sequence[object]", pair)
    names = ", ".join(type(member).__name__ for member in members)
    return f"{type(members).__name__} of ({names})"
