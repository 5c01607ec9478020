"""Fragments into messages, and the limits on both."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import (
    InvalidPayload,
    MessageTooBig,
    PolicyViolation,
    ProtocolError,
)
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ContinuationFrame,
    DataFrame,
    Defragmenter,
    Message,
    TextFrame,
)

from .fake_extension import Doubling
from .wire import MASK, ChunkFrame, cut, cut_places, examples


def test_one_frame_is_a_message():
    defragmenter = Defragmenter()
    frame = TextFrame("€", mask=MASK)
    message = defragmenter.add(frame)
    assert message is not None
    assert message.payload == "€"
    assert message.get_frames() == (frame,)
    assert not defragmenter.in_message


def test_fragments_are_joined_and_the_next_message_starts_anew():
    defragmenter = Defragmenter()
    frames = [
        BinaryFrame(b"a", fin=False, rsv=1),
        ContinuationFrame(b"", fin=False, mask=MASK),
        ContinuationFrame(b"b"),
    ]
    for _ in range(2):
        assert defragmenter.add(frames[0]) is None
        assert defragmenter.in_message
        assert defragmenter.add(frames[1]) is None
        message = defragmenter.add(frames[2])
        assert message is not None
        assert message.payload == b"ab"
        assert list(message.get_frames()) == frames
        assert not defragmenter.in_message


@pytest.mark.parametrize("frame", [TextFrame(), BinaryFrame(), ChunkFrame()])
def test_empty_messages(frame: DataFrame):
    message = Defragmenter().add(frame)
    assert message is not None
    assert message.raw == b""
    assert message.type == frame.type


def test_custom_data_frames_make_messages():
    defragmenter = Defragmenter()
    defragmenter.add(ChunkFrame(b"\xff", fin=False))
    message = defragmenter.add(ContinuationFrame(b"\xfe"))
    assert message is not None
    assert (message.type, message.payload) == ("chunk", b"\xff\xfe")


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([ContinuationFrame()], "a continuation frame outside of a message"),
        ([TextFrame(fin=False), BinaryFrame()], "a binary frame inside a fragmented message"),
        ([ChunkFrame(fin=False), TextFrame()], "a text frame inside a fragmented message"),
    ],
)
def test_frames_out_of_sequence(frames: list[DataFrame], text: str):
    defragmenter = Defragmenter()
    for frame in frames[:-1]:
        defragmenter.add(frame)
    with pytest.raises(ProtocolError, match=text):
        defragmenter.add(frames[-1])


def test_discard_forgets_the_message_that_has_begun():
    defragmenter = Defragmenter()
    defragmenter.add(TextFrame(b"\xe2", fin=False))
    defragmenter.discard()
    assert not defragmenter.in_message
    message = defragmenter.add(TextFrame("a"))
    assert message is not None
    assert message.payload == "a"


# ---- text ------------------------------------------------------------------------------------


def test_text_is_checked_piece_by_piece():
    defragmenter = Defragmenter()
    defragmenter.begin(TextFrame(), 100)
    defragmenter.feed(b"ok \xe2")
    with pytest.raises(InvalidPayload, match="text is not UTF-8"):
        defragmenter.feed(b"\x28")


def test_a_character_may_span_fragments_but_not_the_end():
    defragmenter = Defragmenter()
    defragmenter.add(TextFrame(b"\xf0", fin=False))
    for byte in (b"\x9f", b"", b"\x98"):
        defragmenter.add(ContinuationFrame(byte, fin=False))
    message = defragmenter.add(ContinuationFrame(b"\x80"))
    assert message is not None
    assert message.payload == "😀"
    defragmenter.add(TextFrame(b"\xf0\x9f", fin=False))
    with pytest.raises(InvalidPayload, match="unexpected end of data"):
        defragmenter.add(ContinuationFrame(b"\x98"))


def test_binary_is_not_checked():
    defragmenter = Defragmenter()
    defragmenter.add(BinaryFrame(b"\xff", fin=False))
    assert defragmenter.add(ContinuationFrame(b"\xfe")) is not None


@examples(100)
@given(st.text(max_size=40), cut_places, cut_places)
def test_text_however_it_is_fragmented_and_fed(text: str, places: list[int], pieces: list[int]):
    defragmenter = Defragmenter()
    parts = cut(text.encode(), places) or [b""]
    result: Message | None = None
    for index, part in enumerate(parts):
        assert result is None
        frame_type = ContinuationFrame if index else TextFrame
        defragmenter.begin(frame_type(fin=index == len(parts) - 1), len(part))
        for piece in cut(part, pieces) or [b""]:
            defragmenter.feed(piece)
            assert not defragmenter.inflate()
        result = defragmenter.end()
    assert result is not None
    assert result.payload == text
    assert [frame.payload for frame in result.get_frames()] == parts


# ---- limits ----------------------------------------------------------------------------------


def test_message_size_is_judged_by_the_header():
    defragmenter = Defragmenter(Limits(message_size=100))
    message = defragmenter.add(BinaryFrame(bytes(100)))
    assert message is not None
    expected = "a message of 101 bytes or more, the limit is 100 bytes"
    with pytest.raises(MessageTooBig, match=expected):
        defragmenter.begin(BinaryFrame(), 101)


def test_message_size_over_fragments():
    defragmenter = Defragmenter(Limits(message_size=100))
    defragmenter.add(BinaryFrame(bytes(60), fin=False))
    defragmenter.add(ContinuationFrame(bytes(40), fin=False))
    defragmenter.add(ContinuationFrame(b"", fin=False))
    with pytest.raises(MessageTooBig, match="a message of 101 bytes or more"):
        defragmenter.begin(ContinuationFrame(), 1)


def test_a_limit_of_zero_lets_empty_messages_through():
    defragmenter = Defragmenter(Limits(message_size=0))
    assert defragmenter.add(BinaryFrame()) is not None
    with pytest.raises(MessageTooBig):
        defragmenter.begin(BinaryFrame(), 1)


def test_empty_fragments_count():  # E84
    defragmenter = Defragmenter()
    defragmenter.add(TextFrame(fin=False))
    for _ in range(4095):
        assert defragmenter.add(ContinuationFrame(fin=False)) is None
    with pytest.raises(PolicyViolation, match="a message of 0 bytes in 4097 frames") as caught:
        defragmenter.add(ContinuationFrame())
    assert caught.value.close_code == 1008


def test_the_last_allowed_fragment_may_end_the_message():
    defragmenter = Defragmenter(Limits(fragments=2))
    defragmenter.add(TextFrame(fin=False))
    assert defragmenter.add(ContinuationFrame()) is not None
    # E85: the count starts anew.
    for _ in range(100):
        assert defragmenter.add(TextFrame()) is not None


@pytest.mark.parametrize(("size", "more"), [(31, 0), (32, 1), (63, 1), (64, 2)])
def test_one_fragment_more_for_every_32_bytes(size: int, more: int):
    defragmenter = Defragmenter(Limits(fragments=3))
    defragmenter.add(BinaryFrame(bytes(size), fin=False))
    for _ in range(2 + more):
        defragmenter.add(ContinuationFrame(fin=False))
    with pytest.raises(PolicyViolation, match=f"{size} bytes in {4 + more} frames"):
        defragmenter.add(ContinuationFrame(fin=False))


def test_fragments_of_64_bytes_are_never_too_many():  # Autobahn 9.3.1
    defragmenter = Defragmenter()
    defragmenter.add(BinaryFrame(bytes(64), fin=False))
    for _ in range(8000):
        defragmenter.add(ContinuationFrame(bytes(64), fin=False))
    message = defragmenter.add(ContinuationFrame())
    assert message is not None
    assert message.size == 8001 * 64


def test_fragments_are_held_as_one_payload():  # E86
    defragmenter = Defragmenter()
    tracemalloc.start()
    try:
        defragmenter.add(BinaryFrame(b"x", fin=False))
        for _ in range(4000):
            defragmenter.add(ContinuationFrame(b"x", fin=False))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4001 * 16


# ---- an extension ----------------------------------------------------------------------------


def coded(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def test_an_encoded_message_is_decoded_and_its_frames_are_those_of_the_wire():
    extension = Doubling(factor=2)
    defragmenter = Defragmenter(extension=extension)
    frames = [
        BinaryFrame(coded(b"a"), fin=False, rsv=4),
        ContinuationFrame(b"", fin=False),
        ContinuationFrame(coded(b"bc"), mask=MASK),
    ]
    assert defragmenter.add(frames[0]) is None
    assert defragmenter.add(frames[1]) is None
    message = defragmenter.add(frames[2])
    assert message is not None
    assert message.payload == b"aabbcc"
    assert list(message.get_frames()) == frames
    assert extension.fed == [(coded(b"a"), False), (b"", False), (coded(b"bc"), True)]


def test_only_messages_marked_with_its_bit_are_decoded():
    extension = Doubling()
    defragmenter = Defragmenter(extension=extension)
    for rsv in (0, 1, 2, 3):
        message = defragmenter.add(BinaryFrame(b"plain", rsv=rsv))
        assert message is not None
        assert message.payload == b"plain"
    assert extension.fed == []


def test_an_encoded_text_is_checked_when_decoded():
    extension = Doubling()
    defragmenter = Defragmenter(extension=extension)
    message = defragmenter.add(TextFrame(coded("€".encode()), rsv=4))
    assert message is not None
    assert message.payload == "€"
    with pytest.raises(InvalidPayload, match="text is not UTF-8"):
        defragmenter.add(TextFrame(coded(b"\xc0"), rsv=4))


def test_what_does_not_decode_comes_out():
    defragmenter = Defragmenter(extension=Doubling())
    with pytest.raises(InvalidPayload, match="a zero does not decode"):
        defragmenter.add(BinaryFrame(b"\xf0\x00", rsv=4))


@pytest.mark.parametrize("size", [99, 100])
def test_decoded_messages_up_to_the_limit_exactly(size: int):  # D68
    defragmenter = Defragmenter(Limits(message_size=100), Doubling())
    message = defragmenter.add(BinaryFrame(coded(b"x" * size), rsv=4))
    assert message is not None
    assert message.payload == b"x" * size


@pytest.mark.parametrize("size", [101, 102])
def test_decoded_messages_over_the_limit(size: int):
    extension = Doubling()
    defragmenter = Defragmenter(Limits(message_size=100), extension)
    expected = "a message that inflates to more than 100 bytes"
    with pytest.raises(MessageTooBig, match=expected) as caught:
        defragmenter.add(BinaryFrame(coded(b"x" * size), rsv=4))
    assert caught.value.close_code == 1009
    assert extension.reads == [(101, 101)]


def test_a_bomb_is_read_in_bounded_steps():  # D66, D78
    extension = Doubling(factor=100_000)
    defragmenter = Defragmenter(Limits(message_size=150_000), extension)
    defragmenter.begin(BinaryFrame(rsv=4, fin=False), 10)
    defragmenter.feed(coded(b"x" * 10))
    assert defragmenter.inflate()
    assert defragmenter.inflate()
    with pytest.raises(MessageTooBig):
        defragmenter.inflate()
    left = 150_000 - 2 * 65536
    assert extension.reads == [(65536, 65536), (65536, 65536), (left + 1, left + 1)]


def test_the_wire_form_may_be_a_little_larger_than_the_limit():  # D69
    limits = Limits(message_size=65536)
    room = 65536 + 65536 // 16 + 16 + 64
    defragmenter = Defragmenter(limits, Doubling())
    defragmenter.begin(BinaryFrame(rsv=4), room)
    defragmenter.discard()
    with pytest.raises(MessageTooBig, match=f"a message of {room + 1} bytes or more"):
        defragmenter.begin(BinaryFrame(rsv=4), room + 1)
    defragmenter.discard()
    with pytest.raises(MessageTooBig):  # one that is not encoded has no such room
        defragmenter.begin(BinaryFrame(), 65537)


def test_encoded_fragments_count_too():  # D73
    defragmenter = Defragmenter(Limits(fragments=5), Doubling())
    defragmenter.add(BinaryFrame(fin=False, rsv=4))
    for _ in range(4):
        defragmenter.add(ContinuationFrame(fin=False))
    with pytest.raises(PolicyViolation, match="in 6 frames"):
        defragmenter.add(ContinuationFrame(fin=False))


# ---- in parts --------------------------------------------------------------------------------


def test_parts_of_a_message_that_has_not_ended():
    defragmenter = Defragmenter()
    before = defragmenter.partial_type, defragmenter.partial_size
    assert before == (None, 0)
    assert defragmenter.take_part() == b""  # and this changes nothing
    defragmenter.add(BinaryFrame(b"1", fin=False))
    message = defragmenter.add(ContinuationFrame(b"2"))
    assert message is not None
    assert len(message.get_frames()) == 2
    defragmenter.add(BinaryFrame(b"ab", fin=False))
    assert (defragmenter.partial_type, defragmenter.partial_size) == ("binary", 2)
    assert defragmenter.take_part() == b"ab"
    assert defragmenter.take_part() == b""
    defragmenter.add(ContinuationFrame(b"c", fin=False))
    defragmenter.add(ContinuationFrame(b"d", fin=False))
    assert defragmenter.partial_size == 2
    assert defragmenter.take_part() == b"cd"
    defragmenter.add(ContinuationFrame(b"e", fin=False))
    message = defragmenter.add(ContinuationFrame(b"f"))
    assert message is not None
    assert (message.type, message.payload, len(message.get_frames())) == ("binary", b"ef", 1)
    # The next message is whole again.
    defragmenter.add(BinaryFrame(b"1", fin=False))
    message = defragmenter.add(ContinuationFrame(b"2"))
    assert message is not None
    assert (message.payload, len(message.get_frames())) == (b"12", 2)


@examples(100)
@given(st.text(max_size=20), cut_places)
def test_parts_of_a_text_are_whole_characters(text: str, places: list[int]):
    defragmenter = Defragmenter()
    data = text.encode()
    taken = b""
    defragmenter.begin(TextFrame(), len(data))
    for piece in cut(data, places):
        defragmenter.feed(piece)
        part = defragmenter.take_part()
        part.decode()
        taken += part
    message = defragmenter.end()
    assert message is not None
    assert taken + message.raw == data


def test_parts_count_towards_the_limit():
    defragmenter = Defragmenter(Limits(message_size=10))
    defragmenter.add(BinaryFrame(bytes(10), fin=False))
    defragmenter.take_part()
    with pytest.raises(MessageTooBig):
        defragmenter.begin(ContinuationFrame(), 1)


def test_parts_of_an_encoded_message_count_towards_the_limit():
    defragmenter = Defragmenter(Limits(message_size=10), Doubling())
    defragmenter.add(BinaryFrame(coded(bytes(range(10))), fin=False, rsv=4))
    assert defragmenter.take_part() == bytes(range(10))
    with pytest.raises(MessageTooBig, match="inflates to more than 10 bytes"):
        defragmenter.add(ContinuationFrame(coded(b"x")))


def test_an_encoded_message_in_parts():
    defragmenter = Defragmenter(extension=Doubling())
    defragmenter.add(BinaryFrame(coded(b"ab"), fin=False, rsv=4))
    assert defragmenter.take_part() == b"ab"
    message = defragmenter.add(ContinuationFrame(coded(b"c")))
    assert message is not None
    assert message.payload == b"c"


@pytest.mark.parametrize("extension", [None, Doubling()])
def test_a_skipped_message_is_not_returned_but_limited(extension: Doubling | None):
    defragmenter = Defragmenter(Limits(message_size=10), extension)
    defragmenter.skip()  # nothing has begun
    rsv = 0 if extension is None else 4
    for data in (b"ab", b"cdef"):
        wire = data if extension is None else coded(data)
        defragmenter.add(BinaryFrame(wire, fin=False, rsv=rsv))
        defragmenter.skip()
        assert defragmenter.partial_type is None
        assert defragmenter.in_message
        defragmenter.add(ContinuationFrame(wire, fin=False))
        assert defragmenter.partial_size == 0
        assert defragmenter.add(ContinuationFrame(b"")) is None
        assert not defragmenter.in_message
    message = defragmenter.add(BinaryFrame(b"x"))
    assert message is not None
    assert message.payload == b"x"
    defragmenter.add(BinaryFrame(bytes(5), fin=False))
    defragmenter.skip()
    with pytest.raises(MessageTooBig):
        defragmenter.add(ContinuationFrame(bytes(6)))


def test_a_skipped_text_is_checked():
    defragmenter = Defragmenter()
    defragmenter.add(TextFrame(b"\xe2", fin=False))
    defragmenter.skip()
    with pytest.raises(InvalidPayload):
        defragmenter.add(ContinuationFrame(b"x"))
