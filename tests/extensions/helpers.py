"""What several test modules of the extensions share."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from trio_wsendpoint.extensions import Deflate, PerMessageDeflate

#: The same examples in every run, and nothing written to disk.
repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=100)

needs_isal = pytest.mark.skipif(
    importlib.util.find_spec("isal") is None, reason="the package isal is not there"
)

#: Every engine as a parameter.
each_engine = pytest.mark.parametrize("engine", ["zlib", pytest.param("isal", marks=needs_isal)])

engines = st.sampled_from(["zlib", "isal"] if importlib.util.find_spec("isal") else ["zlib"])


def made(**options) -> PerMessageDeflate:
    """An extension as it would be if both sides had agreed to our options."""
    return PerMessageDeflate(Deflate(**options))


def negotiate(client: Deflate, server: Deflate) -> tuple[PerMessageDeflate, PerMessageDeflate]:
    """The two ends after a handshake, in which the server takes the first offer that it can."""
    for offer in client.offers():
        accepted = server.accept_offer(offer)
        if accepted is not None:
            answer, at_server = accepted
            return client.accept_answer(answer), at_server
    raise AssertionError("no offer was accepted")


def read_all(extension, size: int = 65536) -> bytes:
    """Read until all that was fed has been read."""
    decoded = bytearray()
    while (piece := extension.read(size)) is not None:
        assert len(piece) <= size
        decoded += piece
    return bytes(decoded)


def decode(extension, *pieces: bytes, size: int = 65536) -> bytes:
    """Decode one message that comes in the pieces."""
    decoded = b""
    for number, piece in enumerate(pieces, 1):
        extension.feed(piece, final=number == len(pieces))
        decoded += read_all(extension, size)
    return decoded


def cut(data: bytes, places: Iterable[int]) -> Sequence[bytes]:
    """`data` in pieces, cut at the places (taken modulo its length)."""
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    return pieces or [b""]
