"""Bytes into frames: strict at the earliest byte, and the same however they are cut."""

from __future__ import annotations

import io
import os
import socket
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import MessageTooBig, PeerError, ProtocolError, UnexpectedEOF
from trio_wsendpoint.protocol import (
    BinaryFrame,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Frame,
    Parser,
    PingFrame,
    TextFrame,
)

from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    ChunkFrame,
    StatusFrame,
    close_payload,
    cut,
    cut_places,
    examples,
    frame_bytes,
    from_client,
    streams,
)

Outcome = tuple[list[tuple[type[Frame], bytes]], tuple[type[Exception], str] | None]


def parse(parser: Parser) -> Outcome:
    """Return the frames (type and wire bytes) that are there, and the error that ends them."""
    frames: list[tuple[type[Frame], bytes]] = []
    try:
        while (frame := parser.get_next_frame()) is not None:
            frames.append((type(frame), frame.to_bytes()))
    except PeerError as error:
        return frames, (type(error), str(error))
    return frames, None


def parse_pieces(pieces: list[bytes], *, eof: bool = True, **options: Any) -> Outcome:
    """Parse after each piece."""
    parser = Parser(**options)
    frames: list[tuple[type[Frame], bytes]] = []
    for piece in pieces:
        parser.receive_data(piece)
        more, error = parse(parser)
        frames += more
        if error is not None:
            return frames, error
    if eof:
        parser.receive_eof()
        more, error = parse(parser)
        frames += more
        return frames, error
    return frames, None


# ---- violations, at the earliest byte --------------------------------------------------------

