"""Frames made by hand are checked; bytes are those of RFC 6455."""

from __future__ import annotations

import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import InvalidCloseCode, InvalidFrame, InvalidPayload, ProtocolError
from trio_wsendpoint.protocol import (
    BinaryFrame,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
)

from .wire import MASK, ChunkFrame, StatusFrame, close_payload, examples, frame_bytes

ALL: list[tuple[type[Frame], int, str, bool]] = [
    (ContinuationFrame, 0, "continuation", False),
    (TextFrame, 1, "text", False),
    (BinaryFrame, 2, "binary", False),
    (CloseFrame, 8, "close", True),
    (PingFrame, 9, "ping", True),
    (PongFrame, 10, "pong", True),
    (ChunkFrame, 3, "chunk", False),
    (StatusFrame, 11, "status", True),
]


@pytest.mark.parametrize(("frame_type", "opcode", "word", "is_control"), ALL)
def test_each_type(frame_type: type[Frame], opcode: int, word: str, is_control: bool):
    assert frame_type.opcode == opcode
    assert frame_type.type == word
    assert frame_type.is_control is is_control
    assert issubclass(frame_type, ControlFrame if is_control else DataFrame)
    frame = frame_type()
    assert (frame.payload, frame.fin, frame.rsv, frame.mask) == (b"", True, 0, b"")
    assert frame.to_bytes() == bytes([0x80 | opcode, 0])


def test_the_examples_of_rfc_6455_section_5_7():
    assert TextFrame("Hello").to_bytes() == bytes.fromhex("81 05 48 65 6c 6c 6f")
    masked = TextFrame("Hello", mask=MASK)
    assert masked.to_bytes() == bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
    assert TextFrame("Hel", fin=False).to_bytes() == bytes.fromhex("01 03 48 65 6c")
    assert ContinuationFrame(b"lo").to_bytes() == bytes.fromhex("80 02 6c 6f")
    assert PingFrame(b"Hello").to_bytes() == bytes.fromhex("89 05 48 65 6c 6c 6f")
    pong = PongFrame(b"Hello", mask=MASK)
    assert pong.to_bytes() == bytes.fromhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")
    assert BinaryFrame(bytes(256)).to_bytes()[:4] == bytes.fromhex("82 7e 01 00")
    assert BinaryFrame(bytes(65536)).to_bytes()[:10] == bytes.fromhex(
        "82 7f 00 00 00 00 00 01 00 00"
    )


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "82 00"),
        (125, "82 7d"),
        (126, "82 7e 00 7e"),
        (127, "82 7e 00 7f"),
        (65535, "82 7e ff ff"),
        (65536, "82 7f 00 00 00 00 00 01 00 00"),
        (65537, "82 7f 00 00 00 00 00 01 00 01"),
    ],
)
def test_lengths_take_the_fewest_bytes(size: int, header: str):
    payload = b"x" * size
    assert BinaryFrame(payload).to_bytes() == bytes.fromhex(header) + payload
    assert BinaryFrame(payload, mask=MASK).to_bytes() == frame_bytes(2, payload, mask=MASK)


@examples(150)
@given(
    st.sampled_from([TextFrame, BinaryFrame, ContinuationFrame, ChunkFrame]),
    st.binary(max_size=200),
    st.booleans(),
    st.integers(0, 7),
    st.sampled_from([b"", MASK, bytes(4)]),
)
def test_any_data_frame(
    frame_type: type[DataFrame], payload: bytes, fin: bool, rsv: int, mask: bytes
):
    frame = frame_type(payload, fin=fin, rsv=rsv, mask=mask)
    expected = frame_bytes(frame_type.opcode, payload, fin=fin, rsv=rsv, mask=mask)
    assert frame.to_bytes() == expected


def test_a_buffer_is_copied_and_never_masked_in_place():
    buffer = bytearray(b"abcd")
    frame = BinaryFrame(buffer, mask=MASK)
    wire = frame.to_bytes()
    assert buffer == b"abcd"
    buffer[:] = b"XXXX"
    assert frame.payload == b"abcd"
    assert type(frame.payload) is bytes
    assert frame.to_bytes() == wire


