"""Small stand-ins and helpers that several of these test modules use."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from trio_wsendpoint.errors import BadResponse

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455 section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

UPGRADE = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def random_bytes(size):
    assert size == 16
    return b"the sample nonce"


class FakeExtension:
    """Stands for what a negotiation makes; these tests never send a message."""

    rsv = 0b100

    def __init__(self, parameters):
        self.parameters = parameters

    def wants(self, type, size):
        raise NotImplementedError

    def encode(self, data, *, final):
        raise NotImplementedError

    def feed(self, data, *, final):
        raise NotImplementedError

    def read(self, size):
        raise NotImplementedError

    def release(self):
        raise NotImplementedError


@dataclass
class FakeNegotiator:
    """Accepts an offer or an answer unless it has the parameter `bad`."""

    name: str = "x-fake"
    offered: tuple[Any, ...] = ((("level", "3"), ("flag", None)),)
    seen: list[Any] = field(default_factory=list)

    declines: bool = False

    def offers(self):
        return self.offered

    def accept_offer(self, parameters):
        self.seen.append(list(parameters))
        if self.declines or any(name == "bad" for name, _ in parameters):
            return None
        return [("agreed", None)], FakeExtension(parameters)

    def accept_answer(self, parameters):
        if any(name == "bad" for name, _ in parameters):
            raise BadResponse("bad parameters")
        return FakeExtension(parameters)


def cut(data, cuts):
    """Return `data` in pieces that end at `cuts`; empty ones stay, a reader must bear them."""
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def bytewise(data):
    return [data[at : at + 1] for at in range(len(data))]


def wire(parts, max_size=20):
    """Bytes made of `parts`, which are what the grammar turns on: chance alone finds few."""
    lists = st.lists(st.sampled_from(parts), max_size=max_size)
    return lists.map(lambda chosen: "".join(chosen).encode("iso-8859-1"))


def check_message(error, limit=500):
    """Whatever the peer wrote, an error's message is one short line of printable ASCII."""
    message = str(error)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) <= limit