VIOLATIONS: list[tuple[str, bytes, bool | None, int, str]] = [
    # row, bytes, `masked`, the byte (from 1) that shows it, what the error says
    ("C44", bytes.fromhex("81 02 68 69"), True, 2, "an unmasked frame from a client"),
    ("C44 control", bytes.fromhex("89 00"), True, 2, "an unmasked frame from a client"),
    ("C45", from_client(TEXT, b"hi"), False, 2, "a masked frame from a server"),
    (
        "C46 rsv1",
        from_client(TEXT, b"hi", rsv=4),
        True,
        1,
        "reserved bits 100 on a text frame, 000",
    ),
    ("C46 rsv2", from_client(TEXT, b"hi", rsv=2), True, 1, "reserved bits 010 on a text frame"),
    ("C46 rsv3", from_client(BINARY, b"hi", rsv=1), True, 1, "reserved bits 001 on a binary frame"),
    ("C46 all", from_client(PING, b"hi", rsv=7), True, 1, "reserved bits 111 on a ping frame"),
    *(
        (f"C47 {opcode}", from_client(opcode, b"hi"), True, 1, f"unknown opcode {opcode}")
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    ("C48 16", from_client(BINARY, b"hello", form=3), True, 4, "not in its shortest form"),
    ("C48 16, 125", from_client(BINARY, bytes(125), form=3), True, 4, "not in its shortest form"),
    ("C48 16, 0", from_client(BINARY, b"", form=3), True, 4, "not in its shortest form"),
    ("C48 64", from_client(BINARY, b"hello", form=9), True, 8, "not in its shortest form"),
    ("C48 64, 65535", from_client(BINARY, bytes(65535), form=9), True, 8, "its shortest form"),
    ("C49", bytes.fromhex("82 ff 80 00 00 00 00 00 00 00"), True, 3, "most significant bit set"),
    ("C51 126", from_client(PING, bytes(126)), True, 2, "a ping frame of more than 125 bytes"),
    ("C51 900 KB", bytes.fromhex("88 ff 00 00"), True, 2, "a close frame of more than 125 bytes"),
    ("C51 pong", frame_bytes(PONG, bytes(126)), False, 2, "a pong frame of more than 125 bytes"),
    ("C52 ping", bytes.fromhex("09 85 01 02 03 04"), True, 1, "a fragmented ping frame"),
    ("C52 close", from_client(CLOSE, b"", fin=False), True, 1, "a fragmented close frame"),
    ("C55", from_client(CONTINUATION, b"x"), True, 1, "a continuation frame outside of a message"),
    ("C56", from_client(CLOSE, b"\x03"), True, 2, "a close frame of 1 byte: a close code has 2"),
    *(
        (f"C57 {code}", from_client(CLOSE, close_payload(code)), True, 8, f"close code {code} must")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    (
        "C59 ff",
        from_client(CLOSE, b"\x03\xe8\xff"),
        True,
        9,
        "a close frame is not UTF-8",
    ),
    (
        "C59 cut",
        from_client(CLOSE, b"\x03\xe8\xe2\x82"),
        True,
        10,
        "a close frame is not UTF-8",
    ),
]

VALID_BEFORE = (
    from_client(TEXT, b"one") + from_client(PING, b"two") + from_client(BINARY, bytes(200))
)


@pytest.mark.parametrize(
    ("data", "masked", "offset", "text"),
    [row[1:] for row in VIOLATIONS],
    ids=[row[0] for row in VIOLATIONS],
)
def test_violations_show_at_the_earliest_byte(data: bytes, masked: bool, offset: int, text: str):
    parser = Parser(masked=masked)
    for place in range(offset - 1):
        parser.receive_data(data[place : place + 1])
        assert parser.get_next_frame() is None
    parser.receive_data(data[offset - 1 : offset])
    with pytest.raises(PeerError, match=text) as caught:
        parser.get_next_frame()
    assert caught.value.close_code == (1007 if "UTF-8" in text else 1002)
    # And the same when all comes at once.
    assert parse_pieces([data], masked=masked) == ([], (type(caught.value), str(caught.value)))


@pytest.mark.parametrize(
    ("data", "text"),
    [(row[1], row[4]) for row in VIOLATIONS if row[2]],
    ids=[row[0] for row in VIOLATIONS if row[2]],
)
def test_frames_before_the_violation_come_first(data: bytes, text: str):
    frames, error = parse_pieces([VALID_BEFORE + data], masked=True)
    assert b"".join(wire for _, wire in frames) == VALID_BEFORE
    assert error is not None
    assert text in error[1]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_new_message_inside_a_fragmented_one(opcode: int):  # C55
    begun = from_client(TEXT, b"a", fin=False) + from_client(PING) + from_client(0, b"b", fin=False)
    parser = Parser(masked=True)
    parser.receive_data(begun + bytes([0x80 | opcode]))
    for frame_type in (TextFrame, PingFrame, ContinuationFrame):
        assert type(parser.get_next_frame()) is frame_type
    with pytest.raises(ProtocolError, match=r"a \w+ frame inside a fragmented message"):
        parser.get_next_frame()


def test_a_continuation_behind_the_end_of_a_message():
    data = from_client(TEXT, b"a", fin=False) + from_client(0, b"b") + from_client(0, b"c")
    frames, error = parse_pieces([data])
    assert len(frames) == 2
    assert error == (ProtocolError, "a continuation frame outside of a message")


@pytest.mark.parametrize("data", [from_client(CLOSE, close_payload(999)), b"\xf1", b"\x82"])
def test_the_error_is_sticky_and_the_same(data: bytes):
    parser = Parser(masked=True)
    parser.receive_data(data)
    if len(data) == 1 and data == b"\x82":
        parser.receive_eof()
    with pytest.raises(PeerError) as caught:
        parser.get_next_frame()
    if not parser.at_eof:
        parser.receive_data(from_client(TEXT, b"fine"))
    for again in (parser.get_next_frame, parser.begin_frame):
        with pytest.raises(PeerError) as repeated:
            again()
        assert repeated.value is caught.value
    with pytest.raises(PeerError) as repeated:
        parser.finish_frame(TextFrame())
    assert repeated.value is caught.value


def test_nothing_is_kept_behind_a_violation():
    parser = Parser()
    parser.receive_data(b"\xf1" + bytes(1000))
    parser.receive_data(bytes(1000))
    with pytest.raises(ProtocolError):
        parser.get_next_frame()
    assert parser.buffered == 0
    tracemalloc.start()
    try:
        for _ in range(160):
            parser.receive_data(bytes(65536))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.buffered == 0
    assert peak < 200_000


def test_masks_either_way_are_accepted_without_a_role():
    frames, error = parse_pieces([frame_bytes(TEXT, b"a") + from_client(TEXT, b"b")])
    assert error is None
    assert len(frames) == 2


def test_reserved_bits_that_are_allowed():
    parser = Parser(rsv=0b010)
    parser.first_rsv = 0b100
    data = [
        frame_bytes(TEXT, b"a", fin=False, rsv=0b110),
        frame_bytes(CONTINUATION, b"b", rsv=0b010),
    ]
    parser.receive_data(b"".join(data))
    assert parse(parser) == ([(TextFrame, data[0]), (ContinuationFrame, data[1])], None)
    parser.receive_data(frame_bytes(TEXT, b"a", fin=False, rsv=0b100))
    parser.receive_data(bytes([0b100 << 4]))  # RFC 7692 section 6.1: on the first frame only
    frames, error = parse(parser)
    assert len(frames) == 1
    assert error == (
        ProtocolError,
        "reserved bits 100 on a continuation frame, 010 may be set",
    )


@pytest.mark.parametrize("rsv", [1, 2, 4])
def test_control_frames_never_carry_reserved_bits(rsv: int):
    parser = Parser(rsv=7)
    parser.first_rsv = 7
    parser.receive_data(frame_bytes(PING, rsv=rsv)[:1])
    with pytest.raises(ProtocolError, match="on a ping frame, 000 may be set"):
        parser.get_next_frame()


# ---- resumable at every byte -----------------------------------------------------------------


@examples(120)
@given(streams(), cut_places)
def test_valid_frames_are_the_same_however_they_are_cut(frames: list[bytes], places: list[int]):
    data = b"".join(frames)
    outcome = parse_pieces(cut(data, places), masked=True)
    assert ([wire for _, wire in outcome[0]], outcome[1]) == (frames, None)


@examples(60)
@given(streams(b""))
def test_valid_frames_byte_by_byte(frames: list[bytes]):
    data = b"".join(frames)
    pieces = [data[place : place + 1] for place in range(len(data))]
    outcome = parse_pieces(pieces, masked=False)
    assert ([wire for _, wire in outcome[0]], outcome[1]) == (frames, None)


@examples(400)
@given(
    st.one_of(st.binary(max_size=40), streams().map(b"".join)), st.binary(max_size=12), cut_places
)
def test_any_bytes_have_one_outcome(head: bytes, tail: bytes, places: list[int]):
    data = head + tail
    whole = parse_pieces([data], max_frame_size=1000)
    assert parse_pieces(cut(data, places), max_frame_size=1000) == whole
    assert parse_pieces([data[i : i + 1] for i in range(len(data))], max_frame_size=1000) == whole
    # Pushed in pieces and parsed at the end.
    parser = Parser(max_frame_size=1000)
    for piece in cut(data, places):
        parser.receive_data(piece)
        parser.receive_data(b"")
    parser.receive_eof()
    assert parse(parser) == whole


def test_a_frame_that_came_in_several_pieces_is_whole_at_once():
    parser = Parser()
    wire = frame_bytes(BINARY, bytes(range(100)))
    for place in range(0, len(wire), 30):
        parser.receive_data(wire[place : place + 30])
    frame = parser.get_next_frame()
    assert frame is not None
    assert frame.payload == bytes(range(100))


def test_no_bytes_are_neither_the_end_nor_a_gap():
    parser = Parser()
    wire = frame_bytes(BINARY, bytes(range(40)))
    for piece in (b"", wire[:20], b"", wire[20:30], bytearray(b""), memoryview(wire)[30:]):
        parser.receive_data(piece)
    parser.receive_eof()
    frame = parser.get_next_frame()
    assert frame is not None
    assert frame.to_bytes() == wire
    assert parser.get_next_frame() is None
    assert parser.at_eof


def test_a_pushed_buffer_is_copied():
    parser = Parser()
    buffer = bytearray(frame_bytes(TEXT, b"abc"))
    parser.receive_data(buffer)
    buffer[:] = bytes(len(buffer))
    frame = parser.get_next_frame()
    assert frame == TextFrame("abc")


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths(size: int, mask: bytes):
    payload = (bytes(range(256)) * 257)[:size]
    wire = frame_bytes(BINARY, payload, mask=mask)
    for pieces in ([wire], [wire[:1], wire[1:3], wire[3:9], wire[9:]], cut(wire, [11, 13, 5000])):
        assert parse_pieces(pieces) == ([(BinaryFrame, wire)], None)


# ---- the end ---------------------------------------------------------------------------------


def test_eof_between_frames():
    parser = Parser()
    parser.receive_data(frame_bytes(TEXT, b"a"))
    parser.receive_eof()
    states = [parser.at_eof]
    assert parser.get_next_frame() is not None
    states.append(parser.at_eof)
    assert states == [False, True]
    assert parser.get_next_frame() is None
    with pytest.raises(ValueError, match="no data can follow the end of the data"):
        parser.receive_data(b"x")


@pytest.mark.parametrize("form", [1, 3, 9])
def test_eof_inside_a_frame(form: int):
    size = {1: 5, 3: 200, 9: 65536}[form]
    wire = from_client(BINARY, bytes(size))
    header = 1 + form + 4
    for place in range(1, header + 3):
        parser = Parser(masked=True)
        parser.receive_data(wire[:place])
        assert parser.get_next_frame() is None
        parser.receive_eof()
        with pytest.raises(UnexpectedEOF) as caught:
            parser.get_next_frame()
        if place < header:
            assert (
                str(caught.value) == f"the bytes ended inside a frame's header, after {place} bytes"
            )
        else:
            left = header + size - place
            expected = f"the bytes ended inside a frame, {left} bytes before its end"
            assert str(caught.value) == expected
        assert caught.value.close_code == 1006
        with pytest.raises(UnexpectedEOF) as again:
            parser.get_next_frame()
        assert again.value is caught.value


def test_read_payload_repeats_the_error_of_the_end():
    parser = Parser()
    parser.receive_data(frame_bytes(BINARY, b"abcd")[:4])
    parser.receive_eof()
    assert parser.begin_frame() is not None
    assert parser.read_payload() == b"ab"
    errors = []
    for _ in range(2):
        with pytest.raises(UnexpectedEOF) as caught:
            parser.read_payload()
        errors.append(caught.value)
    assert errors[0] is errors[1]


# ---- piece by piece --------------------------------------------------------------------------


def test_begin_frame_and_read_payload():
    parser = Parser()
    wire = from_client(TEXT, b"abcdefgh", fin=False)
    parser.receive_data(wire[:5])
    assert parser.begin_frame() is None
    parser.receive_data(wire[5:6])
    frame = parser.begin_frame()
    assert isinstance(frame, TextFrame)
    assert (frame.payload, frame.fin, frame.mask, parser.remaining) == (b"", False, MASK, 8)
    assert parser.read_payload() == b""
    parser.receive_data(wire[6:9])
    assert parser.buffered == 3
    parser.receive_data(wire[9:10])
    assert parser.read_payload() == b"abc"
    assert parser.remaining == 5
    assert parser.read_payload() == b"d"
    parser.receive_data(wire[10:] + b"\x80")
    assert parser.read_payload() == b"efgh"
    assert (parser.remaining, parser.buffered) == (0, 1)
    assert parser.read_payload() == b""


def test_skip_frame_keeps_nothing():
    parser = Parser()
    wire = frame_bytes(BINARY, bytes(100))
    parser.receive_data(wire[:50])
    frame = parser.begin_frame()
    assert frame is not None
    assert not parser.finish_frame(frame)
    assert not parser.skip_frame(frame)
    parser.receive_data(wire[50:] + frame_bytes(TEXT, b"next"))
    assert parser.skip_frame(frame)
    assert parser.skip_frame(frame)
    assert parser.get_next_frame() == TextFrame("next")


# ---- sizes -----------------------------------------------------------------------------------


def test_a_declared_length_allocates_nothing():  # C50
    parser = Parser(masked=True)
    tracemalloc.start()
    try:
        parser.receive_data(bytes.fromhex("82 ff 40 00 00 00 00 00 00 00") + MASK + b"abcd")
        assert parser.get_next_frame() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.remaining == 2**62 - 4
    assert peak < 10_000


@pytest.mark.parametrize(("limit", "size"), [(0, 1), (125, 126), (65535, 65536), (1000, 1 << 62)])
def test_max_frame_size_is_judged_by_the_header_alone(limit: int, size: int):
    parser = Parser(max_frame_size=limit)
    form = 1 if size < 126 else 3 if size < 65536 else 9
    header = bytes([0x82, size if form == 1 else 126 if form == 3 else 127])
    if form > 1:
        header += size.to_bytes(form - 1, "big")
    parser.receive_data(header[:-1])
    assert parser.get_next_frame() is None
    parser.receive_data(header[-1:])
    expected = f"a frame of {size} bytes, the limit is {limit} bytes"
    with pytest.raises(MessageTooBig, match=expected) as caught:
        parser.get_next_frame()
    assert caught.value.close_code == 1009


@pytest.mark.parametrize("limit", [0, 125, 126, 65535, 65536])
def test_max_frame_size_itself_is_allowed(limit: int):
    wire = from_client(BINARY, bytes(limit))
    assert parse_pieces([wire], max_frame_size=limit) == ([(BinaryFrame, wire)], None)


# ---- sources ---------------------------------------------------------------------------------

STREAM = [from_client(TEXT, b"one"), from_client(PING, b"two"), from_client(BINARY, bytes(3000))]


class Source:
    """A source that answers from a list, and counts."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes | None:
        self.sizes.append(size)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]


def test_pull_from_bytes_io():
    parser = Parser(io.BytesIO(b"".join(STREAM)), read_size=7)
    wires = []
    for _ in range(10_000):
        frame = parser.get_next_frame()
        if frame is not None:
            wires.append(frame.to_bytes())
        elif parser.at_eof:
            break
    assert wires == STREAM
    assert not parser.pull()


def test_at_most_one_read_a_call_and_of_read_size():
    source = Source([STREAM[0][:4], STREAM[0][4:] + STREAM[1], b""])
    parser = Parser(source, read_size=123)
    assert parser.get_next_frame() is None
    assert source.sizes == [123]
    assert parser.get_next_frame() == TextFrame("one", mask=MASK)
    assert source.sizes == [123, 123]
    assert parser.get_next_frame() == PingFrame(b"two", mask=MASK)
    assert source.sizes == [123, 123]  # what is buffered comes first
    assert parser.get_next_frame() is None
    assert parser.at_eof
    assert parser.get_next_frame() is None
    assert len(source.sizes) == 3  # the end is not read again


@pytest.mark.parametrize("nothing", [None, BlockingIOError()])
def test_a_source_that_has_nothing_yet(nothing: Any):
    parser = Parser(Source([nothing, STREAM[0]]))
    assert not parser.pull()
    assert not parser.at_eof
    assert parser.pull()
    assert parser.get_next_frame() == TextFrame("one", mask=MASK)


def test_what_else_a_source_raises_comes_out_and_ends_nothing():
    parser = Parser(Source([ConnectionResetError("gone"), STREAM[0]]))
    with pytest.raises(ConnectionResetError, match="gone"):
        parser.get_next_frame()
    assert parser.get_next_frame() is not None


def test_pull_without_a_source():
    assert not Parser().pull()


def test_pull_from_a_raw_non_blocking_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        parser = Parser(ours.makefile("rb", buffering=0))
        assert parser.get_next_frame() is None
        for byte in STREAM[0]:
            assert parser.get_next_frame() is None
            theirs.sendall(bytes([byte]))
        assert parser.get_next_frame() == TextFrame("one", mask=MASK)
        theirs.shutdown(socket.SHUT_WR)
        assert parser.get_next_frame() is None
        assert parser.at_eof


def test_pull_from_a_raw_non_blocking_pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as source, open(writing, "wb", buffering=0) as out:
        parser = Parser(source)
        assert parser.get_next_frame() is None
        out.write(STREAM[1])
        assert parser.get_next_frame() == PingFrame(b"two", mask=MASK)


def test_a_buffered_reader_is_not_waited_for():
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb", buffering=0) as out:
        parser = Parser(source)
        out.write(STREAM[0])  # far less than read_size: read() would wait for more
        assert parser.get_next_frame() == TextFrame("one", mask=MASK)


def test_a_source_needs_a_read_method():
    with pytest.raises(TypeError, match="a parser's source needs a read method, 3 has none"):
        Parser(3)  # type: ignore[arg-type]


def test_a_violation_is_raised_before_the_source_is_read_again():
    source = Source([b"\xf1", b"more"])
    parser = Parser(source)
    for _ in range(3):
        with pytest.raises(ProtocolError):
            parser.get_next_frame()
    assert source.answers == [b"more"]


# ---- frames of extensions --------------------------------------------------------------------


def make_type(base: type, opcode: Any, word: Any = "odd") -> Any:
    return type("OddFrame", (base,), {"opcode": opcode, "type": word, "__slots__": ()})


def test_registered_frames_are_parsed_and_only_by_that_parser():
    parser = Parser(frame_types=[ChunkFrame])
    parser.register(StatusFrame)
    data = frame_bytes(3, b"a", fin=False) + frame_bytes(11, b"b") + frame_bytes(0, b"c")
    parser.receive_data(data)
    frames, error = parse(parser)
    assert error is None
    assert [frame_type for frame_type, _ in frames] == [ChunkFrame, StatusFrame, ContinuationFrame]
    assert parse_pieces([data])[1] == (ProtocolError, "unknown opcode 3")


def test_registered_frames_obey_the_rules():
    options: Any = {"frame_types": [ChunkFrame, StatusFrame]}
    assert parse_pieces([b"\x0b"], **options)[1] == (ProtocolError, "a fragmented status frame")
    assert parse_pieces([b"\x8b\x7e"], **options)[1] == (
        ProtocolError,
        "a status frame of more than 125 bytes",
    )
    inside = parse_pieces([frame_bytes(TEXT, fin=False) + b"\x83"], **options)
    assert inside[1] == (ProtocolError, "a chunk frame inside a fragmented message")


@pytest.mark.parametrize("opcode", range(16))
@pytest.mark.parametrize("base", [DataFrame, ControlFrame])
def test_register_takes_the_free_opcodes_only(base: type, opcode: int):
    parser = Parser()
    is_free = 3 <= opcode <= 7 if base is DataFrame else 11 <= opcode <= 15
    frame_type = make_type(base, opcode)
    if is_free:
        parser.register(frame_type)
        assert parser.frame_types[opcode] is frame_type
        return
    kind = (
        "a data frame of an extension has opcode 3 to 7"
        if base is DataFrame
        else ("a control frame of an extension has opcode 11 to 15")
    )
    with pytest.raises(ValueError, match=f"{kind}, not {opcode}"):
        parser.register(frame_type)


@pytest.mark.parametrize(
    ("frame_type", "text"),
    [
        (DataFrame, "needs an opcode and a type of its own"),
        (make_type(DataFrame, "3"), "needs an opcode and a type"),
        (make_type(DataFrame, 3, ""), "needs an opcode and a type"),
        (make_type(Frame, 3), "is neither a DataFrame nor a ControlFrame"),
        (None, "None needs an opcode and a type of its own"),
        (make_type(ControlFrame, 11, 5), "needs an opcode and a type of its own"),
    ],
)
def test_register_refuses_other_classes(frame_type: Any, text: str):
    with pytest.raises(TypeError, match=text):
        Parser().register(frame_type)


@pytest.mark.parametrize("word", ["text", "binary", "continuation", "chunk", "ping", "close"])
@pytest.mark.parametrize(("base", "opcode"), [(DataFrame, 4), (ControlFrame, 12)])
def test_register_refuses_a_type_that_another_opcode_has(base: type, opcode: int, word: str):
    """The type tells a text from bytes, and which handler gets a control frame."""
    parser = Parser(frame_types=[ChunkFrame])
    with pytest.raises(ValueError, match=rf"'{word}' is the type of opcode \d+ already"):
        parser.register(make_type(base, opcode, word))
    assert opcode not in parser.frame_types


def test_a_type_may_be_registered_again():
    parser = Parser(frame_types=[ChunkFrame])
    parser.register(ChunkFrame)
    other = make_type(DataFrame, ChunkFrame.opcode, "chunk")
    parser.register(other)
    assert parser.frame_types[ChunkFrame.opcode] is other


def test_a_close_frame_is_parsed_with_its_code():
    parser = Parser()
    parser.receive_data(frame_bytes(CLOSE, close_payload(1001, "bye")))
    frame = parser.get_next_frame()
    assert isinstance(frame, CloseFrame)
    assert (frame.code, frame.reason) == (1001, "bye")


def test_the_payload_of_a_close_frame_is_judged_when_it_is_whole():
    parser = Parser()
    wire = frame_bytes(CLOSE, close_payload(999, "a reason"))
    parser.receive_data(wire[:-1])
    assert parser.get_next_frame() is None
    parser.receive_data(wire[-1:])
    with pytest.raises(ProtocolError, match="close code 999 must not be sent"):
        parser.get_next_frame()
