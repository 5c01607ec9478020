"""A whole message, and the frames that it came in."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from trio_wsendpoint.errors import InvalidFrame
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ContinuationFrame,
    DataFrame,
    Message,
    PingFrame,
    TextFrame,
)
from trio_wsendpoint.protocol.message import Cuts, Form

from .wire import MASK, ChunkFrame


def test_a_text_message():
    message = Message([TextFrame("€uro")])
    assert message.type == "text"
    assert message.payload == "€uro"
    assert message.payload is message.payload  # decoded once
    assert message.raw == b"\xe2\x82\xacuro"
    assert message.size == 6
    assert repr(message) == "<Message text, 6 B in 1 frame(s)>"


def test_a_binary_message():
    message = Message([BinaryFrame(b"\xff")])
    assert (message.type, message.payload, message.raw) == ("binary", b"\xff", b"\xff")


def test_a_message_of_an_extension():
    message = Message([ChunkFrame(b"a", fin=False), ContinuationFrame(b"b")])
    assert (message.type, message.payload) == ("chunk", b"ab")


def test_fragments_are_joined_and_given_back():
    frames = [
        TextFrame(b"\xe2", fin=False, rsv=4, mask=MASK),
        ContinuationFrame(b"", fin=False, rsv=2),
        ContinuationFrame(b"\x82", fin=False, mask=bytes(4)),
        ContinuationFrame(b"\xac!", mask=b"abcd"),
    ]
    message = Message(iter(frames))
    assert message.payload == "€!"
    assert list(message.get_frames()) == frames
    assert message.to_bytes() == b"".join(frame.to_bytes() for frame in frames)
    assert repr(message) == "<Message text, 4 B in 4 frame(s)>"


@pytest.mark.parametrize(
    "frame", [TextFrame("x", rsv=3, mask=MASK), BinaryFrame(), ChunkFrame(b"c")]
)
def test_one_frame_is_given_back(frame: DataFrame):
    message = Message([frame])
    assert message.get_frames() == (frame,)
    assert message.to_bytes() == frame.to_bytes()


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([], "a message has at least one frame"),
        ([PingFrame()], "a message is made of data frames, not of <PingFrame"),
        (["text"], "a message is made of data frames, not of 'text'"),
        ([ContinuationFrame()], "frame 1 of a message cannot be a continuation frame"),
        (
            [TextFrame(fin=False), TextFrame()],
            "frame 2 of a message cannot be a text frame",
        ),
        ([TextFrame(fin=False)], "fin is False in frame 1 of 1"),
        ([TextFrame(), ContinuationFrame()], "fin is True in frame 1 of 2"),
    ],
)
def test_other_sequences_are_refused(frames: Any, text: str):
    with pytest.raises(InvalidFrame, match=text):
        Message(frames)


def test_text_that_is_not_utf8_raises_when_it_is_asked_for():
    message = Message([TextFrame(b"\xff")])
    assert message.raw == b"\xff"
    with pytest.raises(UnicodeDecodeError):
        message.payload  # noqa: B018


def test_received_parts():
    message = Message.received(TextFrame, b"plain", Form(b"", 4, None, b"coded"))
    assert (message.payload, message.raw, message.size) == ("plain", b"plain", 5)
    assert (message.held_size, message.is_encoded) == (10, True)
    (frame,) = message.get_frames()
    assert (frame.payload, frame.rsv, frame.fin) == (b"coded", 4, True)


def test_a_message_that_was_one_plain_frame():
    message = Message.received(BinaryFrame, b"plain", MASK)
    assert (message.held_size, message.is_encoded) == (5, False)
    assert message.get_frames() == (BinaryFrame(b"plain", mask=MASK),)


def test_received_cuts_are_of_the_wire_form():
    cuts = Cuts()
    cuts.add(2, 4, MASK)
    cuts.add(1, 0, b"")
    assert len(cuts) == 2
    message = Message.received(BinaryFrame, b"a long payload", Form(MASK, 4, cuts, b"abc"))
    assert list(message.get_frames()) == [
        BinaryFrame(b"ab", fin=False, rsv=4, mask=MASK),
        ContinuationFrame(b"c"),
    ]


def test_a_fragment_costs_nine_bytes():  # E86
    cuts = Cuts()
    for _ in range(4096):
        cuts.add(0, 0, MASK)
    (packed,) = (getattr(cuts, name) for name in Cuts.__slots__)
    assert len(packed) == 9 * 4096
    assert sys.getsizeof(packed) < 12 * 4096
