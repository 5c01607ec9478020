"""What the load sends is what it says, and it counts what comes back."""

from __future__ import annotations

import pytest

from tests.benchmarks.frames import BINARY, CLOSE, TEXT, Walker, inflate, make_frame, payloads
from trio_wsendpoint import Parser


@pytest.mark.parametrize("size", [125, 126, 1024, 65535, 65536, 1024 * 1024])
@pytest.mark.parametrize("text", [False, True])
def test_the_load_sends_what_it_says(size, text):
    (payload,) = payloads(size, text=text, deflate=False)
    assert len(payload) == size
    parser = Parser(masked=True)
    parser.receive_data(make_frame(payload, TEXT if text else BINARY))
    frame = parser.get_next_frame()
    assert frame is not None
    assert (frame.type, frame.payload) == ("text" if text else "binary", payload)
    assert not text or len(payload.decode()) < size


def test_compressed_messages_are_what_they_say_and_differ():
    messages = payloads(1024, text=True, deflate=True)
    assert len(set(messages)) == len(messages) > 1
    parser = Parser(masked=True, rsv=0b100)
    for message in messages:
        assert len(message) == 1024
        parser.receive_data(make_frame(message, TEXT, deflate=True))
        frame = parser.get_next_frame()
        assert frame is not None
        assert inflate(frame.payload) == message


def test_the_walker_counts_messages_however_they_are_cut():
    frames = b"\x02\x03abc" + b"\x89\x00" + b"\x80\x7e\x00\x80" + bytes(128) + b"\x81\x00"
    for step in (1, 3, 7, len(frames)):
        walker = Walker()
        pieces = [frames[start : start + step] for start in range(0, len(frames), step)]
        assert sum(map(walker.feed, pieces)) == 2
        assert walker.is_between_messages
    with pytest.raises(ConnectionError, match="closed"):
        Walker().feed(bytes([0x80 | CLOSE, 0]))