def test_payloads_may_be_any_buffer_of_bytes():
    assert BinaryFrame(memoryview(b"abc")[1:]).payload == b"bc"
    numbers = array.array("H", [1, 2])
    assert BinaryFrame(memoryview(numbers)).payload == numbers.tobytes()
    assert TextFrame("€").payload == b"\xe2\x82\xac"
    assert TextFrame(b"\xe2\x82").payload == b"\xe2\x82"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: BinaryFrame("text"),
            TypeError,
            "payload of a binary frame must be bytes, not str",
        ),
        (lambda: ContinuationFrame("x"), TypeError, "continuation frame must be bytes, not str"),
        (lambda: PingFrame("x"), TypeError, "ping frame must be bytes, not str"),  # type: ignore[arg-type]
        (lambda: BinaryFrame(5), TypeError, "a payload must be bytes, not int"),  # type: ignore[arg-type]
        (lambda: TextFrame(None), TypeError, "a payload must be bytes, not NoneType"),  # type: ignore[arg-type]
        (lambda: TextFrame("\ud800"), UnicodeEncodeError, "surrogates not allowed"),
        (lambda: TextFrame(rsv=8), InvalidFrame, r"three bits \(0 to 7\), not 8"),
        (lambda: TextFrame(rsv=-1), InvalidFrame, r"three bits \(0 to 7\), not -1"),
        (lambda: TextFrame(rsv=1.5), InvalidFrame, r"three bits \(0 to 7\), not 1.5"),  # type: ignore[arg-type]
        (lambda: TextFrame(rsv="1"), InvalidFrame, r"three bits \(0 to 7\), not '1'"),  # type: ignore[arg-type]
        (lambda: TextFrame(mask=b"abc"), InvalidFrame, "4 bytes, or none, not 3"),
        (lambda: TextFrame(mask=b"abcde"), InvalidFrame, "4 bytes, or none, not 5"),
        (lambda: TextFrame(mask="abcd"), TypeError, "encoding"),  # type: ignore[arg-type]
        (lambda: PingFrame(bytes(126)), InvalidFrame, "ping frame is 126 bytes; 125 is the most"),
        (lambda: StatusFrame(bytes(200)), InvalidFrame, "status frame is 200 bytes; 125 is the"),
        (lambda: PongFrame(fin=False), InvalidFrame, "a pong frame cannot be a fragment"),
        (Frame, TypeError, "Frame has no opcode: make one of its subclasses"),
        (lambda: DataFrame(b"x"), TypeError, "DataFrame has no opcode"),
        (lambda: ControlFrame(b"x"), TypeError, "ControlFrame has no opcode"),
    ],
)
def test_what_must_not_exist(make: Any, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        make()


def test_invalid_frame_is_a_value_error():
    assert issubclass(InvalidFrame, ValueError)
    assert issubclass(InvalidCloseCode, InvalidFrame)


def test_control_payload_of_125_bytes_is_allowed():
    assert PingFrame(bytes(125)).to_bytes() == frame_bytes(9, bytes(125))


def test_equality_is_by_type_and_value():
    frame = TextFrame("a", fin=False, rsv=4, mask=MASK)
    assert frame == TextFrame(b"a", fin=False, rsv=4, mask=MASK)
    assert frame != BinaryFrame(b"a", fin=False, rsv=4, mask=MASK)
    assert frame != TextFrame("b", fin=False, rsv=4, mask=MASK)
    assert frame != TextFrame("a", rsv=4, mask=MASK)
    assert frame != TextFrame("a", fin=False, mask=MASK)
    assert frame != TextFrame("a", fin=False, rsv=4)
    assert frame != b"a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(frame)


def test_repr_is_short_and_shows_what_is_unusual():
    assert repr(TextFrame("hi")) == "<TextFrame 2 B b'hi'>"
    shown = repr(BinaryFrame(bytes(41), fin=False, rsv=4, mask=MASK))
    assert shown.startswith("<BinaryFrame 41 B b'")
    assert shown.endswith("'..., fin=False, rsv=100, mask=37fa213d>")
    assert "..." not in repr(BinaryFrame(bytes(40)))


def test_received_skips_the_checks_and_has_no_payload_yet():
    frame = TextFrame.received(False, 4, MASK)
    assert (frame.payload, frame.fin, frame.rsv, frame.mask) == (b"", False, 4, MASK)
    frame.check_received()  # nothing to check in data


# ---- close frames ----------------------------------------------------------------------------


def test_close_code_and_reason():
    frame = CloseFrame(1000, "bye €")
    assert frame.code == 1000
    assert frame.reason == "bye €"
    assert frame.payload == close_payload(1000, "bye €")
    masked = CloseFrame(4999, rsv=1, mask=MASK)
    assert masked.to_bytes() == frame_bytes(8, close_payload(4999), rsv=1, mask=MASK)


def test_an_empty_close_has_no_code():
    frame = CloseFrame()
    assert frame.code is None
    assert frame.reason == ""
    assert frame.payload == b""
    assert CloseFrame(None, "") == frame


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, -1, True]
)
def test_codes_that_must_not_be_sent(code: int):
    expected = f"close code {code} must not be sent: 1000-1003, 1007-1014 and 3000-4999 may be"
    with pytest.raises(InvalidCloseCode, match=expected):
        CloseFrame(code)


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_may_be_sent(code: int):
    assert CloseFrame(code).code == code


