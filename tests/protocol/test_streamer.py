"""A message made chunk by chunk."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from trio_wsendpoint.errors import LocalError
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ContinuationFrame,
    Message,
    PingFrame,
    Streamer,
    TextFrame,
    UnfinishedStream,
)

from .wire import ChunkFrame


def test_the_first_frame_has_the_type_and_the_last_has_fin():
    streamer = Streamer("binary")
    frames = [
        streamer.create_chunk(b"a"),
        streamer.create_chunk(bytearray(b"b")),
        streamer.create_chunk(),
        streamer.create_final(memoryview(b"c")),
    ]
    assert frames == [
        BinaryFrame(b"a", fin=False),
        ContinuationFrame(b"b", fin=False),
        ContinuationFrame(b"", fin=False),
        ContinuationFrame(b"c"),
    ]
    assert Message(frames).payload == b"abc"


def test_a_final_chunk_alone_is_the_whole_message():
    assert Streamer("text").create_final() == TextFrame("")
    assert Streamer(ChunkFrame).create_final(b"x") == ChunkFrame(b"x")


def test_text_comes_as_str_or_as_bytes_cut_anywhere():
    streamer = Streamer("text")
    frames = [
        streamer.create_chunk("€"),
        streamer.create_chunk(b"\xe2"),
        streamer.create_final(b"\x82\xac"),
    ]
    assert Message(frames).payload == "€€"


def test_str_is_refused_where_it_has_no_bytes():
    streamer = Streamer("binary")
    with pytest.raises(TypeError, match="must be bytes, not str"):
        streamer.create_chunk("text")
    with pytest.raises(TypeError, match="must be bytes, not int"):
        streamer.create_chunk(3)  # type: ignore[arg-type]
    # Neither has begun the message.
    assert streamer.create_final(b"x") == BinaryFrame(b"x")


def test_each_frame_gets_a_mask_of_its_own():
    counter = itertools.count(1)
    streamer = Streamer("text", lambda: next(counter).to_bytes(4, "big"))
    assert [streamer.create_chunk().mask, streamer.create_final().mask] == [
        b"\0\0\0\x01",
        b"\0\0\0\x02",
    ]
    assert Streamer("text").create_final().mask == b""


@pytest.mark.parametrize("kind", ["ping", "continuation", "", ContinuationFrame, PingFrame])
def test_other_kinds_are_refused(kind: Any):
    with pytest.raises(ValueError, match='"text", "binary" or of a DataFrame class'):
        Streamer(kind)


def test_nothing_follows_the_final_chunk():
    streamer = Streamer("text")
    was_finished = streamer.is_finished
    streamer.create_final("x")
    assert (was_finished, streamer.is_finished) == (False, True)
    for create in (streamer.create_chunk, streamer.create_final):
        with pytest.raises(LocalError, match="the final chunk of this message has been made"):
            create("y")


def test_a_block_without_a_final_chunk_raises():
    with (
        pytest.raises(UnfinishedStream, match="without its final chunk"),
        Streamer("text") as streamer,
    ):
        streamer.create_chunk("x")
    assert issubclass(UnfinishedStream, LocalError)
    assert issubclass(UnfinishedStream, RuntimeError)


def test_a_finished_block_does_not():
    with Streamer("text") as streamer:
        streamer.create_final("x")


def test_a_block_that_fails_raises_its_own_error():
    with pytest.raises(ZeroDivisionError), Streamer("text") as streamer:
        streamer.create_chunk(str(1 // 0))
