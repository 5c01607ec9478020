"""Net::WebSocket's Streamer: a message made chunk by chunk."""

from __future__ import annotations

import pytest

from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    ContinuationFrame,
    Frame,
    LocalError,
    Message,
    ServerEndpoint,
    Streamer,
    TextFrame,
)

from .helpers import BooyaFrame, drain, fed, fully


@pytest.mark.parametrize(
    ("kind", "first"), [("text", TextFrame), ("binary", BinaryFrame), (BooyaFrame, BooyaFrame)]
)
def test_the_first_chunk_has_the_type_and_the_others_are_continuations(
    kind: str | type[BooyaFrame], first: type[Frame]
):
    streamer = Streamer(kind)
    frames = [streamer.create_chunk(b"a"), streamer.create_chunk(b"b"), streamer.create_final(b"c")]
    assert [type(frame) for frame in frames] == [first, ContinuationFrame, ContinuationFrame]
    assert [frame.fin for frame in frames] == [False, False, True]
    assert Message(frames).raw == b"abc"


def test_a_final_chunk_alone_is_a_message_in_one_frame():
    assert Streamer("text").create_final("x") == TextFrame("x")


def test_chunks_may_be_empty():
    streamer = Streamer("binary")
    assert streamer.create_chunk() == BinaryFrame(b"", fin=False)
    assert streamer.create_final(b"") == ContinuationFrame(b"")


def test_nothing_is_written():
    endpoint = ServerEndpoint()
    Streamer("text").create_final("x")
    assert endpoint.get_write_queue_size() == 0


def test_nothing_follows_the_final_chunk():
    # Improved: more chunks, and a second final one, could be made.
    streamer = Streamer("text")
    streamer.create_final("x")
    for create in (streamer.create_chunk, streamer.create_final):
        with pytest.raises(LocalError, match="final chunk"):
            create("y")


def test_a_clients_chunks_are_masked_when_they_are_sent():
    client, streamer = ClientEndpoint(), Streamer("text")
    client.send_frame(streamer.create_chunk("ab"))
    client.send_frame(streamer.create_final("cd"))
    frames = drain(client)
    assert [len(frame.mask) for frame in frames] == [4, 4]
    assert frames[0].mask != frames[1].mask
    server = fed(*(frame.to_bytes() for frame in frames))
    assert [message.payload for message in fully(server)] == ["abcd"]


def test_a_streamer_may_have_a_mask_maker_of_its_own():
    assert Streamer("text", lambda: b"abcd").create_final("x").mask == b"abcd"
    assert Streamer("text").create_final("x").mask == b""
