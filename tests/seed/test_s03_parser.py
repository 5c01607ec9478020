"""Net::WebSocket's Parser."""

from __future__ import annotations

import io

import pytest

from trio_wsendpoint import BinaryFrame, Frame, MessageTooBig, Parser, TextFrame, UnexpectedEOF

from .helpers import BINARY, MASK, PING, TEXT, BlinkFrame, BooyaFrame, frame_bytes, from_client

#: One frame of each form of the length, masked and not.
WIRE = [
    frame_bytes(BINARY, bytes(range(256)) * (size // 256) + bytes(size % 256), mask=mask)
    for size in (0, 1, 125, 126, 65535, 65536)
    for mask in (b"", MASK)
]


def one(data: bytes, **options: object) -> Frame:
    """Return the one frame in `data`."""
    parser = Parser(**options)  # type: ignore[arg-type]
    parser.receive_data(data)
    frame = parser.get_next_frame()
    assert frame is not None
    assert parser.get_next_frame() is None
    return frame


class Slow:
    """A source that gives one byte a read, and None in between."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_dry = True

    def read(self, size: int) -> bytes | None:
        self.is_dry = not self.is_dry
        if self.is_dry:
            return None
        byte, self.data = self.data[:1], self.data[1:]
        return byte


def test_get_next_frame_returns_a_frame_or_none():
    parser = Parser()
    assert parser.get_next_frame() is None
    parser.receive_data(frame_bytes(TEXT, b"hi"))
    assert parser.get_next_frame() == TextFrame("hi")
    assert parser.get_next_frame() is None


@pytest.mark.parametrize("wire", WIRE, ids=lambda wire: f"{len(wire)}B")
def test_to_bytes_of_a_parsed_frame_is_the_wire_bytes(wire: bytes):
    assert one(wire).to_bytes() == wire


@pytest.mark.parametrize("wire", WIRE[:8], ids=lambda wire: f"{len(wire)}B")
def test_a_frame_is_resumable_at_every_byte(wire: bytes):
    parser = Parser()
    for place in range(len(wire) - 1):
        parser.receive_data(wire[place : place + 1])
        assert parser.get_next_frame() is None
    parser.receive_data(wire[-1:])
    frame = parser.get_next_frame()
    assert frame is not None
    assert frame.to_bytes() == wire


def test_a_source_may_return_fewer_bytes_than_asked_for():
    # Improved: a short read in a header broke the parsing.
    wire = from_client(BINARY, bytes(300))
    parser = Parser(Slow(wire))
    for _ in range(2 * len(wire) - 1):
        frame = parser.get_next_frame()
    assert frame == BinaryFrame(bytes(300), mask=MASK)


def test_a_source_without_data_is_not_at_its_end():
    source = Slow(frame_bytes(TEXT, b"x"))
    source.is_dry = False  # so that the first read gives None
    parser = Parser(source)
    assert parser.get_next_frame() is None
    assert not parser.at_eof


def test_the_source_is_read_at_most_once_a_call():
    class Counting(io.BytesIO):
        reads = 0

        def read1(self, size: int | None = -1) -> bytes:
            self.reads += 1
            return super().read1(size)

    source = Counting(frame_bytes(TEXT, b"x") + frame_bytes(TEXT, b"y"))
    parser = Parser(source)
    assert parser.get_next_frame() == TextFrame("x")
    assert parser.get_next_frame() == TextFrame("y")
    assert source.reads == 1


def test_eof_between_frames_is_told_by_at_eof():
    parser = Parser(io.BytesIO(frame_bytes(TEXT, b"x")))
    assert parser.get_next_frame() is not None
    assert not parser.at_eof
    assert parser.get_next_frame() is None
    assert parser.at_eof


@pytest.mark.parametrize("cut", range(1, 8))
def test_eof_inside_a_frame_is_an_error(cut: int):
    wire = from_client(TEXT, b"xy")
    assert len(wire) == 8
    parser = Parser(io.BytesIO(wire[:cut]))
    assert parser.get_next_frame() is None
    with pytest.raises(UnexpectedEOF, match="inside a frame"):
        parser.get_next_frame()


def test_an_opcode_table_that_can_be_added_to():
    parser = Parser(frame_types=[BooyaFrame])
    parser.register(BlinkFrame)
    parser.receive_data(frame_bytes(3, b"a") + frame_bytes(11, b"b"))
    assert parser.get_next_frame() == BooyaFrame(b"a")
    assert parser.get_next_frame() == BlinkFrame(b"b")


def test_the_built_in_opcodes_are_0_1_2_8_9_10():
    assert sorted(Parser().frame_types) == [0, 1, 2, 8, 9, 10]


def test_a_table_belongs_to_one_parser():
    Parser().register(BooyaFrame)
    assert 3 not in Parser().frame_types


@pytest.mark.parametrize("opcode", [0, 2, 8, 11, 16])
def test_a_data_frame_of_ones_own_has_an_opcode_from_3_to_7(opcode: int):
    wrong = type("Wrong", (BooyaFrame,), {"opcode": opcode})
    with pytest.raises(ValueError, match="3 to 7"):
        Parser().register(wrong)


def test_a_64_bit_length_is_read_and_held_against_the_limit():
    # Improved: there was no limit.
    parser = Parser(max_frame_size=1 << 20)
    parser.receive_data(b"\x82\x7f" + ((1 << 62) + 1).to_bytes(8, "big"))
    with pytest.raises(MessageTooBig, match=str((1 << 62) + 1)):
        parser.get_next_frame()


def test_a_frame_after_a_frame_in_one_chunk():
    parser = Parser()
    parser.receive_data(frame_bytes(PING, b"1") + frame_bytes(TEXT, b"2"))
    frames = [parser.get_next_frame() for _ in range(3)]
    assert [frame and frame.type for frame in frames] == ["ping", "text", None]


def test_bytes_read_before_the_parser_was_made_can_be_pushed_first():
    # An early parser took them as `pre_buffer`: what an HTTP parser had read too far.
    wire = frame_bytes(TEXT, b"hello")
    parser = Parser(io.BytesIO(wire[4:]))
    parser.receive_data(wire[:4])
    assert parser.get_next_frame() == TextFrame("hello")
