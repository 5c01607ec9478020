"""`FrameReader` in each form of the codec, below a subclass with the simplest rules."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from trio_wsendpoint.errors import InvalidPayload, ProtocolError, UnexpectedEOF
from trio_wsendpoint.protocol.frames import BinaryFrame, ContinuationFrame, PingFrame, TextFrame
from trio_wsendpoint.protocol.joiner import Joiner
from trio_wsendpoint.protocol.traffic import Traffic

MASK = b"abcd"
KINDS = {0: ContinuationFrame, 1: TextFrame, 2: BinaryFrame, 9: PingFrame}


def make(codec: ModuleType, *chunks: bytes, masked: bool | None = None) -> Any:
    """Return a reader that accepts each frame of `KINDS`, and has been given `chunks`."""

    class Reader(codec.FrameReader):  # type: ignore[name-defined, misc]
        def check_header(self, first: int, is_masked: bool, length: int) -> Any:
            if first & 15 not in KINDS or masked not in {None, is_masked}:
                raise ProtocolError("a frame that is not accepted")
            return KINDS[first & 15]

        def check_part(self, header: bytes) -> None:
            if self.is_eof and header:
                raise UnexpectedEOF("inside a header")

    reader = Reader()
    plain = {0x81: TextFrame, 0x82: BinaryFrame}
    unmasked = {} if masked else plain
    reader.allow(
        unmasked if masked is False else unmasked | {0x100 | key: plain[key] for key in plain}
    )
    reader.make(codec.Content, Traffic())
    for chunk in chunks:
        reader.receive_data(chunk)
    return reader


WIRE = BinaryFrame(b"payload", mask=MASK).to_bytes()
PLAIN = (BinaryFrame, b"payload", MASK)


def take(reader: Any, most: int = 7) -> tuple[Any, bytes, bytes]:
    """Return kind, payload and mask of the message that is next."""
    content = reader.read_next(most)
    return content.kind, content.payload, content.form


def test_the_rules_are_those_of_a_subclass(codec: ModuleType) -> None:
    reader = codec.FrameReader()
    with pytest.raises(NotImplementedError):
        reader.check_part(b"")
    with pytest.raises(NotImplementedError):
        reader.check_header(0x81, False, 0)


def test_plain_messages_are_read_at_once(codec: ModuleType) -> None:
    for masked in (True, None):
        reader = make(codec, WIRE + WIRE, b"", masked=masked)
        assert take(reader) == PLAIN
        assert reader.buffered == len(WIRE)
        assert take(reader) == PLAIN
        assert reader.is_drained
        assert reader.read_next(7) is None


def test_a_text_is_checked_and_decoded(codec: ModuleType) -> None:
    reader = make(codec, TextFrame("h\u00e9").to_bytes() + b"\x81\x01\xe9")
    content = reader.read_next(7)
    assert (content.payload, content.payload, content.raw) == ("h\u00e9", "h\u00e9", b"h\xc3\xa9")
    assert (content.kind, content.size) == (TextFrame, 3)
    with pytest.raises(InvalidPayload, match="unexpected end of data"):
        reader.read_next(7)


@pytest.mark.parametrize(
    "chunks",
    [
        (WIRE[:-2],),
        (WIRE[:-2], WIRE[-2:-1]),
        (BinaryFrame(b"payload, more", mask=MASK).to_bytes(),),
    ],
)
def test_any_other_frame_is_begun(codec: ModuleType, chunks: tuple[bytes, ...]) -> None:
    reader = make(codec, *chunks, masked=True)
    assert reader.read_next(7) == BinaryFrame(mask=MASK)
    assert reader.remaining in {7, 13}


@pytest.mark.parametrize("wire", [b"\x83" + WIRE[1:], BinaryFrame(b"payload").to_bytes()])
def test_a_frame_that_breaks_a_rule_is_refused(codec: ModuleType, wire: bytes) -> None:
    with pytest.raises(ProtocolError, match="not accepted"):
        make(codec, wire, masked=True).read_next(7)


def test_a_plain_message_in_two_chunks(codec: ModuleType) -> None:
    for cut in range(1, len(WIRE)):
        reader = make(codec, WIRE[:cut], WIRE[cut:] + WIRE)
        assert take(reader) == take(reader) == PLAIN


def test_a_payload_in_two_chunks(codec: ModuleType) -> None:
    wire = BinaryFrame(bytes(50), mask=MASK).to_bytes()
    reader = make(codec, wire[:20], wire[20:])
    assert take(reader, 50) == (BinaryFrame, bytes(50), MASK)
    reader = make(codec, wire[:20], wire[20:30], wire[30:])
    assert reader.read_next(50) == BinaryFrame(mask=MASK)


def test_what_a_message_lacks(codec: ModuleType) -> None:
    reader = make(codec)
    for cut in range(len(WIRE) + 1):
        assert reader.lacking(WIRE[:cut]) == (0 if cut < 6 else len(WIRE) - cut)
    assert reader.lacking(PingFrame(b"p", mask=MASK).to_bytes()[:-1]) == 0
    reader.receive_data(WIRE[:1])
    assert reader.lacking(WIRE[:8]) == 0


def test_nothing_plain_inside_of_a_message(codec: ModuleType) -> None:
    reader = make(codec, BinaryFrame(fin=False).to_bytes() + PingFrame().to_bytes() + WIRE)
    assert reader.begin_frame() == BinaryFrame(fin=False)
    assert reader.begin_frame() == PingFrame()
    assert reader.in_message
    assert reader.read_next(7) == BinaryFrame(mask=MASK)
    assert not reader.in_message
    assert reader.read_payload() == b"payload"
    assert reader.read_next(7) is None


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_payload_comes_in_pieces(codec: ModuleType, mask: bytes, size: int) -> None:
    payload = bytes(range(200))
    wire = BinaryFrame(payload, mask=mask).to_bytes()
    reader, payloads = make(codec), [b"", b""]
    frame, joiner = None, Joiner(is_last=True)
    for start in range(0, len(wire), size):
        reader.receive_data(wire[start : start + size])
        frame = frame or reader.begin_frame()
        if frame is not None:
            payloads[0] += reader.read_payload()
    assert payloads[0] == payload
    reader = make(codec, *[wire[start : start + size] for start in range(0, len(wire), size)])
    assert reader.begin_frame() is not None
    while reader.read_payload_into(joiner):
        pass
    assert joiner.take() == payload
    assert reader.read_payload_into(joiner) == 0
    assert reader.is_drained


def test_a_payload_comes_straight_into_its_room(codec: ModuleType) -> None:
    wire = BinaryFrame(b"x" * 100_000, mask=MASK).to_bytes()
    reader, joiner = make(codec, wire[:70_002]), Joiner(is_last=True)
    assert reader.begin_frame() is not None
    assert reader.read_payload_into(joiner) == 70_002 - 14
    rest = wire[70_002:]
    room = joiner.get_room(len(rest))
    assert room is not None
    with room:
        room[: len(rest)] = rest
    reader.fill(joiner, len(rest))
    assert reader.remaining == 0
    assert joiner.take() == b"x" * 100_000


def test_an_error_ends_it(codec: ModuleType) -> None:
    reader = make(codec, b"\x87\x00", b"more")
    for _ in range(2):
        with pytest.raises(ProtocolError, match="not accepted"):
            reader.begin_frame()
        with pytest.raises(ProtocolError, match="not accepted"):
            reader.read_payload()
    reader.receive_data(bytearray(WIRE))
    assert reader.buffered == 0


def test_the_end_of_the_bytes(codec: ModuleType) -> None:
    reader = make(codec, WIRE[:3])
    reader.receive_eof()
    assert not reader.at_eof
    with pytest.raises(UnexpectedEOF, match="header"):
        reader.begin_frame()
    reader = make(codec, WIRE[:-1])
    reader.receive_eof()
    assert reader.begin_frame() is not None
    assert reader.read_payload() == b"payloa"
    for _ in range(2):
        with pytest.raises(UnexpectedEOF, match="inside a frame, 1 bytes"):
            reader.read_payload()
    with pytest.raises(ValueError, match="no data can follow"):
        reader.receive_data(b"x")
    reader = make(codec)
    reader.receive_eof()
    assert reader.begin_frame() is None
    assert reader.at_eof
    assert not reader.is_drained


def test_what_was_parsed_is_dropped(codec: ModuleType) -> None:
    large = BinaryFrame(bytes(5000), mask=MASK).to_bytes()
    reader = make(codec, WIRE + large + WIRE)
    for expected in (PLAIN, (BinaryFrame, bytes(5000), MASK), PLAIN):
        reader.trim()
        assert take(reader, 5000) == expected