def test_a_reason_needs_a_code():
    with pytest.raises(InvalidCloseCode, match=r"a reason \('why'\) needs a close code"):
        CloseFrame(None, "why")


def test_a_reason_is_at_most_123_bytes_of_utf8():
    assert CloseFrame(1000, "x" * 123).reason == "x" * 123
    assert CloseFrame(1000, "€" * 41).reason == "€" * 41
    for reason in ("x" * 124, "€" * 42):
        size = len(reason.encode())
        with pytest.raises(InvalidCloseCode, match=f"{size} bytes of UTF-8; 123 is the most"):
            CloseFrame(1000, reason)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (CloseFrame(), "no code"),
        (CloseFrame(1001), "1001 (ENDPOINT_UNAVAILABLE)"),
        (CloseFrame(4000, "it's"), '4000 "it\'s"'),
    ],
)
def test_close_frames_say_what_they_are(frame: CloseFrame, text: str):
    assert str(frame) == text


def received_close(payload: bytes) -> CloseFrame:
    frame = CloseFrame.received(True, 0, b"")
    frame.payload = payload
    return frame


@pytest.mark.parametrize(
    "payload", [b"", close_payload(1000), close_payload(3000, "€"), close_payload(1014, "x" * 123)]
)
def test_received_closes_that_are_right(payload: bytes):
    received_close(payload).check_received()


@pytest.mark.parametrize(
    ("payload", "error", "text"),
    [
        (b"\x03", ProtocolError, "a close frame of 1 byte: a close code has 2"),
        *(
            (close_payload(code), ProtocolError, f"close code {code} must not be sent")
            for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
        ),
        (b"\x03\xe8\xff", InvalidPayload, "the reason of a close frame is not UTF-8"),
        (b"\x03\xe8\xed\xa0\x80", InvalidPayload, "the reason of a close frame is not UTF-8"),
        (b"\x03\xe8\xe2\x82", InvalidPayload, "the reason of a close frame is not UTF-8"),
    ],
)
def test_received_closes_that_are_wrong(payload: bytes, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        received_close(payload).check_received()


@pytest.mark.parametrize("code", ["1000", "SUCCESS", 1000.0])
def test_a_close_code_is_an_int(code: Any):
    with pytest.raises(TypeError, match=r"a close code is an int, as CloseCode\.SUCCESS"):
        CloseFrame(code)


def test_a_frame_in_buffers():
    """Its payload is not copied, unless it has to be masked."""
    frame = BinaryFrame(bytes(1000))
    header, payload = frame.to_buffers()
    assert payload is frame.payload
    assert b"".join((header, payload)) == frame.to_bytes()
    frame = BinaryFrame(bytes(1000), mask=b"abcd")
    assert frame.to_buffers() == (frame.to_bytes(),)
