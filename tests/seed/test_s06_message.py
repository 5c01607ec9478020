"""Net::WebSocket's Message."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint import (
    BinaryFrame,
    ContinuationFrame,
    InvalidFrame,
    Message,
    PingFrame,
    TextFrame,
)

from .helpers import BINARY, CONTINUATION, MASK, TEXT, frame_bytes

FRAMES = [
    TextFrame(b"\xe2", fin=False, mask=MASK),
    ContinuationFrame(b"\x82\xac", fin=False, rsv=0b010),
    ContinuationFrame(b"!"),
]


def test_new_takes_the_frames_and_get_frames_returns_them():
    assert Message(FRAMES).get_frames() == tuple(FRAMES)


def test_payload_is_the_payloads_joined_and_unmasked():
    assert Message(FRAMES).raw == b"\xe2\x82\xac!"
    parts = [BinaryFrame(b"ab", fin=False, mask=MASK), ContinuationFrame(b"cd")]
    assert Message(parts).payload == b"abcd"


def test_payload_of_a_text_is_decoded():
    # Decision: it was bytes; whoever wants them has `raw`.
    assert Message(FRAMES).payload == "€!"


def test_type_is_that_of_the_first_frame():
    assert Message(FRAMES).type == "text"
    assert Message([BinaryFrame()]).type == "binary"


def test_to_bytes_is_that_of_the_frames():
    assert Message(FRAMES).to_bytes() == (
        frame_bytes(TEXT, b"\xe2", fin=False, mask=MASK)
        + frame_bytes(CONTINUATION, b"\x82\xac", fin=False, rsv=0b010)
        + frame_bytes(CONTINUATION, b"!")
    )
    assert Message([BinaryFrame(b"x")]).to_bytes() == frame_bytes(BINARY, b"x")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        ["text"],
        [PingFrame()],
        [ContinuationFrame(b"x")],
        [TextFrame("a", fin=False)],
        [TextFrame("a"), ContinuationFrame(b"b")],
        [TextFrame("a", fin=False), TextFrame("b")],
    ],
)
def test_what_makes_no_message_is_refused_with_a_type(frames: Any):
    # Improved: only the first frame was looked at, and the error had no type.
    with pytest.raises(InvalidFrame):
        Message(frames)
