"""The shorter way of a message in one frame: what takes it, and that it changes nothing else."""

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

from .wire import MASK, examples


class CustomFrame(DataFrame):
    opcode = 5
    type = "custom"


def parser_with(*wire: bytes, masked: bool | None = True, **options: Any) -> Parser:
    parser = Parser(masked=masked, frame_types=[CustomFrame], **options)
    for piece in wire:
        parser.receive_data(piece)
    return parser


@pytest.mark.parametrize("kind", [TextFrame, BinaryFrame, CustomFrame])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65536])
@pytest.mark.parametrize("mask", [MASK, b""])
def test_a_whole_message_is_read_at_once(kind: type[DataFrame], size: int, mask: bytes):
    payload = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    wire = kind(payload, mask=mask).to_bytes()
    parser = parser_with(wire * 2, masked=None)
    for _ in range(2):
        assert parser.read_message(size) == (kind, payload, mask)
    assert parser.read_message(size) is None
    assert not parser.buffered


WIRE = BinaryFrame(b"payload", mask=MASK).to_bytes()


@pytest.mark.parametrize(
    "parser",
    [
        parser_with(),
        parser_with(WIRE[:1]),
        parser_with(WIRE[:5]),
        parser_with(WIRE[:-1]),
        parser_with(WIRE[:-2], WIRE[-2:-1]),
        parser_with(WIRE[:-2], WIRE[-2:-1], WIRE[-1:]),
        parser_with(WIRE, masked=False),
        parser_with(BinaryFrame(b"payload").to_bytes()),
        parser_with(WIRE, max_frame_size=100),
        parser_with(BinaryFrame(b"payload", mask=MASK, fin=False).to_bytes()),
        parser_with(BinaryFrame(b"payload", mask=MASK, rsv=4).to_bytes(), rsv=4),
        parser_with(ContinuationFrame(b"payload", mask=MASK).to_bytes()),
        parser_with(PingFrame(b"payload", mask=MASK).to_bytes()),
        parser_with(b"\x83" + WIRE[1:]),
        parser_with(BinaryFrame(b"payload, more", mask=MASK).to_bytes()),
    ],
)
def test_anything_else_stays_where_it_is(parser: Parser):
    buffered = parser.buffered
    assert parser.read_message(12) is None
    assert (parser.buffered, parser.remaining) == (buffered, 0)


def test_nothing_is_read_behind_an_error():
    parser = parser_with(b"\xff\xff")
    with pytest.raises(PeerError):
        parser.begin_frame()
    parser.receive_data(WIRE)
    assert parser.read_message(100) is None
    assert not parser.buffered


@pytest.mark.parametrize("more", [b"", WIRE])
def test_two_pieces_will_do_from_the_header_on(more: bytes):
    for cut in range(1, len(WIRE)):
        parser = parser_with(WIRE[:cut])
        parser.receive_data(WIRE[cut:] + more)
        if cut < 6:  # within the header, which `begin_frame` joins
            assert parser.read_message(100) is None
            continue
        assert parser.read_message(100) == (BinaryFrame, b"payload", MASK)
        assert parser.buffered == len(more)


def test_what_a_message_lacks_is_told_before_it_is_taken():
    for cut in range(len(WIRE) + 1):
        assert parser_with(WIRE[:cut]).lacking == (0 if cut < 6 else len(WIRE) - cut)
    assert parser_with(WIRE * 2).lacking == 0


@pytest.mark.parametrize("frame", [PingFrame, ContinuationFrame])
def test_only_a_message_lacks_anything(frame: type[PingFrame | ContinuationFrame]):
    assert parser_with(frame(b"payload", mask=MASK).to_bytes()[:-1]).lacking == 0
    assert parser_with(BinaryFrame(b"pay", fin=False, mask=MASK).to_bytes()[:-1]).lacking == 0


def test_not_inside_of_a_message():
    parser = parser_with(BinaryFrame(mask=MASK, fin=False).to_bytes() + WIRE)
    assert parser.get_next_frame() is not None
    assert parser.read_message(100) is None
    with pytest.raises(PeerError, match="inside a fragmented message"):
        parser.begin_frame()
    assert parser.read_message(100) is None


def test_not_inside_of_a_payload():
    parser = parser_with(BinaryFrame(WIRE, mask=bytes(4)).to_bytes() + WIRE)
    assert parser.begin_frame() is not None
    assert parser.read_message(100) is None
    assert parser.read_payload() == WIRE
    assert parser.read_message(100) == (BinaryFrame, b"payload", MASK)


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
