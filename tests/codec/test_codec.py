"""The codec, pure and compiled: the same tests for both forms, and each against the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_wsendpoint.protocol import codec as pure
from trio_wsendpoint.protocol.traffic import Traffic

MASK = b"\x01\xf2\x83\x74"
#: Around every change of method and of header: 8-byte words, 768 bytes, 64 KiB, 126 and 65536.
SIZES = [*range(301), 511, 512, 700, 767, 768, 769, 1024, 4099, 65535, 65536, 65537, 200_003]

examples = settings(derandomize=True, database=None, deadline=None, max_examples=300)
masks = st.binary(min_size=4, max_size=4)


def xor(data: bytes, mask: bytes) -> bytes:
    """Mask byte by byte, as RFC 6455 section 5.3 writes it."""
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def outcome(function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """Return what a call returns or raises, in a form that can be compared."""
    try:
        value = function(*arguments)
    except Exception as error:  # noqa: BLE001 - any: it is compared
        return type(error), str(error)
    return type(value), value


def header(first: int, length: int, mask: bytes = b"") -> bytes:
    bit = 0x80 if mask else 0
    if length < 126:
        return bytes([first, bit | length]) + mask
    if length < 65536:
        return bytes([first, bit | 126]) + length.to_bytes(2, "big") + mask
    return bytes([first, bit | 127]) + length.to_bytes(8, "big") + mask


class Kind:
    """Binary frames, as far as a reader knows them."""

    type = "binary"

    @classmethod
    def received(cls, fin: bool, rsv: int, mask: bytes) -> None:
        """Nothing: `check_header` has been told."""


def read(codec: ModuleType, most: int, *chunks: bytes) -> list[object]:
    """Return what a reader finds until it finds no more.

    That is payload and mask of a message, what a header announces, and a header in no proper form.
    """
    found: list[object] = []

    class Reader(codec.FrameReader):  # type: ignore[name-defined, misc]
        def check_header(self, *facts: object) -> type[Kind]:
            found.append(facts)
            return Kind

        def check_part(self, header: bytes) -> None:
            if len(header) == 14:
                found.append(header)

    reader = Reader()
    reader.allow({0x82: Kind, 0x182: Kind})
    reader.make(codec.Content, Traffic())
    for chunk in chunks:
        reader.receive_data(chunk)
    while isinstance(content := reader.read_next(most), codec.Content):
        found.append((content.raw, content.form))
    return found


class TestEachForm:
    """What the functions promise."""

    def test_it_says_which_it_is(self, codec: ModuleType):
        assert codec.COMPILED is (codec is not pure)

    @pytest.mark.parametrize("mask", [MASK, bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01"])
    def test_every_size_is_masked(self, codec: ModuleType, mask: bytes):
        for size in SIZES:
            data = noise(size)
            assert codec.apply_mask(data, mask) == xor(data, mask), size

    def test_large_data_is_masked(self, codec: ModuleType):
        data = noise((1 << 20) + 3)
        masked = codec.apply_mask(data, MASK)
        assert masked[:1000] == xor(data[:1000], MASK)
        assert masked[-999:] == xor(data[-1003:], MASK)[-999:]  # the size is 3 modulo 4
        assert codec.apply_mask(masked, MASK) == data

    @pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(data)[::1]])
    def test_every_buffer_is_masked(self, codec: ModuleType, kind: Callable[[bytes], Any]):
        given = kind(noise(1000))
        assert codec.apply_mask(given, MASK) == xor(noise(1000), MASK)
        assert bytes(given) == noise(1000)

    def test_a_view_that_skips_is_masked_as_it_shows(self, codec: ModuleType):
        assert codec.apply_mask(memoryview(noise(100))[::3], MASK) == xor(noise(100)[::3], MASK)

    def test_slices(self, codec: ModuleType):
        data = noise(70_000)
        for start in range(5):
            for stop in [*range(start, 20), 800 + start, 66_000, 69_999, 70_000]:
                masked = codec.mask_slice(data, start, stop, MASK)
                assert masked == xor(data[start:stop], MASK), (start, stop)

    @pytest.mark.parametrize(("start", "stop"), [(8, 99), (10, 10), (10, 99), (11, 12), (7, 3)])
    def test_a_slice_ends_with_the_data(self, codec: ModuleType, start: int, stop: int):
        data = noise(10)
        assert codec.mask_slice(data, start, stop, MASK) == xor(data[start:stop], MASK)

    @pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data))])
    def test_masking_in_place(self, codec: ModuleType, kind: Callable[[bytes], Any]):
        data = noise(70_000)
        for start, stop in [(0, 0), (0, 70_000), (3, 10), (5, 900), (1, 66_001), (70_000, 70_000)]:
            target = kind(data)
            assert codec.mask_in_place(target, start, stop, MASK) is None
            assert target == data[:start] + xor(data[start:stop], MASK) + data[stop:]

    @pytest.mark.parametrize(
        ("start", "stop", "mask"),
        [(-1, 3, MASK), (4, 3, MASK), (0, 11, MASK), (11, 11, MASK), (0, 3, b""), (0, 3, b"abc")],
    )
    def test_what_cannot_be_masked_in_place(
        self, codec: ModuleType, start: int, stop: int, mask: bytes
    ):
        target = bytearray(noise(10))
        with pytest.raises(ValueError, match=r"not within|4 bytes"):
            codec.mask_in_place(target, start, stop, mask)
        assert target == noise(10)

    @pytest.mark.parametrize(
        "target", [b"0123456789", "0123456789", memoryview(bytearray(20))[::2], None]
    )
    def test_what_is_no_place_to_mask_in(self, codec: ModuleType, target: Any):
        with pytest.raises((BufferError, TypeError)):
            codec.mask_in_place(target, 0, 4, MASK)

    def test_a_text_that_is_whole(self, codec: ModuleType):
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 3000]:
            for character in "a\u07ff\uffff\U0010ffff":
                text = (character * size).encode()
                assert codec.text_prefix(text) == len(text)
                assert codec.text_prefix(b"-" + text) == 1 + len(text)

    @pytest.mark.parametrize("before", [0, 1, 252, 253, 254, 255, 256, 257, 510])
    @pytest.mark.parametrize(
        "rest",
        [
            "c3 | e2 82 | f0 9f 99 | c0 80 | 80 | ff 41 | e0 80 80 | ed a0 80 | f0 80 80 80",
            "f4 90 80 80 | f5 | c3 41 | e2 82 41 | e2 41 | f1 80 80 41 | f1 80 80 c3",
            "ed a0 | e0 80 | f4 90 | c1",
        ],
    )
    def test_a_text_that_is_not(self, codec: ModuleType, before: int, rest: str):
        for piece in rest.split("|"):
            for character in "a", "\u00e9", "\u20ac":
                good = b"-" * (before % 3) + character.encode() * before
                assert codec.text_prefix(good + bytes.fromhex(piece)) == len(good), piece

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 1 << 40])
    def test_rotation(self, codec: ModuleType, count: int):
        turn = count % 4
        assert codec.rotate_mask(b"abcd", count) == b"abcdabcd"[turn : turn + 4]

    @pytest.mark.parametrize("mask", [b"", b"abc", b"abcde"])
    def test_a_mask_of_another_length_is_refused(self, codec: ModuleType, mask: bytes):
        with pytest.raises(ValueError, match="4 bytes"):
            codec.apply_mask(b"data", mask)
        with pytest.raises(ValueError, match="4 bytes"):
            codec.mask_slice(b"data", 0, 4, mask)
        if mask:
            with pytest.raises(ValueError, match="4 bytes"):
                codec.build_frame(0x82, b"data", mask)

    @pytest.mark.parametrize("mask", [b"", MASK])
    def test_frames_of_every_size_are_built_and_read(self, codec: ModuleType, mask: bytes):
        for size in SIZES:
            payload = noise(size)
            frame = codec.build_frame(0x82, payload, mask)
            head = header(0x82, size, mask)
            assert codec.build_header(0x82, size, mask) == head
            assert frame == head + (xor(payload, mask) if mask else payload), size
            assert read(codec, size, frame) == [(payload, mask)]
            assert read(codec, 1 << 62, frame * 2 + b"c") == [(payload, mask)] * 2
            begun = (0x82, bool(mask), size)
            assert read(codec, size - 1, frame) == [begun]
            if size:
                assert read(codec, size, frame[:-1]) == [begun]

    @pytest.mark.parametrize("first", [0, 1, 0x7F, 0x80, 0xFF])
    def test_the_first_byte_is_what_it_is(self, codec: ModuleType, first: int):
        frame = codec.build_frame(first, b"x", b"")
        assert read(codec, 9, frame) == [(first, False, 1)]

    @pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536, (1 << 63) - 1])
    @pytest.mark.parametrize("mask", [b"", MASK])
    def test_a_header_that_has_not_come_whole(self, codec: ModuleType, length: int, mask: bytes):
        head = codec.build_header(0x81, length, mask)
        assert head == header(0x81, length, mask)
        for end in range(len(head)):
            assert read(codec, -1, head[:end]) == []
        assert read(codec, -1, head) == [(0x81, bool(mask), length)]

    @pytest.mark.parametrize(
        "wire",
        [
            b"\x82\x7e\x00\x7d" + bytes(125),
            b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff" + bytes(65535),
            b"\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00" + bytes(65536),
            b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(9),
        ],
        ids=["7 bits in 16", "16 bits in 64", "64 bits", "all ones"],
    )
    def test_a_length_in_no_proper_form(self, codec: ModuleType, wire: bytes):
        assert read(codec, 1 << 62, wire) == [wire[:14]]

    @pytest.mark.parametrize(
        ("first", "length"), [(-1, 0), (256, 0), (1 << 70, 0), (0, -1), (0, 1 << 63), (0, 1 << 80)]
    )
    def test_what_a_header_cannot_hold(self, codec: ModuleType, first: int, length: int):
        with pytest.raises(ValueError, match="63-bit"):
            codec.build_header(first, length, b"")

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_frames_of_other_buffers(self, codec: ModuleType, kind: Callable[[bytes], Any]):
        for mask in (b"", MASK):
            built = codec.build_frame(0x82, kind(b"payload"), mask)
            assert built == codec.build_frame(0x82, b"payload", mask)


class TestOneAgainstTheOther:
    """Whatever they are given, both forms return or raise the same."""

    @examples
    @given(data=st.binary(max_size=300), mask=st.binary(max_size=5), turn=st.integers(0, 3))
    def test_masking(self, compiled_codec: ModuleType, data: bytes, mask: bytes, turn: int):
        for kind in (bytes, bytearray, memoryview):
            arguments = kind(data)[turn:], mask
            assert outcome(compiled_codec.apply_mask, *arguments) == outcome(
                pure.apply_mask, *arguments
            )

    @examples
    @given(
        data=st.binary(max_size=60),
        start=st.integers(-3, 70),
        stop=st.integers(0, 70),
        mask=st.binary(min_size=3, max_size=4),
    )
    def test_slices(
        self, compiled_codec: ModuleType, data: bytes, start: int, stop: int, mask: bytes
    ):
        arguments = data, start, stop, mask
        assert outcome(compiled_codec.mask_slice, *arguments) == outcome(
            pure.mask_slice, *arguments
        )

    @pytest.mark.parametrize("size", [701, 768, 65536, 65539, 1 << 20])
    def test_large_data(self, compiled_codec: ModuleType, size: int):
        for turn in range(4):
            arguments = noise(size), turn, size, MASK
            assert compiled_codec.mask_slice(*arguments) == pure.mask_slice(*arguments)

    @examples
    @given(
        first=st.integers(-2, 300),
        payload=st.binary(max_size=300),
        mask=st.one_of(masks, st.binary(max_size=5)),
    )
    def test_building(self, compiled_codec: ModuleType, first: int, payload: bytes, mask: bytes):
        for name in "build_header", "build_frame":
            body = len(payload) if name == "build_header" else payload
            arguments = first, body, mask
            assert outcome(getattr(compiled_codec, name), *arguments) == outcome(
                getattr(pure, name), *arguments
            )

    @examples
    @given(
        chunks=st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.builds(
                    lambda first, code, rest: bytes([first, code]) + rest,
                    st.sampled_from([0x82, 0x82, 2, 0, 0x89, 0xFF]),
                    st.sampled_from([0, 1, 125, 126, 127, 128, 129, 253, 254, 255]),
                    st.binary(max_size=300),
                ),
            ),
            max_size=4,
        ),
        most=st.integers(-1, 300),
    )
    def test_reading(self, compiled_codec: ModuleType, chunks: list[bytes], most: int):
        arguments = most, *chunks
        assert outcome(read, compiled_codec, *arguments) == outcome(read, pure, *arguments)

    @examples
    @given(
        data=st.binary(max_size=60),
        start=st.integers(-3, 70),
        stop=st.integers(-3, 70),
        mask=st.binary(min_size=3, max_size=4),
    )
    def test_masking_in_place(
        self, compiled_codec: ModuleType, data: bytes, start: int, stop: int, mask: bytes
    ):
        targets = bytearray(data), bytearray(data)
        assert outcome(compiled_codec.mask_in_place, targets[0], start, stop, mask) == outcome(
            pure.mask_in_place, targets[1], start, stop, mask
        )
        assert targets[0] == targets[1]

    @examples
    @given(
        text=st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")),
        cut=st.integers(0, 3),
        place=st.integers(0, 500),
        wrong=st.binary(max_size=2),
        times=st.integers(1, 4),
    )
    def test_texts(
        self,
        compiled_codec: ModuleType,
        text: bytes,
        cut: int,
        place: int,
        wrong: bytes,
        times: int,
    ):
        text = text * times
        text = (text[:place] + wrong + text[place:])[: len(text) + len(wrong) - cut]
        assert compiled_codec.text_prefix(text) == pure.text_prefix(text)

    @pytest.mark.parametrize("wrong", [None, 5, "text", [1, 2], object()])
    def test_what_is_no_buffer(self, compiled_codec: ModuleType, wrong: object):
        for form in pure, compiled_codec:
            with pytest.raises(TypeError):
                form.apply_mask(wrong, MASK)
