"""`Inflater`: the incoming half; rows D66, D68, D71, D72, D75 and D76."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deflate.measure import empty_dynamic_blocks
from trio_wsendpoint.errors import InvalidPayload
from trio_wsendpoint.extensions.engine import EngineName, load_engine
from trio_wsendpoint.extensions.inflater import Inflater

from .helpers import cut, decode, each_engine, engines, read_all, repeatable

TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f248cdc9c90700")
FINAL_HELLO = bytes.fromhex("f348cdc9c9070000")


def inflater(engine="zlib", *, window_bits=15, context_takeover=True):
    return Inflater(load_engine(engine), window_bits=window_bits, context_takeover=context_takeover)


def sync(data: bytes, *, level=6, window_bits=15) -> bytes:
    """One message, compressed by zlib alone."""
    made = zlib.compressobj(level, zlib.DEFLATED, -window_bits)
    return (made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


def final_block(data: bytes) -> bytes:
    made = zlib.compressobj(6, zlib.DEFLATED, -15)
    return made.compress(data) + made.flush(zlib.Z_FINISH)


# ---- what is good ------------------------------------------------------------------------------

GOOD = {
    # the examples of RFC 7692 section 7.2.3
    "7.2.3.1 one block": (HELLO, b"Hello"),
    "7.2.3.3 stored": (bytes.fromhex("000500faff48656c6c6f00"), b"Hello"),
    "7.2.3.4 BFINAL": (FINAL_HELLO, b"Hello"),
    "7.2.3.5 two blocks": (bytes.fromhex("f24805000000ffffcac9c90700"), b"Hello"),
    "7.2.3.6 empty": (b"\x00", b""),
    # row D72
    "no payload": (b"", b""),
    "c1 01 00": (b"\x00", b""),
    # others
    "the empty block has BFINAL": (bytes.fromhex("f248cdc9c90704"), b"Hello"),
    "BFINAL without an empty block": (FINAL_HELLO[:-1], b"Hello"),
    "BFINAL twice": (FINAL_HELLO[:-1] * 2, b"HelloHello"),
    "BFINAL, then not": (FINAL_HELLO[:-1] + HELLO, b"HelloHello"),
    "BFINAL, stored and empty": (b"\x01\x00\x00\xff\xff\x00", b""),
    "only empty blocks": (b"\x00\x00\x00\xff\xff" * 30 + b"\x00", b""),
}


@each_engine
@pytest.mark.parametrize("context_takeover", [True, False])
@pytest.mark.parametrize(("wire", "expected"), GOOD.values(), ids=GOOD)
def test_good(engine, wire, expected, context_takeover):
    tested = inflater(engine, context_takeover=context_takeover)
    assert decode(tested, wire) == expected
    # and byte by byte, with empty fragments between, and a byte at a time out
    octets = [bytes([octet]) for octet in wire]
    pieces = [piece for octet in octets for piece in (b"", octet)] + [b""]
    assert decode(tested, *pieces, size=1) == expected
    assert decode(tested, HELLO) == b"Hello"


@each_engine
def test_the_context_is_kept(engine):
    tested = inflater(engine)
    assert decode(tested, HELLO) == b"Hello"
    assert decode(tested, bytes.fromhex("f200110000")) == b"Hello"
    # An empty message, in either form, is nothing to the context.
    assert decode(tested, b"") == b""
    assert decode(tested, b"\x00") == b""
    assert decode(tested, bytes.fromhex("f200110000")) == b"Hello"


@each_engine
def test_a_final_block_ends_the_context(engine):
    tested = inflater(engine)
    assert decode(tested, FINAL_HELLO) == b"Hello"
    with pytest.raises(InvalidPayload):
        decode(tested, bytes.fromhex("f200110000"))


@given(
    engines,
    st.lists(
        st.tuples(st.binary(max_size=200), st.sampled_from([1, 20, 300]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(0, 10_000), max_size=10),
    st.integers(1, 70_000),
)
@repeatable
def test_blocks_of_both_kinds_in_any_pieces(engine, blocks, places, size):
    made = None
    wire = plain = b""
    for octets, times, final in blocks:
        made = made or zlib.compressobj(6, zlib.DEFLATED, -15)
        plain += octets * times
        wire += made.compress(octets * times)
        wire += made.flush(zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
        if final:
            made = None
    wire += b"\x00"
    assert decode(inflater(engine), *cut(wire, places), size=max(size, len(plain) // 50)) == plain


# ---- what is bad (row D71) ---------------------------------------------------------------------

BAD = {
    "a reserved block type": b"\x07",
    "a reserved block type, fragmented": b"\x06\x00",
    "stored lengths that differ": b"\x00\x05\x00\x00\x00",
    "too many lengths": bytes.fromhex("fcff"),
    "further back than there is": bytes.fromhex("f200110000"),
    "a zlib header": zlib.compress(b"Hello"),
    "a gzip header": bytes.fromhex("1f8b0800000000000003f348cdc9c907008289d1f705000000"),
    "a preset dictionary": bytes.fromhex("78bb062c0215") + HELLO,
    "junk after a final block": FINAL_HELLO[:-1] + b"\xff\xff",
    "stored junk after a final block": final_block(b"") + b"\x00junk",
    "the four octets left on": HELLO[:-1] + b"\x00" + TAIL,
    "text": b"this was never compressed at all",
}


@each_engine
@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize("wire", BAD.values(), ids=BAD)
def test_bad(engine, wire, size):
    for pieces in ([wire], [bytes([octet]) for octet in wire]):
        tested = inflater(engine)
        with pytest.raises(InvalidPayload) as caught:
            decode(tested, *pieces, size=size)
        assert caught.value.close_code == 1007
        # The inflater is not used again.
        with pytest.raises(InvalidPayload, match=str(caught.value).replace("(", r"\(")[:20]):
            tested.read(1)
        with pytest.raises(InvalidPayload):
            tested.feed(HELLO, final=True)
        assert tested._stream is None


def samples():
    rng = random.Random(7692)
    for size in (1, 40, 700):
        yield bytes(size)
        yield rng.randbytes(size)
        yield bytes(rng.choice(b"abcd ") for _ in range(size))
        yield (b'{"id": 12345, "price": 1.25}' * size)[: size * 3]


def at_boundary(payload: bytes) -> bool:
    """Whether the payload with the four octets ends between two blocks, as a copy can tell."""
    stream = zlib.decompressobj(-15)
    stream.decompress(payload)
    if stream.eof:
        return True
    try:
        return (
            not stream.decompress(TAIL)
            and not stream.decompress(b"\x01\x00\x00\xff\xff")
            and stream.eof
        )
    except zlib.error:
        return False


@each_engine
@pytest.mark.parametrize("level", [0, 1, 6])
def test_cut_short(engine, level):
    for data in samples():
        whole = sync(data, level=level)
        for end in range(1, len(whole) + 1):
            part = whole[:end]
            tested = inflater(engine)
            try:
                decode(tested, part)
            except InvalidPayload:
                assert not at_boundary(part)
            else:
                # ISA-L may take what zlib calls a bad Huffman table, and be through with it.
                assert at_boundary(part) or engine == "isal"
                assert decode(tested, HELLO) == b"Hello"


@each_engine
def test_a_bit_is_wrong(engine):
    # Whatever comes of it: the right class of error, or data, and never too much of it.
    rng = random.Random(1007)
    for data in samples():
        whole = sync(data)
        for _ in range(60):
            broken = bytearray(whole)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            tested = inflater(engine)
            tested.feed(bytes(broken), final=True)
            try:
                for _ in range(5000):
                    piece = tested.read(100)
                    if piece is None:
                        break
                    assert len(piece) <= 100
                else:
                    pytest.fail("no end")
            except InvalidPayload:
                pass


@each_engine
def test_further_back_than_agreed(engine):
    # Byte by byte, all that the inflater can look back to is its window.
    rng = random.Random(12)
    data = rng.randbytes(10_000) * 2
    wire = sync(data, level=9)
    assert len(wire) < 11_000
    octets = [bytes([octet]) for octet in wire]
    with pytest.raises(InvalidPayload):
        decode(inflater(engine, window_bits=9), *octets)
    assert decode(inflater(engine, window_bits=15), *octets) == data


def test_out_of_memory_passes():
    class Failing:
        def decompress(self, data, size):
            raise MemoryError

    tested = inflater()
    tested._stream = Failing()
    tested.feed(HELLO, final=True)
    with pytest.raises(MemoryError):
        tested.read(1)


# ---- how much (rows D66, D68) ------------------------------------------------------------------


@each_engine
@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("most", [1, 1000, 65536, 200_000])
@pytest.mark.parametrize("octets", [b"\x00", b"abcdefgh"])
def test_the_limit_is_exact(engine, octets, most, more):
    data = (octets * (most + more))[: most + more]
    tested = inflater(engine)
    tested.feed(sync(data), final=True)
    decoded = bytearray()
    while len(decoded) <= most and (piece := tested.read(most + 1 - len(decoded))) is not None:
        decoded += piece
    assert len(decoded) == most + min(more, 1)
    assert decoded == data[: most + 1]


@each_engine
def test_output_that_is_held_after_the_input_is_gone(engine):
    # All the input is taken by the first step, and the output comes in 20 more.
    data = bytes(1000)
    wire = sync(data)
    tested = inflater(engine)
    for final in (False, True):
        tested.feed(TAIL + b"\x00" if final else wire, final=final)
        pieces = []
        while (piece := tested.read(50)) is not None:
            pieces.append(piece)
        assert b"".join(pieces) == (b"" if final else data)
    assert decode(tested, HELLO) == b"Hello"


@each_engine
def test_a_bomb(engine):
    size = 64 << 20
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    wire = b"".join(made.compress(bytes(1 << 20)) for _ in range(64))
    wire = (wire + made.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(wire) < size // 1000
    tested = inflater(engine)
    limit = 1 << 20
    tracemalloc.start()
    try:
        tested.feed(wire, final=True)
        taken = 0
        while taken <= limit:
            taken += len(tested.read(limit + 1 - taken))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken == limit + 1
    assert tested.bytes_out == limit + 1
    # One step, what the library needs to put it together, and the inflater.
    assert peak < 320 * 1024


@each_engine
def test_one_read_is_one_step(engine):
    tested = inflater(engine)
    tested.feed(sync(bytes(1 << 20)), final=True)
    assert len(tested.read(1 << 20)) == 65536


@pytest.mark.parametrize("size", [0, -1])
def test_size_must_be_positive(size):
    tested = inflater()
    tested.feed(HELLO, final=True)
    with pytest.raises(ValueError, match="size must be at least 1"):
        tested.read(size)
    assert read_all(tested) == b"Hello"


@pytest.mark.parametrize("block", [b"\x03\x00", b"\x01\x00\x00\xff\xff"])
def test_many_final_blocks_are_read_in_linear_time(block):
    class Counting:
        """Adds up the input that is copied around."""

        error = zlib.error
        copied = 0

        def decompressor(self, window_bits):
            Counting.copied += len(tested._left)
            return zlib.decompressobj(-window_bits)

    tested = Inflater(Counting(), window_bits=15, context_takeover=True)  # type: ignore[arg-type]
    wire = block * 20_000
    assert decode(tested, wire) == b""
    assert Counting.copied < 20_000 * 8192


# ---- how long one read takes -------------------------------------------------------------------


def fixed_blocks(count: int) -> bytes:
    """`count` (a multiple of 4) empty blocks with the fixed tables, ten bits each."""
    return sum(0b010 << 10 * place for place in range(4)).to_bytes(5, "little") * (count // 4)


#: Much input for little output, or none: what it is made of, and what comes of each.
SLOW = {
    "final blocks": (b"\x03\x00", b""),
    "stored final blocks": (b"\x01\x00\x00\xff\xff", b""),
    "final blocks of one byte": (final_block(b"x"), b"x"),
    "stored blocks, as a flush leaves": (b"\x00\x00\x00\xff\xff", b""),
    "stored blocks of one byte": (b"\x00\x01\x00\xfe\xffx", b"x"),
    "blocks with fixed tables": (fixed_blocks(4), b""),
    "blocks with tables of their own": (empty_dynamic_blocks(8), b""),
}


class Watched:
    """An engine that counts what it does: streams made, and bytes that it was given."""

    def __init__(self, name: EngineName) -> None:
        self._engine = load_engine(name)
        self.error = self._engine.error
        self.made = self.given = 0

    def decompressor(self, window_bits: int) -> WatchedStream:
        self.made += 1
        return WatchedStream(self._engine.decompressor(window_bits), self)


class WatchedStream:
    def __init__(self, stream: Any, engine: Watched) -> None:
        self._stream, self._watching = stream, engine

    def decompress(self, data: bytes, size: int) -> bytes:
        decoded: bytes = self._stream.decompress(data, size)
        left = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        self._watching.given += len(data) - len(left)
        return decoded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@each_engine
@pytest.mark.parametrize(("unit", "plain"), SLOW.values(), ids=SLOW)
def test_one_read_is_short_however_little_comes_of_it(engine, unit, plain):
    watched = Watched(engine)
    tested = Inflater(watched, window_bits=15, context_takeover=True)  # type: ignore[arg-type]
    count = 60_000 // len(unit)
    tested.feed(unit * count + b"\x00", final=True)
    decoded = bytearray()
    while True:
        made, given = watched.made, watched.given
        piece = tested.read(65536)
        if piece is None:
            break
        decoded += piece
        assert watched.made - made <= 64
        assert watched.given - given <= (8192 if piece else 1024)
    assert decoded == plain * count


@each_engine
def test_after_many_final_blocks_the_owner_is_told_even_if_something_came(engine):
    """A read of 64 streams that came to 64 bytes took as long as one may: rest behind it."""
    tested = inflater(engine)
    tested.feed(final_block(b"x") * 200 + b"\x00", final=True)
    x = b"x" * 64
    assert [tested.read(65536) for _ in range(8)] == [x, b"", x, b"", x, b"", b"x" * 8, None]


@each_engine
@pytest.mark.parametrize("size", [1, 2, 63, 64])
def test_final_blocks_within_the_size(engine, size):
    tested = inflater(engine)
    wire = final_block(b"ab") * 100 + final_block(b"")
    assert decode(tested, wire + b"\x00", size=size) == b"ab" * 100


# ---- the order of calls ------------------------------------------------------------------------


@pytest.mark.parametrize("final", [True, False])
def test_feed_before_all_is_read(final):
    tested = inflater()
    tested.feed(HELLO, final=final)
    with pytest.raises(RuntimeError, match="before read"):
        tested.feed(HELLO, final=True)
    assert tested.read(5) == b"Hello"
    with pytest.raises(RuntimeError, match="before read"):
        tested.feed(HELLO, final=True)
    assert tested.read(5) is None
    tested.feed(TAIL * (not final) + HELLO, final=True)
    assert read_all(tested) == b"Hello"


def test_the_end_of_an_empty_message_is_read_too():
    tested = inflater()
    tested.feed(b"", final=True)
    with pytest.raises(RuntimeError, match="before read"):
        tested.feed(HELLO, final=True)
    assert tested.read(1) is None
    assert decode(tested, HELLO) == b"Hello"


def test_nothing_fed_nothing_read():
    assert inflater().read(1) is None


# ---- what is held (rows D75, D76, D77) ---------------------------------------------------------


@pytest.mark.parametrize(("window_bits", "kib"), [(9, 8), (12, 12), (15, 40)])
def test_memory(window_bits, kib):
    wire = sync(b"Hello" * 20_000, window_bits=window_bits)
    tracemalloc.start()
    try:
        tested = inflater(window_bits=window_bits)
        assert tracemalloc.get_traced_memory()[0] < 1024
        decode(tested, *[wire[i : i + 5] for i in range(0, len(wire), 5)])
        assert tracemalloc.get_traced_memory()[0] < (kib + 1) * 1024
    finally:
        tracemalloc.stop()


@each_engine
def test_without_takeover_nothing_is_held(engine):
    tested = inflater(engine, context_takeover=False)
    assert decode(tested, HELLO) == b"Hello"
    assert tested._stream is None
    # A peer that keeps its context all the same is told when it refers back to it...
    with pytest.raises(InvalidPayload):
        decode(tested, bytes.fromhex("f200110000"))


@each_engine
def test_with_takeover_a_peer_may_start_afresh(engine):
    # ... and one that forgets it, though it need not, is welcome.
    tested = inflater(engine)
    for _ in range(3):
        assert decode(tested, HELLO) == b"Hello"


@each_engine
def test_window_of_nine_reads_what_calls_itself_eight(engine):
    data = bytes(range(256)) * 20
    assert decode(inflater(engine, window_bits=9), sync(data, window_bits=9)) == data


def test_counters():
    tested = inflater()
    decode(tested, HELLO[:3], HELLO[3:])
    decode(tested, b"\x00")
    assert (tested.bytes_in, tested.bytes_out) == (len(HELLO) + 1, 5)
