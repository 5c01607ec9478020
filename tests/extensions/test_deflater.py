"""`Deflater`: the outgoing half."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.extensions.deflater import Deflater
from trio_wsendpoint.extensions.engine import load_engine

from .helpers import each_engine, repeatable

TAIL = b"\x00\x00\xff\xff"


def deflater(*, engine="zlib", **options):
    options = {
        "level": 6,
        "window_bits": 12,
        "memory_level": 5,
        "context_takeover": True,
        **options,
    }
    return Deflater(load_engine(engine), **options)


def test_known_vectors():
    kept = deflater()
    assert kept.encode(b"Hello", final=True).hex() == "f248cdc9c90700"
    assert kept.encode(b"Hello", final=True).hex() == "f200110000"
    fresh = deflater(context_takeover=False)
    for _ in range(2):
        assert fresh.encode(b"Hello", final=True).hex() == "f248cdc9c90700"


@each_engine
@pytest.mark.parametrize("context_takeover", [True, False])
def test_empty_messages(engine, context_takeover):
    # Defect 28: zlib has nothing to flush for the second one.
    tested = deflater(engine=engine, context_takeover=context_takeover)
    wire = tested.encode(b"", final=True), tested.encode(b"", final=True)
    assert wire == (b"\x00", b"\x00")
    before = tested.encode(b"x", final=True)
    assert tested.encode(b"", final=True) == b"\x00"
    assert tested.encode(b"", final=False) == b""
    assert tested.encode(b"", final=False, flush=True) == b""
    assert tested.encode(b"", final=True) == b"\x00"
    after = tested.encode(b"y", final=True)
    peer = zlib.decompressobj(-15)
    decoded = [peer.decompress(piece + TAIL) for piece in (before, b"\x00", b"\x00", after)]
    assert decoded == [b"x", b"", b"", b"y"]


@each_engine
def test_flush_lets_the_peer_read_on(engine):
    tested = deflater(engine=engine)
    peer = zlib.decompressobj(-12)
    for text in (b"one", b"two" * 1000, b"three"):
        assert peer.decompress(tested.encode(text, final=False, flush=True)) == text
    end = tested.encode(b"", final=True)
    assert not end.endswith(TAIL)
    assert peer.decompress(end + TAIL) == b""
    assert peer.decompress(tested.encode(b"next", final=True) + TAIL) == b"next"


@given(
    st.lists(st.lists(st.tuples(st.binary(max_size=50), st.booleans())), max_size=8),
    st.booleans(),
    st.sampled_from([bytes, bytearray, memoryview]),
)
@repeatable
def test_any_pieces(messages, context_takeover, kind):
    tested = deflater(context_takeover=context_takeover)
    peer = zlib.decompressobj(-12)
    for message in messages:
        wire = b"".join(
            tested.encode(kind(piece), final=False, flush=flush) for piece, flush in message
        )
        wire += tested.encode(b"", final=True)
        assert wire
        decoded = peer.decompress(wire + TAIL)
        assert decoded == b"".join(piece for piece, _ in message)
    assert tested.bytes_in == sum(len(piece) for message in messages for piece, _ in message)


@each_engine
def test_big_input(engine):
    data = bytes(range(256)) * 5000
    tested = deflater(engine=engine)
    wire = tested.encode(memoryview(data).cast("I"), final=True)
    assert zlib.decompressobj(-12).decompress(wire + TAIL) == data
    assert (tested.bytes_in, tested.bytes_out) == (len(data), len(wire))


def test_the_caller_has_its_bytearray_back():
    data = bytearray(b"x" * 600_000)
    deflater().encode(data, final=True)
    data.extend(b"y")  # BufferError if a view were left


# ---- what is held ------------------------------------------------------------------------------


@pytest.fixture
def traced():
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def test_memory(traced):
    start = traced()
    tested = deflater()
    assert traced() - start < 1024
    tested.encode(b"Hello" * 1000, final=True)
    # 2 ** (12 + 2), 2 ** (5 + 9), and zlib's own state.
    assert 32 * 1024 < traced() - start < 40 * 1024
    tested.release()
    assert traced() - start < 1024


def test_memory_without_takeover(traced):
    start = traced()
    tested = deflater(context_takeover=False)
    tested.encode(b"Hello" * 1000, final=True)
    assert traced() - start < 1024


@each_engine
def test_release_between_messages_is_not_seen_by_the_peer(engine):
    tested = deflater(engine=engine)
    peer = zlib.decompressobj(-12)
    for _ in range(3):
        for _ in range(2):
            assert peer.decompress(tested.encode(b"Hello" * 9, final=True) + TAIL) == b"Hello" * 9
        tested.release()


def test_release_inside_a_message_does_nothing():
    tested = deflater()
    wire = tested.encode(b"Hel", final=False)
    tested.release()
    wire += tested.encode(b"lo", final=True)
    assert zlib.decompressobj(-12).decompress(wire + TAIL) == b"Hello"


def test_a_message_that_never_left():
    tested = deflater()
    peer = zlib.decompressobj(-12)
    assert peer.decompress(tested.encode(b"Hello", final=True) + TAIL) == b"Hello"
    tested.encode(b"never sent" * 5, final=False, flush=True)
    tested.abandon()
    assert peer.decompress(tested.encode(b"never sent", final=True) + TAIL) == b"never sent"


def test_a_message_that_was_cut_short_is_ended():
    tested = deflater()
    wire = tested.encode(b"begun", final=False) + tested.encode(b"", final=True)
    peer = zlib.decompressobj(-12)
    assert peer.decompress(wire + TAIL) == b"begun"
    assert peer.decompress(tested.encode(b"begun", final=True) + TAIL) == b"begun"


@pytest.mark.parametrize("failing", ["compress", "flush"])
def test_out_of_memory_leaves_no_trace(failing):
    class Failing:
        def compress(self, data):
            if failing == "compress":
                raise MemoryError
            return b"half"

        def flush(self, mode):
            raise MemoryError

    tested = deflater()
    tested.encode(b"Hello", final=True)
    tested._compressor = Failing()
    with pytest.raises(MemoryError):
        tested.encode(b"Hello", final=True)
    assert tested.encode(b"Hello", final=True).hex() == "f248cdc9c90700"
