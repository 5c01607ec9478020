"""A message that is one frame alone and has come whole: the parser makes it at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import PeerError
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ContinuationFrame,
    DataFrame,
    Message,
    Parser,
    PingFrame,
    ServerEndpoint,
    TextFrame,
)
from trio_wsendpoint.protocol.traffic import Traffic

from .wire import MASK, examples


class CustomFrame(DataFrame):
    opcode = 5
    type = "custom"


def parser_with(*wire: bytes, masked: bool | None = True, **options: Any) -> Parser:
    parser = Parser(masked=masked, frame_types=[CustomFrame], **options)
    parser.make(Message, Traffic())
    for piece in wire:
        parser.receive_data(piece)
    return parser


def take(parser: Parser, most: int = 100) -> bytes | None:
    """Return the payload of the message that is next, or None for no message."""
    found = parser.read_next(most)
    return found.raw if isinstance(found, Message) else None


@pytest.mark.parametrize("kind", [TextFrame, BinaryFrame, CustomFrame])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65536])
@pytest.mark.parametrize("mask", [MASK, b""])
def test_a_whole_message_is_read_at_once(kind: type[DataFrame], size: int, mask: bytes):
    payload = bytes(range(128)) * (size // 128) + bytes(range(size % 128))
    wire = kind(payload, mask=mask).to_bytes()
    traffic = Traffic()
    parser = parser_with(wire * 2, masked=None)
    parser.make(Message, traffic)
    for count in (1, 2):
        message = parser.read_next(size)
        assert isinstance(message, Message)
        assert (message.kind, message.raw, message.size) == (kind, payload, size)
        assert message.get_frames() == (kind(payload, mask=mask),)
        assert (traffic.frames_received, traffic.wire_received) == (count, count * size)
    assert parser.read_next(size) is None
    assert parser.is_drained


WIRE = BinaryFrame(b"payload", mask=MASK).to_bytes()


@pytest.mark.parametrize("pieces", [(), (WIRE[:1],), (WIRE[:5],), (WIRE[:2], WIRE[2:5])])
def test_a_header_that_has_not_come_whole_stays(pieces: tuple[bytes, ...]):
    parser = parser_with(*pieces)
    assert parser.read_next(100) is None
    assert parser.buffered == sum(map(len, pieces))


@pytest.mark.parametrize(
    ("parser", "remaining"),
    [
        (parser_with(WIRE[:-1]), 7),
        (parser_with(WIRE[:-2], WIRE[-2:-1]), 7),
        (parser_with(WIRE, max_frame_size=100), 7),
        (parser_with(BinaryFrame(b"payload", mask=MASK, fin=False).to_bytes()), 7),
        (parser_with(BinaryFrame(b"payload", mask=MASK, rsv=4).to_bytes(), rsv=4), 7),
        (parser_with(PingFrame(b"payload", mask=MASK).to_bytes()), 7),
        (parser_with(BinaryFrame(b"payload, more", mask=MASK).to_bytes()), 13),
    ],
)
def test_any_other_frame_is_begun(parser: Parser, remaining: int):
    frame = parser.read_next(12)
    assert isinstance(frame, DataFrame | PingFrame)
    assert (frame.payload, parser.remaining) == (b"", remaining)


@pytest.mark.parametrize(
    "wire",
    [
        b"\x83" + WIRE[1:],
        BinaryFrame(b"payload").to_bytes(),
        ContinuationFrame(b"payload", mask=MASK).to_bytes(),
        TextFrame(b"\xff", mask=MASK).to_bytes(),
        TextFrame(b"\xe2\x82", mask=MASK).to_bytes(),
    ],
)
def test_a_violation_ends_it(wire: bytes):
    parser = parser_with(wire + WIRE)
    for _ in range(2):
        with pytest.raises(PeerError):
            parser.read_next(100)
        parser.receive_data(WIRE)
    assert not parser.buffered


@pytest.mark.parametrize("more", [b"", WIRE])
def test_two_pieces_will_do(more: bytes):
    for cut in range(1, len(WIRE)):
        parser = parser_with(WIRE[:cut], WIRE[cut:] + more)
        assert take(parser) == b"payload"
        assert parser.buffered == len(more)


def test_three_pieces_are_begun():
    parser = parser_with(WIRE[:8], WIRE[8:9], WIRE[9:])
    assert take(parser) == b"payload"  # the first two are joined for the header
    large = BinaryFrame(bytes(50), mask=MASK).to_bytes()
    parser = parser_with(large[:20], large[20:30], large[30:])
    assert isinstance(parser.read_next(100), BinaryFrame)


def test_what_a_message_lacks_is_told_before_it_is_taken():
    parser = parser_with()
    for cut in range(len(WIRE) + 1):
        assert parser.lacking(WIRE[:cut]) == (0 if cut < 6 else len(WIRE) - cut)
    assert parser.lacking(WIRE * 2) == 0
    assert parser.is_drained
    parser.receive_data(WIRE[:1])
    assert parser.lacking(WIRE[:8]) == 0  # these bytes are none of a header
    assert parser.buffered == 1


@pytest.mark.parametrize("frame", [PingFrame, ContinuationFrame])
def test_only_a_message_lacks_anything(frame: type[PingFrame | ContinuationFrame]):
    parser = parser_with()
    assert parser.lacking(frame(b"payload", mask=MASK).to_bytes()[:-1]) == 0
    assert parser.lacking(BinaryFrame(b"pay", fin=False, mask=MASK).to_bytes()[:-1]) == 0


def test_not_inside_of_a_message():
    parser = parser_with(BinaryFrame(mask=MASK, fin=False).to_bytes() + WIRE)
    assert parser.get_next_frame() is not None
    with pytest.raises(PeerError, match="inside a fragmented message"):
        parser.read_next(100)


def outcome(wire: bytes, *, is_cut: bool) -> object:
    """Return all that an endpoint makes of `wire`, which comes whole or byte by byte."""
    endpoint = ServerEndpoint(limits=Limits(message_size=200))
    found: list[object] = []
    try:
        for piece in [wire[place : place + 1] for place in range(len(wire))] if is_cut else [wire]:
            endpoint.receive_data(piece)
            while not endpoint.is_closed():
                message = endpoint.get_next_message()
                if message is None:
                    break
                found.append((message.type, message.payload, message.get_frames()))
    except PeerError as error:
        found.append((type(error), str(error)))
    while frame := endpoint.shift_write_queue():
        found.append(frame.to_bytes())
    return found


parts = st.one_of(
    st.builds(
        lambda kind, payload, mask: kind(payload, mask=mask).to_bytes(),
        st.sampled_from([TextFrame, BinaryFrame]),
        st.one_of(st.binary(max_size=220), st.text(max_size=60).map(str.encode)),
        st.sampled_from([MASK, MASK, MASK, b""]),
    ),
    st.builds(lambda text: PingFrame(text, mask=MASK).to_bytes(), st.binary(max_size=9)),
    st.builds(
        lambda payload, fin: TextFrame(payload, mask=MASK, fin=fin).to_bytes(),
        st.binary(max_size=9),
        st.booleans(),
    ),
    st.builds(
        lambda payload, fin: ContinuationFrame(payload, mask=MASK, fin=fin).to_bytes(),
        st.binary(max_size=9),
        st.booleans(),
    ),
    st.binary(max_size=20),
)


@examples(500)
@given(st.lists(parts, max_size=6).map(b"".join))
def test_what_comes_whole_ends_as_what_comes_byte_by_byte(wire: bytes):
    assert outcome(wire, is_cut=False) == outcome(wire, is_cut=True)


def test_a_message_of_the_largest_size():
    endpoint = ServerEndpoint(limits=Limits(message_size=7))
    endpoint.receive_data(WIRE)
    assert isinstance(endpoint.get_next_message(), Message)
    endpoint.receive_data(BinaryFrame(b"payload.", mask=MASK).to_bytes())
    with pytest.raises(PeerError, match="the limit is 7 bytes"):
        endpoint.get_next_message()
