"""How a message lies in Redis: the fields of a stream's entry, or the bytes of a channel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trio_wsendpoint.hub.backplane import Publication

__all__ = [
    "Foreign",
    "Names",
    "Sent",
    "floor_of",
    "from_channel",
    "from_fields",
    "number_of",
    "size_of",
    "to_channel",
    "to_fields",
]

#: Which field holds the payload: of a text message, or of a binary one.
_TEXT, _BINARY = b"t", b"b"
#: The fields for publisher and number, and for the key.
_NUMBER, _KEY = b"n", b"k"
#: The field that an entry has if it was sent again: the id behind which its first is.
_FLOOR = b"r"
_ID = re.compile(rb"[0-9]{1,19}-[0-9]{1,19}")
#: Bytes that an entry takes in Redis besides its payload and its key, about.
_OVERHEAD = 128
#: The first byte of what a channel carries: the version of its form, and the kind of payload.
_FORMS = {b"1t": _TEXT, b"1b": _BINARY}


class Foreign(ValueError):
    """What lies there was not written by a backplane of ours."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A publication as it leaves: with the publisher's name and its number there.

    `floor`: if it is sent again, the id behind which its first is, if that has arrived.
    """

    publication: Publication
    publisher: str
    number: int
    floor: str | None = None


def size_of(publication: Publication) -> int:
    """Return what a message counts for where bytes are bounded: its own, and 128 more."""
    message, key = publication.message, publication.key or ""
    is_long = isinstance(message, str) and not message.isascii()
    size = len(message.encode()) if is_long and isinstance(message, str) else len(message)
    return _OVERHEAD + size + len(key.encode())


class Names:
    """The names of keys and channels: `prefix:{topic}`, with the topic as a cluster's hash tag."""

    __slots__ = ("_start", "epoch")

    def __init__(self, prefix: str) -> None:
        self._start = prefix.encode() + b":{"
        self.epoch = prefix.encode() + b":epoch"

    def key(self, topic: str) -> bytes:
        """Return the key of a topic's stream, and the name of its channel."""
        return self._start + topic.encode() + b"}"

    def topic(self, key: bytes) -> str:
        """Return the topic of a key."""
        return key[len(self._start) : -1].decode()


def to_fields(sent: Sent) -> tuple[bytes, ...]:
    """Return names and values of a stream's entry."""
    kind, payload = _payload(sent.publication.message)
    number = f"{sent.publisher} {sent.number}".encode()
    fields: tuple[bytes, ...] = (_NUMBER, number, kind, payload)
    if sent.publication.key is not None:
        fields += (_KEY, sent.publication.key.encode())
    return fields if sent.floor is None else (*fields, _FLOOR, sent.floor.encode())


def floor_of(fields: Sequence[bytes]) -> str | None:
    """Return the id behind which the first of an entry is; None for one that is a first."""
    floor = _value_of(_FLOOR, fields)
    return floor.decode() if floor is not None and _ID.fullmatch(floor) else None


def number_of(fields: Sequence[bytes]) -> bytes | None:
    """Return publisher and number of an entry, which a message and its repeats have in common."""
    return _value_of(_NUMBER, fields)


def _value_of(name: bytes, fields: Sequence[bytes]) -> bytes | None:
    names = fields[::2]
    return fields[2 * names.index(name) + 1] if name in names else None


def from_fields(topic: str, fields: Sequence[bytes]) -> Sent:
    """Read names and values of a stream's entry; raise `Foreign` for those of another writer."""
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    kind = _TEXT if _TEXT in values else _BINARY
    try:
        return _sent(topic, kind, values[_NUMBER], values[kind], values.get(_KEY))
    except (KeyError, ValueError) as error:
        raise Foreign(f"an entry of {topic!a} has other fields") from error


def to_channel(sent: Sent) -> bytes:
    """Return the bytes for a channel: a line of form, number, length of the key; key; payload."""
    kind, payload = _payload(sent.publication.message)
    key = b"" if sent.publication.key is None else sent.publication.key.encode()
    length = -1 if sent.publication.key is None else len(key)
    head = f"1{kind.decode()} {sent.publisher} {sent.number} {length}\n".encode()
    return head + key + payload


def from_channel(topic: str, data: bytes) -> Sent:
    """Read the bytes of a channel; raise `Foreign` for those of another writer."""
    head, _, rest = data.partition(b"\n")
    try:
        form, publisher, number, length = head[:200].split(b" ")
        size = int(length)
        if not -1 <= size <= len(rest):
            raise ValueError("the key is longer than all of it")
        key = None if size < 0 else rest[:size]
        return _sent(topic, _FORMS[form], publisher + b" " + number, rest[max(size, 0) :], key)
    except (KeyError, ValueError) as error:
        raise Foreign(f"a message of {topic!a} has another form") from error


def _payload(message: str | bytes) -> tuple[bytes, bytes]:
    return (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)


def _sent(topic: str, kind: bytes, number: bytes, payload: bytes, key: bytes | None) -> Sent:
    publisher, _, count = number.decode("ascii").partition(" ")
    if not (publisher and len(publisher) <= 64 and count.isdigit() and len(count) <= 20):
        raise ValueError("no publisher, or no number")
    message = payload.decode() if kind == _TEXT else payload
    name = None if key is None else key.decode()
    return Sent(Publication(topic, message, name), publisher, int(count))
